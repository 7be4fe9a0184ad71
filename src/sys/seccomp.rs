//! Filters of system calls and those who are asked by one, seccomp(2) and seccomp_unotify(2).

use super::errno::checked;
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};

/// A filter as the kernel is handed it. EINVAL, as its own answer, where it is longer than can be
/// said.
fn program(filter: &[libc::sock_filter]) -> Result<libc::sock_fprog> {
    let len = u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    Ok(libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() })
}

/// seccomp(SECCOMP_SET_MODE_FILTER), seccomp(2). Needs no_new_privs or CAP_SYS_ADMIN.
pub fn set_seccomp_filter(filter: &[libc::sock_filter]) -> Result<()> {
    let program = program(filter)?;
    // SAFETY: `program` names exactly the instructions of `filter`; the kernel copies them and
    // writes nothing.
    checked(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    })?;
    Ok(())
}

/// As [`set_seccomp_filter`], with SECCOMP_FILTER_FLAG_NEW_LISTENER (Linux 5.0): the descriptor is
/// told of calls that the filter answers with SECCOMP_RET_USER_NOTIF. The kernel gives it
/// close-on-exec.
pub fn set_seccomp_filter_with_listener(filter: &[libc::sock_filter]) -> Result<OwnedFd> {
    let program = program(filter)?;
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // SAFETY: as above.
    let fd = checked(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })?;
    // SAFETY: with this flag a result that is no error is a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A call that waits for an answer, see seccomp_unotify(2).
pub struct Notification {
    /// A cookie of the kernel's, which the answer must carry.
    pub id: u64,
    /// The calling thread, in the pid namespace of whoever reads.
    pub pid: u32,
    /// The calling convention, AUDIT_ARCH_*.
    pub arch: u32,
    /// The call's number in it.
    pub number: u32,
    /// The call's arguments.
    pub arguments: [u64; 6],
}

/// SECCOMP_IOCTL_NOTIF_RECV: waits for a call.
pub fn receive_notification(listener: impl AsFd) -> Result<Notification> {
    // SAFETY: the structure is plain integers, and the kernel demands that it is zero before the
    // call.
    let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the request takes a pointer to this structure, which outlives the call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notification)
    }))?;
    let data = notification.data;
    Ok(Notification {
        id: notification.id,
        pid: notification.pid,
        arch: data.arch,
        number: data.nr as u32,
        arguments: data.args,
    })
}

/// SECCOMP_IOCTL_NOTIF_SEND with SECCOMP_USER_NOTIF_FLAG_CONTINUE (Linux 5.5): the call is made as
/// if nobody had been asked.
pub fn continue_notified(listener: impl AsFd, id: u64) -> Result<()> {
    let mut answer = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: 0,
        flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
    };
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the request takes a pointer to this structure, which outlives the call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer)
    }))?;
    Ok(())
}
