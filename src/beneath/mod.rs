//! Paths inside a root file system: resolved against one descriptor, and never out of it.
//!
//! What is opened here follows no symlink at all. A mount target may be behind links of the image:
//! [`target()`] follows them inside of the root. [`MadeTarget`] is one that was made in a directory
//! of somebody else's, for as long as it is used.

mod component;
mod lookup;
mod made;
mod make;
mod mark;
#[cfg(test)]
mod races;
mod target;
mod tree;

pub use lookup::{AtOnce, Kind, Links, Lookup, Missing, Surroundings, Target};
pub use made::{MadeTarget, is_made};
pub use target::target;
pub use tree::Tree;

use crate::error::SysError;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, XattrFlags, chmodat, fstat, openat2,
    setxattr,
};
use rustix::io::{Errno, Result, fcntl_dupfd_cloexec};
use std::fs::File;
use std::path::Path;

/// Whether a path inside, absolute or relative to the root, is one of the kernel's places or below
/// it: what stands there shows namespaces, and no link of an image leads a target there.
pub fn is_of_the_kernel(path: &Path) -> bool {
    let path = path.strip_prefix("/").unwrap_or(path);
    ["dev", "proc", "sys"].into_iter().any(|own| path.starts_with(own))
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

/// A descriptor of the same file, for as long as one likes.
fn kept_open(file: BorrowedFd<'_>) -> Result<OwnedFd> {
    fcntl_dupfd_cloexec(file, 0)
}

/// What an O_PATH descriptor shows, opened to be read.
///
/// # Errors
/// EACCES.
pub fn reopened(file: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(by_descriptor(file), flags, Mode::empty())
}

/// The same of a regular file alone: opening a fifo would wait, and a device would do who knows what.
///
/// # Errors
/// EINVAL for what is none, and as above.
pub fn regular(file: &OwnedFd) -> std::result::Result<File, SysError> {
    if FileType::from_raw_mode(fstat(file)?.st_mode) != FileType::RegularFile {
        return Err(SysError::new(Errno::INVAL, "it is no regular file"));
    }
    Ok(reopened(file)?.into())
}

/// Sets an extended attribute of what an O_PATH descriptor shows.
///
/// # Errors
/// Those of setxattr(2).
pub fn set_attribute(node: &OwnedFd, name: &[u8], value: &[u8]) -> Result<()> {
    setxattr(by_descriptor(node), name, value, XattrFlags::empty())
}

fn by_descriptor(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Changes the mode of what an O_PATH descriptor shows: chmod by name would follow a symlink that
/// has taken the place, and fchmodat2(2) with AT_EMPTY_PATH is there since Linux 6.6 only.
///
/// # Errors
/// EPERM for another user's.
pub fn chmod(node: &OwnedFd, mode: Mode) -> Result<()> {
    chmodat(CWD, by_descriptor(node), mode, AtFlags::empty())
}
