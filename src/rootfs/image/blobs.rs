//! The files of an image that is not unpacked: found by name, and never outside of its directory.

use crate::beneath::Tree;
use crate::error::{Failure, errno_of, printable};
use crate::rootfs::entry::EntryPath;
use crate::rootfs::meter::hexadecimal;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, open, openat};
use rustix::io::Errno;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a manifest, an index or a config.
const LARGEST: u64 = 4 << 20;

/// How an image is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `oci-layout`, `index.json` and blobs by digest.
    Oci,
    /// `manifest.json`, which names a config and layers.
    Docker,
}

/// An entry of manifest.json.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    pub(super) config: String,
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) layers: Vec<String>,
}

/// The directory of an image.
pub(super) struct Blobs {
    tree: RefCell<Tree>,
    pub(super) layout: Kind,
}

/// A digest of sha256, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digest(String);

impl Digest {
    /// Of `sha256:HEX`.
    ///
    /// # Errors
    /// Another algorithm, and what is no digest: it will be a part of a path.
    pub(super) fn of(text: &str) -> Result<Self, Failure> {
        let hex = text.strip_prefix("sha256:");
        hex.and_then(Self::of_hex)
            .ok_or_else(|| Failure::new(format!("'{}' is no sha256 digest", printable(text))))
    }

    pub(super) fn of_hex(hex: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (hex.len() == 64 && hex.bytes().all(is_digit)).then(|| Self(hex.to_owned()))
    }

    /// Whether these bytes have it.
    pub(super) fn check(&self, found: &str, what: &str) -> Result<(), Failure> {
        if self.0 == found {
            return Ok(());
        }
        Err(Failure::new(format!("{what} has not the digest that is said of it"))
            .why(format!("it should be {} and is {found}", self.0)))
    }

    pub(super) fn blob(&self) -> String {
        format!("blobs/sha256/{}", self.0)
    }
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

impl Blobs {
    /// The image in a directory, or in the one directory that is in it; `None` where there is none.
    pub(super) fn find(directory: BorrowedFd<'_>) -> Result<Option<Self>, Failure> {
        let here = Self::at(directory)?;
        if here.is_some() {
            return Ok(here);
        }
        match only_directory(directory) {
            Ok(Some(below)) => Self::at(&below),
            Ok(None) | Err(_) => Ok(None),
        }
    }

    fn at(directory: impl rustix::fd::AsFd) -> Result<Option<Self>, Failure> {
        let failed = |errno| Failure::new("cannot look into the image").errno(errno);
        let tree = RefCell::new(Tree::new(directory).map_err(failed)?);
        let blobs = |layout| Self { tree, layout };
        let has = |blobs: &Self, name| blobs.open(name).is_ok();
        let oci = blobs(Kind::Oci);
        if has(&oci, "oci-layout") && has(&oci, "index.json") {
            return Ok(Some(oci));
        }
        let docker = Self { layout: Kind::Docker, ..oci };
        if has(&docker, "manifest.json") && docker.is_manifest_of_docker() {
            return Ok(Some(docker));
        }
        // Engines before 1.10 wrote no manifest.
        if has(&docker, "repositories") && docker.has_layers_of_old_engines() {
            return Err(Failure::new("it is what an engine older than manifest.json has saved")
                .remedy("docker load it, and docker save it by a newer engine"));
        }
        Ok(None)
    }

    /// A root file system may have a file of that name, too.
    fn is_manifest_of_docker(&self) -> bool {
        let text = self.text("manifest.json").ok();
        text.and_then(|text| serde_json::from_slice::<Vec<Saved>>(&text).ok())
            .is_some_and(|saved| !saved.is_empty())
    }

    fn has_layers_of_old_engines(&self) -> bool {
        let Ok(top) = self.tree.borrow_mut().look(Path::new("")) else { return false };
        let names = opened(&top.file).and_then(|top| names(&top)).unwrap_or_default();
        names.iter().any(|name| self.open(&format!("{name}/layer.tar")).is_ok())
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
                let saved: Vec<Saved> = serde_json::from_slice(&text).unwrap_or_default();
                for saved in saved {
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
        let stat = fstat(&target.file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(failed(Errno::INVAL).why("it is no regular file"));
        }
        opened(&target.file).map(File::from).map_err(failed)
    }

    /// The text of a small file.
    pub(super) fn text(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let mut text = Vec::new();
        let read = self.open(name)?.take(LARGEST + 1).read_to_end(&mut text);
        let shown = printable(name);
        read.map_err(|error| {
            Failure::new(format!("cannot read '{shown}'")).errno(errno_of(&error))
        })?;
        if text.len() as u64 > LARGEST {
            return Err(Failure::new(format!("'{shown}' has more than 4 MiB")));
        }
        Ok(text)
    }

    /// The text of a blob, which has its digest.
    pub(super) fn blob(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let name = digest.blob();
        let text = self.text(&name)?;
        digest.check(&sha256(&text), &format!("'{name}'"))?;
        Ok(text)
    }
}

/// Opened to be read, by its descriptor.
fn opened(file: &OwnedFd) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
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
