//! CMD, looked for in the tree as it will be.

use super::{Child, opened};
use crate::beneath::{self, Kind, Links, Lookup, Missing, Surroundings, Target};
use crate::error::SysError;
use crate::run::exec;
use crate::run::step::Mount;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, statat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What will be mounted: where, and what; nothing where it will be hidden.
struct Tree<'a> {
    mounts: Vec<(PathBuf, Option<BorrowedFd<'a>>)>,
    /// Targets that are missing, and will be made.
    missing: Vec<PathBuf>,
}

impl Surroundings for Tree<'_> {
    fn mounted(&self, path: &Path) -> Result<Option<OwnedFd>, Errno> {
        match self.mounts.iter().rev().find(|(target, _)| target == path) {
            Some((_, Some(mount))) => fcntl_dupfd_cloexec(mount, 0).map(Some),
            Some((_, None)) => Err(Errno::NOENT),
            None => Ok(None),
        }
    }

    fn make(&mut self, _: BorrowedFd<'_>, _: &Path, _: Kind) -> Result<(), Errno> {
        Err(Errno::NOENT)
    }

    fn share(&mut self, _: BorrowedFd<'_>, _: &Path, _: Kind) -> Result<(), Errno> {
        Ok(())
    }
}

impl Child<'_> {
    /// ENOENT where no candidate is there. What cannot be looked at is left to execve(2).
    pub(super) fn find_cmd(
        &self,
        cmd: &[CString],
        env: &[CString],
        workdir: &CStr,
        mounts: &[Rc<Mount>],
        hidden: &[PathBuf],
    ) -> Result<(), SysError> {
        let root = opened(self.root.as_ref())?;
        let mut tree = Tree { mounts: Vec::new(), missing: Vec::new() };
        for mount in mounts {
            let target = real(root, &mut tree, &mount.target);
            if look(root, &mut tree, &mount.target).is_err() {
                tree.missing.push(target.clone());
            }
            tree.mounts.push((target, Some(self.mount(mount.slot)?)));
        }
        for path in hidden {
            let path = real(root, &mut tree, path);
            // What is shown below a hidden directory was ordered.
            if !tree.mounts.iter().any(|(target, _)| target.starts_with(&path)) {
                tree.mounts.push((path, None));
            }
        }
        let Some(name) = cmd.first() else { return Err(Errno::NOENT.into()) };
        let workdir = Path::new(OsStr::from_bytes(workdir.to_bytes()));
        let is_missing = |path: &CString| {
            let path = workdir.join(OsStr::from_bytes(path.to_bytes()));
            let found = look(root, &mut tree, &path).map_err(|error| error.errno);
            matches!(found, Err(Errno::NOENT | Errno::NOTDIR))
                && !is_dangling(root, &mut tree, &path)
                && !will_be_there(root, &mut tree, &path)
        };
        if exec::candidates(name, env).iter().all(is_missing) {
            return Err(Errno::NOENT.into());
        }
        Ok(())
    }
}

fn look(root: BorrowedFd<'_>, tree: &mut Tree<'_>, path: &Path) -> Result<Target, SysError> {
    let lookup = Lookup { path, kind: None, links: Links::Inside, missing: Missing::Refused };
    beneath::target(root, lookup, tree)
}

/// Whether it is a link that leads nowhere: execve(2) will say so.
fn is_dangling(root: BorrowedFd<'_>, tree: &mut Tree<'_>, path: &Path) -> bool {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
    look(root, tree, parent)
        .is_ok_and(|parent| statat(parent.file, name, AtFlags::SYMLINK_NOFOLLOW).is_ok())
}

/// Whether it is, or is in, something that will be mounted in a place that is still to be made.
fn will_be_there(root: BorrowedFd<'_>, tree: &mut Tree<'_>, path: &Path) -> bool {
    let path = real(root, tree, path);
    tree.missing.iter().any(|target| path.starts_with(target))
}

/// Where a path is behind links, as far as it is there.
fn real(root: BorrowedFd<'_>, tree: &mut Tree<'_>, path: &Path) -> PathBuf {
    match (look(root, tree, path), path.parent(), path.file_name()) {
        (Ok(found), ..) => found.path,
        (Err(_), Some(parent), Some(name)) => real(root, tree, parent).join(name),
        (Err(_), ..) => Path::new("/").join(path),
    }
}
