//! How a mount target is made and removed: under another name until it is complete, with the mark
//! and a lock, and with the rights of the directory's owner.

use super::lookup::Kind;
use super::mark::{mark, use_file};
use super::open;
use crate::random;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags, flock, fstat, mkdirat, renameat_with,
    unlinkat,
};
use rustix::io::{Errno, Result};
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The modes that they are made with.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// How it is opened: its content, so that it can be locked.
pub(super) fn flags(kind: Kind) -> OFlags {
    match kind {
        Kind::Directory => OFlags::RDONLY | OFlags::DIRECTORY,
        Kind::File => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
    }
}

/// What a name is called until it has its mark and its lock: nobody sees it without them.
const UNFINISHED: &str = ".rustic-";
const LETTERS: usize = 16;

/// Makes it under a name that nobody knows, and gives it its own when it is complete.
pub(super) fn make(parent: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<OwnedFd> {
    remove_unfinished(parent)?;
    let new = PathBuf::from(format!("{UNFINISHED}{}", random::letters(LETTERS)?));
    let file = make_marked(parent, &new, kind)?;
    share(&file)?;
    match renameat_with(parent, &new, parent, name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(file),
        Err(errno) => {
            unmake(parent, &new, kind)?;
            // A file system that cannot, as NFS.
            if errno == Errno::INVAL { make_marked(parent, name, kind) } else { Err(errno) }
        }
    }
}

/// Removes what a run that was killed had not finished: nobody has a lock on it. A run that has
/// made it just now, and not locked it yet, finds it gone and begins again.
pub(super) fn remove_unfinished(parent: BorrowedFd<'_>) -> Result<()> {
    let Ok(dir) = open(parent, Path::new("."), flags(Kind::Directory), Mode::empty()) else {
        return Ok(());
    };
    for entry in Dir::new(dir)?.flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let is_one = name.as_bytes().starts_with(UNFINISHED.as_bytes())
            && name.len() == UNFINISHED.len() + LETTERS;
        if !is_one {
            continue;
        }
        for kind in [Kind::Directory, Kind::File] {
            let Ok(file) = open(parent, Path::new(name), flags(kind), Mode::empty()) else {
                continue;
            };
            let is_empty =
                fstat(&file).is_ok_and(|stat| kind == Kind::Directory || stat.st_size == 0);
            if is_empty && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                // A directory with something in it stays.
                let _ = unmake(parent, Path::new(name), kind);
                break;
            }
        }
    }
    Ok(())
}

/// Takes the shared lock, where the file system has locks.
pub(super) fn share(file: &OwnedFd) -> Result<()> {
    if let Err(Errno::AGAIN) = flock(file, FlockOperation::NonBlockingLockShared) {
        return Err(Errno::AGAIN);
    }
    let _ = use_file(file);
    Ok(())
}

fn make_marked(parent: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<OwnedFd> {
    let made = match kind {
        Kind::Directory => {
            mkdirat(parent, name, Mode::from_raw_mode(DIRECTORY_MODE))?;
            open(parent, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?
        }
        Kind::File => {
            let create = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
            open(parent, name, create, Mode::from_raw_mode(FILE_MODE))?
        }
    };
    mark(&made)?;
    Ok(made)
}

/// Removes an empty directory, or a file.
pub(super) fn unmake(parent: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<()> {
    let directory = kind == Kind::Directory;
    unlinkat(parent, name, if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() })
}

/// Does it with the file system ids of a directory's owner, setfsuid(2): the capabilities over
/// files go with uid 0.
pub(super) fn as_the_owner_of<T>(
    dir: BorrowedFd<'_>,
    change: impl FnOnce() -> Result<T>,
) -> Result<T> {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
    let owner = fstat(dir)?;
    if !geteuid().is_root() || owner.st_uid == 0 {
        return change();
    }
    let own = setfsgid(Gid::from_raw(owner.st_gid));
    setfsuid(Uid::from_raw(owner.st_uid));
    let changed = change();
    setfsuid(Uid::from_raw(0));
    setfsgid(own);
    changed
}
