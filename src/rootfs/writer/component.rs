//! Calls on a single component of a path, in a directory that is open.

use super::failure::WriteError;
use crate::rootfs::policy::Rule;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, statat, unlinkat};
use rustix::io::Errno;
use std::path::Path;

/// Makes something in a place, with whatever stood there taken away first: an archive may name a
/// path twice, and the last one counts.
pub(super) fn placed<T>(
    dir: BorrowedFd<'_>,
    name: &Path,
    make: impl Fn() -> rustix::io::Result<T>,
) -> Result<T, WriteError> {
    match make() {
        Err(Errno::EXIST) => {
            clear(dir, name)?;
            Ok(make()?)
        }
        result => Ok(result?),
    }
}

/// Takes away what stands in a place, unless it is a directory with something in it. Never opened, never cut: it may be
/// a fifo, or a name of another file.
pub(super) fn clear(dir: BorrowedFd<'_>, name: &Path) -> Result<(), WriteError> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(_) if kind_of(dir, name).is_ok_and(|kind| kind == FileType::Directory) => {
            unlinkat(dir, name, AtFlags::REMOVEDIR).map_err(|errno| match errno {
                Errno::NOTEMPTY | Errno::EXIST => Rule::ReplacesDirectory.into(),
                errno => errno.into(),
            })
        }
        Err(errno) => Err(errno.into()),
    }
}

/// What a name stands for in a directory, not followed.
pub(super) fn kind_of(dir: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<FileType> {
    Ok(FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
}

/// The first of some names in their order, where it begins with this: of what lies below a place, one
/// after another is taken out.
pub(super) fn first_of<'k>(
    below: &[u8],
    mut names: impl Iterator<Item = &'k Vec<u8>>,
) -> Option<Vec<u8>> {
    names.next().filter(|name| name.starts_with(below)).cloned()
}
