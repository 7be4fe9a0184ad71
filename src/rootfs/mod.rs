//! Root file systems: what an archive is, how it is unpacked exactly and safely, where it is kept.
//! Knows nothing of containers.
//!
//! An [`archive`] is opened in its [`format`], a [`meter`] counts its bytes, the [`reader`] makes
//! entries of its [`stream`], the [`writer`] makes files of them; [`unpack`] puts them together,
//! [`watch`] is who looks on, and [`policy`] says what is refused. What [`no_root`] is gets its own words. The [`store`] keeps a tree for
//! each digest, and names for them.

pub mod accounts;
mod acl;
pub mod archive;
pub mod builtin;
pub mod command;
mod copy;
mod count;
mod directory;
pub mod entry;
pub mod format;
pub mod image;
pub mod keeper;
mod kinds;
pub mod look;
mod members;
pub mod meter;
pub mod no_root;
pub mod policy;
pub mod progress;
pub mod reader;
pub mod remove;
pub mod renumber;
pub mod report;
pub mod run_directory;
pub mod store;
pub mod stream;
pub mod unpack;
pub mod watch;
pub mod writer;

pub use archive::Archive;

use crate::error::{Failure, printable};
use image::ImageChoice;
use renumber::Renumber;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fmt;
use std::path::PathBuf;
use unpack::{Unpack, Unpacked};
use writer::{TreeWriter, UnpackLimits};

/// Where the files of a root come from that is made for one run alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An archive, and what is taken of it.
    Archive {
        /// The archive.
        archive: Archive,
        /// Which image of several, or which directory.
        choice: ImageChoice,
    },
    /// An image of the store, whose archive is long gone: its tree is copied.
    Stored {
        /// Its name in the store.
        name: String,
        /// The directory of its files there.
        tree: PathBuf,
        /// Where its owners have other numbers than the container gives them.
        renumber: Option<Renumber>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive { archive, .. } => archive.fmt(f),
            Self::Stored { name, .. } => write!(f, "the image '{}'", printable(name)),
        }
    }
}

impl Origin {
    /// Makes its files in an empty directory.
    ///
    /// # Errors
    /// Those of [`Unpack::unpack`].
    pub fn unpack(&self, unpack: Unpack<'_>, into: BorrowedFd<'_>) -> Result<Unpacked, Failure> {
        match self {
            Self::Archive { archive, .. } => unpack.unpack(archive, into),
            Self::Stored { name, tree, renumber } => {
                let from = openat(
                    CWD,
                    tree,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .map_err(|errno| {
                    Failure::new(format!("cannot read the image '{name}'")).errno(errno)
                })?;
                // What is in the store has met its limits already.
                let limits = UnpackLimits { bytes: u64::MAX, entries: u64::MAX, depth: u64::MAX };
                let mut writer = TreeWriter::new(into, unpack.rights, limits);
                writer.renumber(renumber.as_ref().or(unpack.renumber));
                copy::tree(from.as_fd(), &mut writer)?;
                Ok(Unpacked {
                    root_named: writer.root_named(),
                    report: writer.finish()?,
                    length: 0,
                    digest: None,
                    format: "tree".to_owned(),
                    image: None,
                })
            }
        }
    }
}

/// A root file system, found and ready to become a container's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// Unpacked in the store: never changed.
    Tree(PathBuf),
    /// The user's own directory.
    Directory(PathBuf),
    /// To be unpacked into the container's own tmpfs, because no store can be written.
    ToUnpack(Origin),
    /// To be unpacked into a directory of this run alone, because there is no mount namespace.
    PerRun {
        /// What is unpacked.
        origin: Origin,
        /// The directory, not there yet.
        directory: PathBuf,
    },
}
