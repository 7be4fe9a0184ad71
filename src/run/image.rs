//! The root file system of a run: found, and unpacked where it has to be.

use super::account;
use super::owners::{can_be_shown, lost, other_numbers, owners_seen};
use crate::error::{Failure, printable};
use crate::host::Host;
use crate::namespace::{Namespace, Switch};
use crate::rootfs::image::ImageRecord;
use crate::rootfs::keeper::Keeper;
use crate::rootfs::progress::Bar;
use crate::rootfs::run_directory;
use crate::rootfs::store::{LeasedTree, Making, OwnersSeen, Store};
use crate::rootfs::writer::UnpackLimits;
use crate::rootfs::{Archive, Image, Origin};
use crate::run::refusal::Unsuccessful;
use crate::spec::{Rootfs, Spec};
use rustix::fs::Mode;
use rustix::process::umask;
use std::path::PathBuf;

/// A root file system, and the lock that keeps it where it is: this process and the warden hold it
/// as long as the container lives.
pub(super) struct Found {
    pub image: Image,
    pub held: Option<LeasedTree>,
    /// What may surprise about its owners.
    pub warning: Option<String>,
    /// What -v says of it.
    pub remarks: Vec<String>,
}

impl Found {
    fn without_store(image: Image) -> Self {
        Self { image, held: None, warning: None, remarks: Vec::new() }
    }

    fn of_store(
        image: Image,
        held: LeasedTree,
        warning: Option<String>,
        remark: Option<&str>,
    ) -> Self {
        let said = held.image().map(ImageRecord::lines).unwrap_or_default();
        let said = said.into_iter().map(|line| format!("root: {line}"));
        // It may start nothing of what it was to.
        let doubt = held.record.as_ref().and_then(|record| record.report.doubt());
        let warning = warning.or(doubt.map(|doubt| format!("root: {doubt}")));
        let remarks = said.chain(remark.map(str::to_owned)).collect();
        Self { image, held: Some(held), warning, remarks }
    }
}

/// The root file system, unpacked into the store where it has to be, and where something is to be
/// made at all.
///
/// # Errors
/// An archive that cannot be unpacked, a store that cannot be used, an image whose owners the
/// container would see wrong; the refusal of newuidmap(1), where it was needed.
pub(super) fn find_image(spec: &Spec, host: &Host, making: Making) -> Result<Found, Unsuccessful> {
    let archive = match &spec.rootfs {
        Rootfs::Directory(path) => {
            return Ok(Found::without_store(Image::Directory(path.clone())));
        }
        Rootfs::Stored(name) => return find_stored(name, spec, host, making),
        Rootfs::Archive(path) => Archive::at(path.clone()),
        Rootfs::Builtin => Archive::builtin()?,
    };
    let opened = open_store(spec, host, spec.store_by_name, making);
    if !matches!(opened, Ok(Some(_)))
        && let Some(found) = served(&archive, spec, host, making)?
    {
        return Ok(found);
    }
    let store = opened?;
    let is_mounted = spec.namespaces.is_new(Namespace::Mount);
    let store = match store {
        Some(store) if is_mounted || archive != Archive::Builtin => store,
        store if is_mounted => {
            let _ = store;
            return Ok(Found::without_store(Image::ToUnpack(of_archive(&archive, spec))));
        }
        store => {
            let image = per_run(of_archive(&archive, spec), store.as_ref(), host, making)?;
            return Ok(Found::without_store(image));
        }
    };
    let mut bar = Bar::new(format!("unpacking {}", archive.short_name()));
    let (choice, limits) = (&spec.image.choice, UnpackLimits::default());
    let held = store.tree(&archive, choice, making, limits, &mut bar);
    let held =
        held.map_err(|failure| store.refused().map_or(failure.into(), Unsuccessful::no_ranges))?;
    of_store(&archive, held, &store, spec, host, making)
}

