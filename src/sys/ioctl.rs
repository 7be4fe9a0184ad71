//! Requests of ioctl(2): of a namespace, a terminal and a network interface.

use super::errno::checked;
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::{Errno, Result};
use std::ffi::CStr;

/// The number that no other namespace of this boot has, ioctl NS_GET_ID (Linux 6.18). ENOTTY in
/// older kernels.
pub fn namespace_id(namespace: impl AsFd) -> Result<u64> {
    /// `_IOR(0xb7, 13, __u64)` of linux/nsfs.h.
    const NS_GET_ID: libc::Ioctl = 0x8008_b70du32 as libc::Ioctl;
    let mut id = 0u64;
    // SAFETY: the request takes a pointer to 64 bits, which outlive the call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_ID, &raw mut id)
    }))?;
    Ok(id)
}

/// TIOCSTI: a byte as if it had been typed into a terminal, tty_ioctl(4).
pub fn type_into(terminal: impl AsFd, byte: u8) -> Result<()> {
    // SAFETY: the request takes a pointer to one byte, which outlives the call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSTI, &raw const byte)
    }))
    .map(drop)
}

/// Brings a network interface of the caller's network namespace up: SIOCGIFFLAGS and SIOCSIFFLAGS,
/// netdevice(7).
pub fn interface_up(socket: impl AsFd, name: &CStr) -> Result<()> {
    // SAFETY: ifreq is integers and bytes, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let name = name.to_bytes();
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::NODEV);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: both requests take a pointer to an ifreq, which lives on this stack; ifr_name ends
    // with NUL, as the name is shorter.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(fd, libc::SIOCGIFFLAGS as libc::Ioctl, &raw mut request)
    }))?;
    // SAFETY: the request above filled ifru_flags, the member that both requests use.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
    // SAFETY: as above.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(fd, libc::SIOCSIFFLAGS as libc::Ioctl, &raw mut request)
    }))?;
    Ok(())
}
