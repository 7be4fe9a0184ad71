//! One component of the way to a mount target: looked at, or made, by its descriptor.

use super::lookup::{Kind, Missing, Surroundings};
use super::mark::is_marked;
use super::open;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// So often is a component looked at again that vanishes as soon as it was seen.
const RACES: usize = 32;

/// What a component is.
pub(super) enum Found {
    /// Not a symlink: its O_PATH descriptor.
    File(OwnedFd),
    /// A symlink, and where it leads.
    Link(PathBuf),
    /// An empty directory that is not there yet.
    Empty,
}

/// Opens one component of a way, made where it is missing and that was asked for.
///
/// # Errors
/// Those of openat2(2) and of what makes it; EBUSY where it comes and goes.
pub(super) fn component(
    dir: &OwnedFd,
    name: &Path,
    kind: Option<Kind>,
    missing: Missing,
    around: &mut dyn Surroundings,
) -> Result<Found, Errno> {
    for _ in 0..RACES {
        match (open(dir, name, OFlags::PATH, Mode::empty()), kind) {
            // Another run on the same directory may have been faster; what it made is looked at
            // like everything else.
            (Err(Errno::NOENT), Some(kind)) if missing == Missing::Made => {
                around.make(dir.as_fd(), name, kind)?;
            }
            (Ok(fd), kind) => {
                let stat = fstat(&fd)?;
                let is_made = missing == Missing::Made
                    && (is_marked(&stat) || around.bears_the_mark(dir.as_fd(), name));
                let Some(made) = kind.filter(|_| is_made) else {
                    return of_kind(fd, &stat, kind);
                };
                around.share(dir.as_fd(), name, made)?;
                // Shared or not, it is used only if it still is what the name shows.
                let is_there = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|now| (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino));
                if is_there {
                    return of_kind(fd, &stat, kind);
                }
            }
            (Err(errno), _) => return Err(errno),
        }
    }
    Err(Errno::BUSY)
}

fn of_kind(fd: OwnedFd, stat: &Stat, kind: Option<Kind>) -> Result<Found, Errno> {
    match (kind, FileType::from_raw_mode(stat.st_mode)) {
        // Of the descriptor, so that it is this link's and no other's, readlinkat(2).
        (_, FileType::Symlink) => {
            let to = readlinkat(&fd, c"", Vec::new())?.into_bytes();
            Ok(Found::Link(OsString::from_vec(to).into()))
        }
        (Some(Kind::Directory) | None, FileType::Directory) => Ok(Found::File(fd)),
        (Some(Kind::Directory), _) => Err(Errno::NOTDIR),
        (Some(Kind::File), FileType::Directory) => Err(Errno::ISDIR),
        (Some(Kind::File) | None, _) => Ok(Found::File(fd)),
    }
}

/// What stands where a target was looked for, in words.
pub(super) fn wrong_with(errno: Errno, dir: &OwnedFd, name: &OsStr) -> &'static str {
    let kind = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        Ok(FileType::Symlink) => "is a symlink, and none is followed there",
        Ok(FileType::Directory) if errno == Errno::ISDIR => "is a directory, not a file",
        Ok(_) if errno == Errno::NOTDIR => "is not of the right kind",
        Ok(_) if errno == Errno::BUSY => "is locked, or comes and goes",
        Ok(_) => "cannot be used",
        Err(Errno::NOENT) if matches!(errno, Errno::NOENT | Errno::ROFS) => "is missing",
        Err(Errno::NOENT) => "is missing, and cannot be made",
        Err(_) => "cannot be reached",
    }
}