/// What a store that cannot be written has of an archive.
fn served(
    archive: &Archive,
    spec: &Spec,
    host: &Host,
    making: Making,
) -> Result<Option<Found>, Unsuccessful> {
    let Some(root) = spec.store.as_ref().filter(|root| root.is_dir()) else { return Ok(None) };
    // Why it is refused is told by who would have made something in it.
    let Ok(store) = Store::open_to_use(root, host, making) else { return Ok(None) };
    let mut bar = Bar::new(format!("reading {}", archive.short_name()));
    match store.known_tree(archive, &spec.image.choice, &mut bar)? {
        Some(held) => of_store(archive, held, &store, spec, host, making).map(Some),
        None => Ok(None),
    }
}

/// The tree that a store has of an archive, as this run can use it.
fn of_store(
    archive: &Archive,
    held: LeasedTree,
    store: &Store,
    spec: &Spec,
    host: &Host,
    making: Making,
) -> Result<Found, Unsuccessful> {
    if !spec.namespaces.is_new(Namespace::Mount) {
        return in_run_directory(archive, held, store, spec, host, making);
    }
    match owners_seen(&held, spec, host) {
        OwnersSeen::Wrong => {
            match other_numbers(&held, store, spec, host) {
                Some(renumber) => {
                    let (name, tree) = (archive.short_name(), held.tree.clone());
                    let origin = Origin::Stored { name, tree, renumber: Some(renumber) };
                    Ok(Found::of_store(Image::ToUnpack(origin), held, None, Some(OTHER_NUMBERS)))
                }
                // How its program is run only the store knows.
                None if held.image().is_some() => Err(for_other_ids(&archive.short_name()).into()),
                None => Ok(Found {
                    remarks: vec![
                        "root: unpacked for this run, as the store has it for other ids".into(),
                    ],
                    ..Found::without_store(Image::ToUnpack(of_archive(archive, spec)))
                }),
            }
        }
        OwnersSeen::Lost | OwnersSeen::Right if !can_be_shown(&held.tree, spec, host) => {
            let name = archive.short_name();
            let (tree, renumber) = (held.tree.clone(), None);
            let image = Image::ToUnpack(Origin::Stored { name, tree, renumber });
            Ok(Found::of_store(image, held, None, Some(NOT_SHOWN)))
        }
        OwnersSeen::Lost | OwnersSeen::Right => {
            let warning = lost(&held, store, spec, host)?;
            let image = Image::Tree(held.tree.clone());
            Ok(Found::of_store(image, held, warning, None))
        }
    }
}

fn find_stored(
    name: &str,
    spec: &Spec,
    host: &Host,
    making: Making,
) -> Result<Found, Unsuccessful> {
    // One that cannot be written serves what it has.
    let root = spec.store.as_ref().ok_or_else(|| Failure::new("there is no store"))?;
    let store = Store::open_to_use(root, host, making)?;
    let held = store.named(name, making)?;
    let is_wrong = owners_seen(&held, spec, host) == OwnersSeen::Wrong;
    let renumber = is_wrong.then(|| other_numbers(&held, &store, spec, host)).flatten();
    if is_wrong && renumber.is_none() {
        return Err(for_other_ids(name).into());
    }
    let is_mounted = spec.namespaces.is_new(Namespace::Mount);
    let is_shown = !is_mounted || can_be_shown(&held.tree, spec, host);
    let remark = match (is_wrong, is_shown) {
        (true, _) => Some(OTHER_NUMBERS),
        (false, false) => Some(NOT_SHOWN),
        (false, true) => None,
    };
    let origin = Origin::Stored { name: name.to_owned(), tree: held.tree.clone(), renumber };
    let image = match (is_mounted, is_shown && !is_wrong) {
        (true, true) => Image::Tree(held.tree.clone()),
        (true, false) => Image::ToUnpack(origin),
        (false, _) => per_run(origin, Some(&store), host, making)?,
    };
    let warning = lost(&held, &store, spec, host)?;
    Ok(Found::of_store(image, held, warning, remark))
}

