//! What is looked for beneath a root, and what is met on the way.

use super::open;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, mkdirat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a mount target must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A directory.
    Directory,
    /// Anything else; where it is missing a regular file is made.
    File,
}

/// What becomes of symlinks on the way to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// None is followed: the place is one that a hostile image must not choose.
    Refused,
    /// They lead where they lead from inside: an absolute one begins at the root, and `..` stays
    /// there. One that leads into /dev, /proc or /sys is refused: there are the kernel's own files.
    Inside,
    /// The same where nothing is mounted: /dev, /proc and /sys are directories like others.
    Anywhere,
}

/// What becomes of a target that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is made, with what is missing on the way.
    Made,
    /// It is an error.
    Refused,
    /// Nothing is mounted there.
    Skipped,
}

/// What is looked for beneath a root.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// Relative to the root.
    pub path: &'a Path,
    /// What it must be; `None` where either will do, and then nothing is made.
    pub kind: Option<Kind>,
    pub links: Links,
    pub missing: Missing,
}

/// A mount target, found or made.
#[derive(Debug)]
pub struct Target {
    /// Its O_PATH descriptor.
    pub file: OwnedFd,
    /// Where it is inside, behind every link.
    pub path: PathBuf,
    /// The directory that it is in, its own path without the last component; `None` for the root.
    pub parent: Option<OwnedFd>,
}

/// What will be mounted at a path.
pub enum Mounted {
    /// Nothing: it shows what is there.
    Nothing,
    /// This.
    This(OwnedFd),
    /// An empty directory, which is not there yet.
    Empty,
    /// What hides it: it will be missing.
    Hidden,
}

/// What a walk meets besides files: who makes what is missing, and what is mounted.
pub trait Surroundings {
    /// What will be mounted at a path inside, and is not attached yet.
    ///
    /// # Errors
    /// EMFILE.
    fn mounted(&self, _path: &Path) -> Result<Mounted, Errno> {
        Ok(Mounted::Nothing)
    }

    /// Whether a path that is missing will be there, as a directory with what is mounted in it.
    fn will_be_made(&self, _path: &Path) -> bool {
        false
    }

    /// Makes a directory, or an empty file; one that is there already is no error.
    ///
    /// # Errors
    /// EROFS, EACCES, ENOSPC.
    fn make(&mut self, dir: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<(), Errno>;

    /// Sees to it that what another run has made stays as long as this one: it bears the mark. It
    /// may be gone by now.
    ///
    /// # Errors
    /// EBUSY where somebody else keeps it locked.
    fn share(&mut self, dir: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<(), Errno>;

    /// Whether another run may be about to mark what was found, and has done so by now.
    fn bears_the_mark(&self, _dir: BorrowedFd<'_>, _name: &Path) -> bool {
        false
    }
}

/// What is missing is made there and then: for a place that vanishes with the container.
pub struct AtOnce;

impl Surroundings for AtOnce {
    fn make(&mut self, dir: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<(), Errno> {
        let made = match kind {
            Kind::Directory => mkdirat(dir, name, Mode::from_raw_mode(0o755)),
            Kind::File => {
                let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                open(dir, name, create, Mode::from_raw_mode(0o644)).map(drop)
            }
        };
        match made {
            Err(Errno::EXIST) => Ok(()),
            made => made,
        }
    }

    fn share(&mut self, _: BorrowedFd<'_>, _: &Path, _: Kind) -> Result<(), Errno> {
        Ok(())
    }
}
