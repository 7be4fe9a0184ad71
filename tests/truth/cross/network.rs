//! Ports, sockets, interfaces and events of the outside.

use super::attempt::{crossed, holds};
use crate::canaries::Canaries;
use std::fs::{self};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

pub(super) fn network(told: &Canaries, places: &[PathBuf]) {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], told.port));
    if TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok() {
        crossed("net", "connect");
    }
    let name = SocketAddr::from_abstract_name(&told.secret).unwrap();
    if UnixStream::connect_addr(&name).is_ok() {
        crossed("net", "abstract");
    }
    for place in places {
        let sockets = place.join(format!("{}/net/unix", told.pid));
        for path in [place.join("class/net/lo/ifalias"), sockets] {
            if holds(&path, &told.secret) {
                crossed("net", path.display());
            }
        }
    }
    if told.vsock != 0 && vsock(told.vsock) == Some(libc::EADDRINUSE) {
        crossed("net", "vsock");
    }
    // A network namespace that the first user namespace owns hears the kernel's events.
    let ours = told.namespaces.iter().find(|(name, _)| name == "user").unwrap();
    let first =
        fs::read_link("/proc/self/ns/user").is_ok_and(|link| link.to_string_lossy() == ours.1);
    // SAFETY: numbers, and an address of the length that is passed.
    unsafe {
        let socket = libc::socket(libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_KOBJECT_UEVENT);
        let mut address: libc::sockaddr_nl = std::mem::zeroed();
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = 1;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        if libc::bind(socket, (&raw const address).cast(), length) == 0 && first {
            crossed("net", "uevents");
        }
    }
}

/// Why a port cannot be taken.
fn vsock(port: u32) -> Option<i32> {
    // SAFETY: numbers, and an address of the length that is passed.
    unsafe {
        let socket = libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0);
        let mut address: libc::sockaddr_vm = std::mem::zeroed();
        address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
        (address.svm_cid, address.svm_port) = (libc::VMADDR_CID_ANY, port);
        let length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
        (libc::bind(socket, (&raw const address).cast(), length) != 0)
            .then(|| std::io::Error::last_os_error().raw_os_error())
            .flatten()
    }
}
