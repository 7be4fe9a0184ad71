//! A root file system as it will be, before anything is mounted in it.

use super::lookup::{Kind, Links, Lookup, Missing, Mounted, Surroundings, Target};
use super::target::{place, target_of};
use crate::error::SysError;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::path::{Path, PathBuf};

/// A root, and what will be mounted in it.
pub struct Tree {
    /// `None` where it is not there yet.
    root: Option<OwnedFd>,
    around: Mounts,
    links: Links,
}

/// Where something will be mounted, and what.
struct Mounts(Vec<(PathBuf, Mounted)>);

impl Surroundings for Mounts {
    fn mounted(&self, path: &Path) -> Result<Mounted, Errno> {
        Ok(match self.0.iter().rev().find(|(target, _)| target == path) {
            Some((_, Mounted::This(mount))) => Mounted::This(fcntl_dupfd_cloexec(mount, 0)?),
            Some((_, Mounted::Empty)) => Mounted::Empty,
            Some((_, Mounted::Hidden)) => Mounted::Hidden,
            Some((_, Mounted::Nothing)) | None => Mounted::Nothing,
        })
    }

    fn will_be_made(&self, path: &Path) -> bool {
        let is_made = |mount: &Mounted| matches!(mount, Mounted::This(_) | Mounted::Empty);
        self.0.iter().any(|(target, mount)| is_made(mount) && target.starts_with(path))
    }

    fn make(&mut self, _: BorrowedFd<'_>, _: &Path, _: Kind) -> Result<(), Errno> {
        Err(Errno::NOENT)
    }

    fn share(&mut self, _: BorrowedFd<'_>, _: &Path, _: Kind) -> Result<(), Errno> {
        Ok(())
    }
}

impl Tree {
    /// A root with nothing in it but what it has.
    ///
    /// # Errors
    /// EMFILE.
    pub fn new(root: impl AsFd) -> Result<Self, Errno> {
        let root = Some(fcntl_dupfd_cloexec(root, 0)?);
        Ok(Self { root, around: Mounts(Vec::new()), links: Links::Inside })
    }

    /// One in which nothing will be mounted, and nothing is the kernel's own.
    ///
    /// # Errors
    /// EMFILE.
    pub fn bare(root: impl AsFd) -> Result<Self, Errno> {
        Ok(Self { links: Links::Anywhere, ..Self::new(root)? })
    }

    /// A root of which nothing is known yet.
    pub const fn unknown() -> Self {
        Self { root: None, around: Mounts(Vec::new()), links: Links::Inside }
    }

    /// Adds something that will be mounted, parents first; where it will be, behind every link.
    ///
    /// # Errors
    /// EMFILE.
    pub fn mount(&mut self, path: &Path, mount: impl AsFd) -> Result<PathBuf, SysError> {
        let (real, mount) = (self.real(path)?, fcntl_dupfd_cloexec(mount, 0)?);
        self.around.0.push((real.clone(), Mounted::This(mount)));
        Ok(real)
    }

    /// The same for an empty directory.
    ///
    /// # Errors
    /// EMFILE.
    pub fn mount_empty(&mut self, path: &Path) -> Result<PathBuf, SysError> {
        let real = self.real(path)?;
        self.around.0.push((real.clone(), Mounted::Empty));
        Ok(real)
    }

    /// Hides a path, but for what is mounted below it.
    ///
    /// # Errors
    /// EMFILE.
    pub fn hide(&mut self, path: &Path) -> Result<(), SysError> {
        let path = self.real(path)?;
        if !self.around.0.iter().any(|(target, _)| target.starts_with(&path)) {
            self.around.0.push((path, Mounted::Hidden));
        }
        Ok(())
    }

    /// What a path will show.
    ///
    /// # Errors
    /// Those of [`target()`]; ENOENT for what is missing.
    pub fn look(&mut self, path: &Path) -> Result<Target, SysError> {
        let (kind, links, missing) = (None, self.links, Missing::Refused);
        let root = self.root.as_ref().map(AsFd::as_fd);
        target_of(root, Lookup { path, kind, links, missing }, &mut self.around)
    }

    /// Where a path is behind links, as far as it is there.
    ///
    /// # Errors
    /// EMFILE.
    pub fn real(&mut self, path: &Path) -> Result<PathBuf, SysError> {
        let (kind, links, missing) = (None, self.links, Missing::Refused);
        let root = self.root.as_ref().map(AsFd::as_fd);
        place(root, Lookup { path, kind, links, missing }, &mut self.around)
    }
}
