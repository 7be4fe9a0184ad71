//! The files of an image that is not unpacked: found by name, and never outside of its directory.

use super::json::lowered;
use super::texts::{Digest, Kind, Texts};
use crate::beneath::{self, Tree};
use crate::error::{Failure, errno_of, printable};
use crate::rootfs::entry::EntryPath;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a manifest, an index or a config, and of all that are read of one image.
const LARGEST: u64 = 4 << 20;
const LARGEST_SUM: u64 = 64 << 20;
/// How many of them are read.
const MOST_TEXTS: u32 = 4_000;

/// What is at the top of a root file system, and not of an image.
const OF_A_ROOT: [&str; 18] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root",
    "run", "sbin", "srv", "sys", "usr", "var",
];

/// The directory of an image.
pub(super) struct Blobs {
    tree: RefCell<Tree>,
    pub(super) layout: Kind,
    /// How many texts have been read, and their bytes.
    read: Cell<(u32, u64)>,
}

impl Blobs {
    /// The image in a directory, or in the one directory that is in it; `None` where there is none,
    /// and for what is a root file system, whatever its files are called.
    pub(super) fn find(directory: BorrowedFd<'_>) -> Result<Option<Self>, Failure> {
        let here = Self::at(directory)?;
        if here.is_some() {
            return Ok(here);
        }
        match only_directory(directory) {
            Ok(Some(below)) => Self::at(below.as_fd()),
            Ok(None) | Err(_) => Ok(None),
        }
    }

    fn at(directory: BorrowedFd<'_>) -> Result<Option<Self>, Failure> {
        if is_root(directory) {
            return Ok(None);
        }
        let is_there = |name: &str| statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        let failed = |errno| Failure::new("cannot look into the image").errno(errno);
        let tree = RefCell::new(Tree::bare(directory).map_err(failed)?);
        let oci = Self { tree, layout: Kind::Oci, read: Cell::default() };
        if oci.has("oci-layout")? && is_there("index.json") {
            oci.open("index.json")?;
            return Ok(Some(oci));
        }
        let docker = Self { layout: Kind::Docker, ..oci };
        if docker.has("manifest.json")? && docker.is_manifest_of_docker(is_there)? {
            return Ok(Some(docker));
        }
        // Engines before 1.10 wrote no manifest.
        if docker.has("repositories")? && docker.has_layers_of_old_engines() {
            return Err(Failure::new("it is what an engine older than manifest.json has saved")
                .remedy("docker load it, and docker save it by a newer engine"));
        }
        Ok(None)
    }

    /// Whether there is a regular file of that name.
    ///
    /// # Errors
    /// One that cannot be read: it would be passed over without a word.
    fn has(&self, name: &str) -> Result<bool, Failure> {
        match self.open(name) {
            Ok(_) => Ok(true),
            Err(failure) if matches!(failure.errno, Some(Errno::ACCESS | Errno::PERM)) => {
                Err(failure)
            }
            Err(_) => Ok(false),
        }
    }

    /// Whether manifest.json is one of docker save: a file of that name may be anything.
    ///
    /// # Errors
    /// One that is too large to tell.
    fn is_manifest_of_docker(&self, is_there: impl Fn(&str) -> bool) -> Result<bool, Failure> {
        let text = self.text("manifest.json")?;
        let Ok(Value::Array(saved)) = serde_json::from_slice(&text) else { return Ok(false) };
        let Some(Value::Object(first)) = saved.into_iter().next().map(lowered) else {
            return Ok(false);
        };
        let (Some(Value::String(config)), Some(layers)) =
            (first.get("config"), first.get("layers"))
        else {
            return Ok(false);
        };
        let layers = layers.as_array().into_iter().flatten().filter_map(Value::as_str);
        let is_missing = |name: &str| {
            !name.starts_with('/')
                && !is_there(name)
                && self.open(name).is_err_and(|failure| failure.errno == Some(Errno::NOENT))
        };
        Ok(!layers.chain([config.as_str()]).all(is_missing))
    }

    fn has_layers_of_old_engines(&self) -> bool {
        let Ok(top) = self.tree.borrow_mut().look(Path::new("")) else { return false };
        let names = beneath::reopened(&top.file).and_then(|top| names(&top)).unwrap_or_default();
        names.iter().any(|name| {
            Digest::of_hex(name).is_some() && self.open(&format!("{name}/layer.tar")).is_ok()
        })
    }

    pub(super) fn kind(&self) -> &'static str {
        match self.layout {
            Kind::Oci => "an OCI image layout",
            Kind::Docker => "an archive of docker save",
        }
    }

    /// The text that names everything else.
    pub(super) fn names(&self) -> Result<Vec<u8>, Failure> {
        match self.layout {
            Kind::Oci => self.text("index.json"),
            // Of a layout that was unpacked: its config names the layers by digest.
            Kind::Docker => {
                let mut text = self.text("manifest.json")?;
                for saved in self.saved()? {
                    text.extend(self.text(&saved.config)?);
                }
                Ok(text)
            }
        }
    }

    /// A file, also through links as docker save makes them between layers.
    pub(super) fn open(&self, name: &str) -> Result<File, Failure> {
        let failed = |errno: Errno| {
            Failure::new(format!("the image has no '{}' that can be read", printable(name)))
                .errno(errno)
        };
        let place = EntryPath::of(name.as_bytes()).map_err(|rule| rule.of(name.as_bytes()))?;
        let target = self.tree.borrow_mut().look(place.path());
        let target = target.map_err(|error| failed(error.errno))?;
        beneath::regular(&target.file).map_err(|error| match error.detail.as_str() {
            "" => failed(error.errno),
            why => failed(error.errno).why(why),
        })
    }
}

impl Texts for Blobs {
    fn text(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let mut text = Vec::new();
        let read = self.open(name)?.take(LARGEST + 1).read_to_end(&mut text);
        let shown = printable(name);
        read.map_err(|error| {
            Failure::new(format!("cannot read '{shown}'")).errno(errno_of(&error))
        })?;
        if text.len() as u64 > LARGEST {
            return Err(Failure::new(format!("'{shown}' has more than 4 MiB")));
        }
        // A small index can name itself without end.
        let (count, sum) = self.read.get();
        let (count, sum) = (count + 1, sum + text.len() as u64);
        self.read.set((count, sum));
        if count > MOST_TEXTS || sum > LARGEST_SUM {
            return Err(Failure::new(format!(
                "its manifests and configs are more than {MOST_TEXTS}, or more than 64 MiB"
            )));
        }
        Ok(text)
    }
}

/// Whether a directory looks like a root file system.
pub fn is_root(directory: BorrowedFd<'_>) -> bool {
    let is_there = |name| statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    OF_A_ROOT.into_iter().any(is_there)
}

fn names(directory: impl rustix::fd::AsFd) -> Result<Vec<String>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            found.push(name);
        }
    }
    Ok(found)
}

/// The one entry of a directory, where that is a directory too.
fn only_directory(directory: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let names = names(directory)?;
    let [name] = names.as_slice() else { return Ok(None) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name.as_str(), flags, Mode::empty()).map(Some)
}
