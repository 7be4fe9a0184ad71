//! Paths inside a root file system: resolved against one descriptor, one component at a time, and
//! never through a symlink.

use crate::error::{SysError, printable};
use crate::namespace::Switch;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, chmodat, fstat, mkdirat, openat2, statat,
};
use rustix::io::{Errno, Result};
use std::path::{Component, Path};

/// What a mount target must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
}

/// openat2(2) refuses with EAGAIN when a rename races with it; so often is it asked again.
const RACES: usize = 32;

/// A path beneath `dir`, without following a symlink on the way, not even a magic one.
///
/// # Errors
/// ELOOP for a symlink, ENOENT, EACCES.
pub fn open(dir: impl AsFd, name: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    resolve(dir, name, flags, mode, ResolveFlags::empty())
}

/// A directory beneath a root by its whole path, to be read and changed. Neither a symlink nor a
/// mount is on the way.
///
/// # Errors
/// ELOOP for a symlink, ENOTDIR, ENOENT, EXDEV for a mount.
pub fn directory(root: impl AsFd, path: &Path) -> Result<OwnedFd> {
    resolve(root, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty(), ResolveFlags::NO_XDEV)
}

fn resolve(
    dir: impl AsFd,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    more: ResolveFlags,
) -> Result<OwnedFd> {
    let how =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | more;
    let mut last = Errno::AGAIN;
    for _ in 0..RACES {
        match openat2(&dir, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode, how) {
            Err(errno @ (Errno::AGAIN | Errno::INTR)) => last = errno,
            result => return result,
        }
    }
    Err(last)
}

/// Changes the mode of what an O_PATH descriptor shows: chmod by name would follow a symlink that
/// has taken the place, and fchmodat2(2) with AT_EMPTY_PATH is there since Linux 6.6 only.
///
/// # Errors
/// EPERM for another user's.
pub fn chmod(node: &OwnedFd, mode: Mode) -> Result<()> {
    chmodat(CWD, format!("/proc/self/fd/{}", node.as_raw_fd()), mode, AtFlags::empty())
}

/// A mount target beneath a root, as an O_PATH descriptor. `path` is relative to the root.
///
/// # Errors
/// ELOOP where a component is a symlink, ENOTDIR or EISDIR where it is of the wrong kind, ENOENT
/// where it is missing and `make` is no; the detail names the path inside.
pub fn target(
    root: impl AsFd,
    path: &Path,
    kind: Kind,
    make: Switch,
) -> std::result::Result<OwnedFd, SysError> {
    let mut here = open(&root, Path::new("."), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let mut walked = std::path::PathBuf::from("/");
    let mut parts = path
        .components()
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
        .peekable();
    while let Some(part) = parts.next() {
        let name = Path::new(part.as_os_str());
        walked.push(name);
        let wanted = if parts.peek().is_some() { Kind::Directory } else { kind };
        here = component(&here, name, wanted, make)
            .map_err(|errno| SysError::new(errno, found(errno, &here, name, &walked)))?;
    }
    Ok(here)
}

fn component(dir: &OwnedFd, name: &Path, kind: Kind, make: Switch) -> Result<OwnedFd> {
    match open(dir, name, OFlags::PATH, Mode::empty()) {
        Err(Errno::NOENT) if make == Switch::Yes => {
            let made = match kind {
                Kind::Directory => mkdirat(dir, name, Mode::from_raw_mode(0o755)),
                Kind::File => {
                    let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                    open(dir, name, create, Mode::from_raw_mode(0o644)).map(drop)
                }
            };
            // Another run on the same directory may have been faster; what it made is looked at
            // like everything else.
            match made {
                Ok(()) | Err(Errno::EXIST) => component(dir, name, kind, Switch::No),
                Err(errno) => Err(errno),
            }
        }
        Ok(fd) => match (kind, FileType::from_raw_mode(fstat(&fd)?.st_mode)) {
            (Kind::Directory, FileType::Directory) | (Kind::File, FileType::RegularFile) => Ok(fd),
            (_, FileType::Symlink) => Err(Errno::LOOP),
            (Kind::Directory, _) => Err(Errno::NOTDIR),
            (Kind::File, FileType::Directory) => Err(Errno::ISDIR),
            (Kind::File, _) => Err(Errno::INVAL),
        },
        error => error,
    }
}

/// What stands where a target was looked for, in words.
fn found(errno: Errno, dir: &OwnedFd, name: &Path, walked: &Path) -> String {
    let kind = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| FileType::from_raw_mode(stat.st_mode));
    let what = match kind {
        Ok(FileType::Symlink) => "is a symlink, and none is followed inside a root file system",
        Ok(FileType::Directory) if errno == Errno::ISDIR => "is a directory, not a file",
        Ok(_) if matches!(errno, Errno::NOTDIR | Errno::INVAL) => "is not of the right kind",
        Ok(_) => "cannot be used",
        Err(Errno::NOENT) => "is missing",
        Err(_) => "cannot be reached",
    };
    format!("{} {what}", printable(&walked.to_string_lossy()))
}
