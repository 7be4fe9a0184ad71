//! AF_VSOCK, vsock(7): sockets between a virtual machine and its host. Ports are the machine's.

use super::errno::checked;
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Result;

/// Any port that is free.
pub const ANY_PORT: u32 = libc::VMADDR_PORT_ANY;

/// How the inside calls a port that is taken while the next one is not.
pub const TAKEN: &str = "taken";

/// A socket of it.
pub fn socket() -> Result<OwnedFd> {
    // SAFETY: integers only.
    let fd = checked(
        unsafe { libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) }.into(),
    )?;
    // SAFETY: a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Binds a socket to a port, and returns the port. It listens to nobody.
pub fn bind(socket: &OwnedFd, port: u32) -> Result<u32> {
    // SAFETY: the structure is integers, for which zero is valid.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    address.svm_cid = libc::VMADDR_CID_ANY;
    address.svm_port = port;
    let mut length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    // SAFETY: the structure has the length that is passed and outlives the call.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) }.into())?;
    // SAFETY: likewise; the kernel writes no more than the length that it is given.
    let told = unsafe {
        libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut length)
    };
    checked(told.into())?;
    Ok(address.svm_port)
}
