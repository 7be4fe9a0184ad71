//! Read-only views: a file, a device or a fifo through a copy of its mount.

use super::standard::{Stream, descriptors};
use crate::host::Host;
use crate::mounts::{self, Attributes};
use crate::namespace::Namespace;
use crate::spec::Spec;
use caps::Capability;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, SeekFrom, Stat, fcntl_getfl, fcntl_setfl, fstat, open, seek};
use rustix::io::{Errno, Result};
use std::ffi::CString;

/// A view of a file, a device or a fifo, opened at the offset of `fd`: through a copy of its mount, which the container
/// can neither write to nor find again. `None` where none can be had, as of a memory file.
pub(super) fn view(
    fd: BorrowedFd<'_>,
    flags: OFlags,
    stat: &Stat,
    spec: &Spec,
    host: &Host,
) -> Option<(Stream, Option<OwnedFd>)> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    let path = CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())).ok()?;
    if host.holds(Capability::CAP_SYS_ADMIN) {
        let by_descriptor = mounts::copy_mount(fd, c"").and_then(|copy| through(copy, flags, stat));
        // A descriptor of another mount namespace: the same file may have a name in this one.
        let opened = by_descriptor
            .or_else(|_| {
                mounts::copy_mount(rustix::fs::CWD, &path)
                    .and_then(|copy| through(copy, flags, stat))
            })
            .ok()?;
        let offset = seek(fd, SeekFrom::Current(0)).unwrap_or(0);
        let _ = seek(&opened, SeekFrom::Start(offset));
        return Some((Stream::View, Some(opened)));
    }
    // The child may copy mounts in its own mount namespace; whether the file can be opened by its
    // name is known already.
    let own_mounts = spec.namespaces.is_new(Namespace::Mount);
    let again =
        own_mounts.then(|| open(&path, flags_of_open(flags), Mode::empty()).ok()).flatten()?;
    let same =
        fstat(&again).is_ok_and(|one| (one.st_dev, one.st_ino) == (stat.st_dev, stat.st_ino));
    same.then_some((Stream::ViewByPath(path), None))
}

/// The flags that a file is opened anew with.
fn flags_of_open(flags: OFlags) -> OFlags {
    flags & (OFlags::RWMODE | OFlags::APPEND) | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

/// Opens what a copied mount shows, and takes from it what could be changed: a device and a fifo
/// can be written through a read-only mount, which their mode and owner cannot.
///
/// # Errors
/// ESTALE where it is another file than `stat` tells.
fn through(copy: OwnedFd, flags: OFlags, stat: &Stat) -> Result<OwnedFd> {
    mounts::restrict(
        &copy,
        Attributes::READ_ONLY.union(Attributes::NO_SUID).union(Attributes::NO_EXEC),
    )?;
    let shown = fstat(&copy)?;
    if (shown.st_dev, shown.st_ino) != (stat.st_dev, stat.st_ino) {
        return Err(Errno::STALE);
    }
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let opened = open(path, flags_of_open(flags), Mode::empty())?;
    // Not waiting is the view's own affair from here on: it was for the open of a fifo.
    fcntl_setfl(&opened, flags & (OFlags::APPEND | OFlags::NONBLOCK))?;
    // Re-opened inside it would be a device of the host.
    mounts::restrict(&copy, Attributes::NO_DEVICES)?;
    Ok(opened)
}

/// A view that the child opens by a path.
///
/// # Errors
/// ENOENT, EACCES; ESTALE where the path shows another file by now.
pub fn view_by_path(path: &CString, number: usize) -> Result<OwnedFd> {
    let fd = descriptors()[number];
    let (flags, stat) = (fcntl_getfl(fd)?, fstat(fd)?);
    let opened = through(mounts::copy_mount(rustix::fs::CWD, path)?, flags, &stat)?;
    let offset = seek(fd, SeekFrom::Current(0)).unwrap_or(0);
    let _ = seek(&opened, SeekFrom::Start(offset));
    Ok(opened)
}
