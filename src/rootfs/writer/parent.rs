//! The directory that entries are made in. An archive names it again and again, so it stays open;
//! and since every new entry changes its modification time, it gets the old one back when it is
//! left. So a directory that is not open always has the times that it should have, and no list of
//! all directories has to be kept to the end.

use crate::beneath;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, fchown, fstat, futimens, mkdirat,
};
use rustix::io::{Errno, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The open directory beneath a root.
pub(super) struct ParentDirectory<'a> {
    root: BorrowedFd<'a>,
    current: Option<Current>,
    /// Who the directories belong to that the archive has no entry for; who unpacks, where it is
    /// not said.
    owner: Option<(Uid, Gid)>,
}

struct Current {
    path: Vec<u8>,
    fd: OwnedFd,
    times: Timestamps,
    group: u32,
}

impl<'a> ParentDirectory<'a> {
    pub(super) fn new(root: BorrowedFd<'a>) -> Self {
        Self { root, current: None, owner: None }
    }

    pub(super) fn made_for(&mut self, uid: Uid, gid: Gid) {
        self.owner = Some((uid, gid));
    }

    /// Opens the directory at a plain path, and makes what is missing of it; how many were made.
    ///
    /// # Errors
    /// ELOOP or ENOTDIR where something on the way is a symlink or no directory.
    pub(super) fn enter(&mut self, path: &[u8]) -> Result<u64> {
        if self.current.as_ref().is_some_and(|current| current.path == path) {
            return Ok(0);
        }
        self.leave()?;
        let (fd, made) = match self.find(path) {
            Err(Errno::NOENT) => self.make(path)?,
            found => (found?, 0),
        };
        let stat = fstat(&fd)?;
        self.current =
            Some(Current { path: path.to_vec(), fd, times: times_of(&stat), group: stat.st_gid });
        Ok(made)
    }

    /// The descriptor of the directory that was entered last, the root before that.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.current.as_ref().map_or(self.root, |current| current.fd.as_fd())
    }

    /// The group that a new entry may have in place of the process's own: with the set-group-ID
    /// bit, or on a file system that is mounted so, it is the directory's.
    pub(super) fn group(&self) -> Option<u32> {
        self.current.as_ref().map(|current| current.group)
    }

    /// Closes it and gives it its times back.
    pub(super) fn leave(&mut self) -> Result<()> {
        match self.current.take() {
            Some(current) => futimens(&current.fd, &current.times),
            None => Ok(()),
        }
    }

    /// Opens the directory at a plain path, where it is there.
    ///
    /// # Errors
    /// Those of [`ParentDirectory::enter`], and ENOENT.
    pub(super) fn enter_known(&mut self, path: &[u8]) -> Result<()> {
        drop(self.find(path)?);
        self.enter(path).map(drop)
    }

    /// Leaves, but for the root, which is to get other times.
    pub(super) fn forget(&mut self) {
        if self.current.as_ref().is_some_and(|current| current.path.is_empty()) {
            self.current = None;
        }
    }

    /// The directory at a plain path.
    pub(super) fn find(&self, path: &[u8]) -> Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        beneath::directory(self.root, Path::new(OsStr::from_bytes(path)))
    }

    fn make(&self, path: &[u8]) -> Result<(OwnedFd, u64)> {
        let mut here = self.find(b"")?;
        let mut made = 0;
        for name in path.split(|&byte| byte == b'/') {
            let name = Path::new(OsStr::from_bytes(name));
            here = match beneath::directory(&here, name) {
                Err(Errno::NOENT) => {
                    let times = times_of(&fstat(&here)?);
                    mkdirat(&here, name, Mode::from_raw_mode(0o755))?;
                    futimens(&here, &times)?;
                    made += 1;
                    let directory = beneath::directory(&here, name)?;
                    if let Some((uid, gid)) = self.owner {
                        fchown(&directory, Some(uid), Some(gid))?;
                    }
                    directory
                }
                found => found?,
            };
        }
        Ok((here, made))
    }
}

/// The modification time of a file, to be given back; the time of the last access stays.
pub(crate) fn times_of(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    }
}
