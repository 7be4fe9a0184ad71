//! What the kernel says of the file of a namespace, ioctl_nsfs(2).

use super::errno::checked;
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Result;

/// `_IO(0xb7, n)` of linux/nsfs.h.
const NS_GET_USERNS: libc::Ioctl = 0xb701;
const NS_GET_PARENT: libc::Ioctl = 0xb702;
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
const NS_GET_OWNER_UID: libc::Ioctl = 0xb704;

/// Its kind, as the flag of clone(2) that makes one (Linux 4.11).
///
/// # Errors
/// ENOTTY for what is no namespace.
pub fn kind(namespace: impl AsFd) -> Result<u64> {
    // SAFETY: the request takes no argument and returns a number.
    let kind = unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_NSTYPE) };
    // CLONE_NEWUSER and others are positive in 32 bits.
    checked(kind.into()).map(|kind| kind as u64)
}

/// The user namespace that owns it (Linux 4.9).
///
/// # Errors
/// EPERM where that is neither the caller's own nor below it.
pub fn owner(namespace: impl AsFd) -> Result<OwnedFd> {
    // SAFETY: the request takes no argument and returns a new descriptor.
    let fd = unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_USERNS) };
    let fd = checked(fd.into())? as RawFd;
    // SAFETY: the kernel has just made it for this call, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The user namespace that it was made in (Linux 4.9).
///
/// # Errors
/// EPERM where that is not the caller's own nor below it.
pub fn parent(user_namespace: impl AsFd) -> Result<OwnedFd> {
    // SAFETY: the request takes no argument and returns a new descriptor.
    let fd = unsafe { libc::ioctl(user_namespace.as_fd().as_raw_fd(), NS_GET_PARENT) };
    let fd = checked(fd.into())? as RawFd;
    // SAFETY: the kernel has just made it for this call, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The uid that has made a user namespace, as the caller's own namespace names it (Linux 4.11).
///
/// # Errors
/// EINVAL for another kind.
pub fn owner_uid(user_namespace: impl AsFd) -> Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the request takes a pointer to a uid_t, which outlives the call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(user_namespace.as_fd().as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid)
    }))?;
    Ok(uid)
}
