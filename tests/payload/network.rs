//! A port and an ICMP socket, and what the kernel says of them.

use nix::errno::Errno;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Whether a port can be listened on.
pub(super) fn listen(port: &str) -> String {
    let port = port.parse().unwrap_or_default();
    match TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
        Ok(_) => "listens".into(),
        Err(error) => name(&error),
    }
}

/// Whether an echo request of icmp(7) to the loopback is answered, by a socket that needs no right.
pub(super) fn ping() -> String {
    const REQUEST: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 1];
    let asked = || {
        // SAFETY: the descriptor is nobody's yet, and is used within this call alone.
        let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP) };
        if socket < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: as above; it is closed by the socket that owns it from here on.
        let socket: std::net::UdpSocket = unsafe { std::os::fd::FromRawFd::from_raw_fd(socket) };
        socket.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
        socket.send_to(&REQUEST, (Ipv4Addr::LOCALHOST, 0))?;
        let mut answer = [0; 64];
        let length = socket.recv(&mut answer)?;
        Ok(length >= REQUEST.len() && answer[0] == 0)
    };
    match asked() {
        Ok(true) => "an answer".into(),
        Ok(false) => "something else".into(),
        Err(error) => name(&error),
    }
}

fn name(error: &std::io::Error) -> String {
    format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap_or_default()))
}