/// The tree of an archive, copied for a run that has no mounts; the archive itself where the tree
/// has other ids.
fn in_run_directory(
    archive: &Archive,
    held: LeasedTree,
    store: &Store,
    spec: &Spec,
    host: &Host,
    making: Making,
) -> Result<Found, Unsuccessful> {
    let origin = match owners_seen(&held, spec, host) {
        OwnersSeen::Wrong if held.image().is_none() => of_archive(archive, spec),
        OwnersSeen::Wrong | OwnersSeen::Lost | OwnersSeen::Right => Origin::Stored {
            name: archive.short_name(),
            tree: held.tree.clone(),
            renumber: other_numbers(&held, store, spec, host).filter(|numbers| numbers.changes()),
        },
    };
    let warning = lost(&held, store, spec, host)?;
    let image = per_run(origin, Some(store), host, making)?;
    Ok(Found::of_store(image, held, warning, None))
}

fn for_other_ids(name: &str) -> Failure {
    let name = printable(name);
    Failure::new(format!("the image '{name}' was unpacked for other ids than this container has"))
        .why("its files would belong to nobody here, or to somebody else")
        .remedy("rustic rootfs rm and import, where newuidmap maps the same ids as for run")
        .man("subuid(5)")
}

fn of_archive(archive: &Archive, spec: &Spec) -> Origin {
    Origin::Archive { archive: archive.clone(), choice: spec.image.choice.clone() }
}

/// What is said where owners have other numbers.
const OTHER_NUMBERS: &str = "root: copied for this run, in which its owners have other numbers";

/// What is said where the owners of a tree cannot be shown.
const NOT_SHOWN: &str =
    "root: copied for this run, because its file system is shown with no other owners";

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
    let runs = store.and_then(Store::runs).unwrap_or_else(|| {
        std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
    });
    if making == Making::Yes {
        run_directory::sweep(&runs, host.uid, &Keeper::of(host));
    }
    let directory = run_directory::name_in(&runs)
        .map_err(|errno| Failure::new("cannot name a directory").errno(errno))?;
    Ok(Image::PerRun { origin, directory })
}

/// The same with what only the root file system knows: the config of an image, and who a user is
/// that was ordered by name.
///
/// # Errors
/// A root file system that cannot be had, or has no such user.
pub fn with_image(spec: Spec, host: &Host) -> Result<Spec, Failure> {
    let is_image = matches!(spec.rootfs, Rootfs::Archive(_) | Rootfs::Stored(_));
    if spec.user_order.name().is_none() && !is_image {
        return Ok(spec);
    }
    umask(Mode::empty());
    let found = find_image(&spec, host, Making::Yes).map_err(Unsuccessful::failure)?;
    resolved(&spec, host, &found)
}

pub(super) fn resolved(spec: &Spec, host: &Host, found: &Found) -> Result<Spec, Failure> {
    let ordered = spec.user_order.uid.as_ref();
    let image = found.held.as_ref().and_then(LeasedTree::image);
    let spec = image.map_or_else(|| Ok(spec.clone()), |image| spec.for_image(&image.config))?;
    let spec = Spec { user: spec.user_order.numbers(host), ..spec };
    let user = account::user(&spec, host, &found.image);
    Ok(spec.for_user(user.map_err(|failure| match (ordered, &spec.user_order.uid) {
        (None, Some(_)) => blamed_on_config(failure),
        (None | Some(_), _) => failure,
    })?))
}

/// A user whom nobody has ordered.
fn blamed_on_config(failure: Failure) -> Failure {
    let what = failure.what.trim_start_matches("--uid").trim_start_matches("--gid");
    let what = format!("the image's User{what}");
    Failure { what, ..failure }.remedy("--uid with a number, or --image-config no")
}
