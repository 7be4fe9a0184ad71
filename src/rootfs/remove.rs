//! Removing a tree that a container has written, also one with directories that forbid it.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, fchmod, openat, unlinkat};
use rustix::io::{Errno, Result};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Removes a directory with all that is in it, never through a symlink. It is fine if there is none.
///
/// # Errors
/// The first thing that could not be removed; the rest is removed all the same.
pub fn tree(path: &Path) -> Result<()> {
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    match remove(CWD, &name) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

fn remove(parent: impl AsFd, name: &CStr) -> Result<()> {
    match unlinkat(&parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        result => return result,
    }
    let dir = open_to_empty(&parent, name)?;
    let mut first = Ok(());
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            let removed = remove(&dir, entry.file_name());
            first = first.and(removed);
        }
    }
    first.and(unlinkat(&parent, name, AtFlags::REMOVEDIR))
}

/// A directory of one's own can be emptied whatever its mode says, once the mode is changed.
fn open_to_empty(parent: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    let open = |flags| openat(&parent, name, flags | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let dir = match open(OFlags::RDONLY) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(&parent, name, Mode::RWXU, AtFlags::empty())?;
            open(OFlags::RDONLY)?
        }
        result => result?,
    };
    let _ = fchmod(&dir, Mode::RWXU);
    Ok(dir)
}
