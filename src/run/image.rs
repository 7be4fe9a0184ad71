//! The root file system of a run: found, and unpacked where it has to be.

use crate::error::Failure;
use crate::host::Host;
use crate::namespace::{Namespace, Switch};
use crate::rootfs::progress::Bar;
use crate::rootfs::run_directory;
use crate::rootfs::store::{LeasedTree, Making, Store};
use crate::rootfs::writer::UnpackLimits;
use crate::rootfs::{Archive, Image, Origin};
use crate::spec::{Rootfs, Spec};
use std::path::PathBuf;

/// A root file system, and the lock that keeps it where it is: this process and the warden hold it
/// as long as the container lives.
pub(super) struct Found {
    pub image: Image,
    pub held: Option<LeasedTree>,
}

/// The root file system, unpacked into the store where it has to be, and where something is to be
/// made at all.
pub(super) fn find_image(spec: &Spec, host: &Host, making: Making) -> Result<Found, Failure> {
    let archive = match &spec.rootfs {
        Rootfs::Directory(path) => {
            return Ok(Found { image: Image::Directory(path.clone()), held: None });
        }
        Rootfs::Stored(name) => return find_stored(name, spec, host, making),
        Rootfs::Archive(path) => Archive::File(path.clone()),
        Rootfs::Builtin => Archive::builtin()?,
    };
    let store = open_store(spec, host, spec.store_by_name, making)?;
    if spec.namespaces.is_new(Namespace::Mount) {
        let Some(store) = store else {
            return Ok(Found { image: Image::ToUnpack(Origin::Archive(archive)), held: None });
        };
        let held = store.tree(
            &archive,
            making,
            UnpackLimits::default(),
            &mut Bar::new(format!("unpacking {}", archive.short_name())),
        )?;
        return Ok(Found { image: Image::Tree(held.tree.clone()), held: Some(held) });
    }
    Ok(Found {
        image: per_run(Origin::Archive(archive), store.as_ref(), host, making)?,
        held: None,
    })
}

fn find_stored(name: &str, spec: &Spec, host: &Host, making: Making) -> Result<Found, Failure> {
    let store = open_store(spec, host, Switch::Yes, making)?
        .ok_or_else(|| Failure::new("the store cannot be written"))?;
    let held = store.named(name, making)?;
    let image = if spec.namespaces.is_new(Namespace::Mount) {
        Image::Tree(held.tree.clone())
    } else {
        per_run(
            Origin::Stored { name: name.to_owned(), tree: held.tree.clone() },
            Some(&store),
            host,
            making,
        )?
    };
    Ok(Found { image, held: Some(held) })
}

fn open_store(
    spec: &Spec,
    host: &Host,
    by_name: Switch,
    making: Making,
) -> Result<Option<Store>, Failure> {
    spec.store.as_ref().map_or(Ok(None), |root| Store::open(root, host, by_name, making))
}

fn per_run(
    origin: Origin,
    store: Option<&Store>,
    host: &Host,
    making: Making,
) -> Result<Image, Failure> {
    let runs = store.map_or_else(
        || std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from),
        Store::runs,
    );
    if making == Making::Yes {
        run_directory::sweep(&runs, host.uid);
    }
    let directory = run_directory::name_in(&runs)
        .map_err(|errno| Failure::new("cannot name a directory").errno(errno))?;
    Ok(Image::PerRun { origin, directory })
}
