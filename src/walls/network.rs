//! A network namespace: it starts with nothing but a loopback, which is down,
//! network_namespaces(7).

use crate::error::{SysError, of_nix};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Brings `lo` up; the kernel gives it 127.0.0.1 and ::1 by itself.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN over the namespace.
pub fn up() -> Result<()> {
    let any = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .or_else(|_| {
            socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        })?;
    crate::sys::interface_up(any, c"lo")
}

/// What is told where the right is missing.
pub const NEEDS_NET_ADMIN: &str = "bringing lo up needs CAP_NET_ADMIN";

/// Moves this process into a new one, with its loopback up.
///
/// # Errors
/// Those of unshare(2), and of [`up`].
fn leave() -> std::result::Result<(), SysError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(of_nix)?;
    up().map_err(|errno| match errno {
        Errno::PERM => SysError::new(errno, NEEDS_NET_ADMIN),
        _ => SysError::new(errno, "bringing lo up"),
    })
}

/// Makes one for another process, and comes back from it: the file that it is entered by.
///
/// # Errors
/// As [`leave`]; EPERM where it cannot go back: then this process is in the wrong network, and has
/// nothing more to do there.
pub fn make() -> std::result::Result<OwnedFd, SysError> {
    let own = || open(c"/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let before = own()?;
    let made = leave().and_then(|()| Ok(own()?));
    setns(&before, CloneFlags::CLONE_NEWNET)
        .map_err(|errno| SysError::new(of_nix(errno), "going back to the caller's network"))?;
    made
}

/// Moves this process into one.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub fn enter(namespace: impl AsFd) -> Result<()> {
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(of_nix)
}
