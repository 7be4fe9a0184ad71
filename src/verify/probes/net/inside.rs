//! What is tried with sockets.

use crate::error::errno_of;
use crate::sys::{i386, vsock};
use crate::verify::protocol::{Crossing, Ground, Reply, Topic};
use crate::verify::wall::Wall;
use rustix::fd::{IntoRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::time::Duration;

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetCrossing {
    /// connect(2) to a port of the loopback.
    Tcp { to: SocketAddr, mark: String },
    /// sendto(2) likewise.
    Udp { to: SocketAddr, mark: String },
    /// connect(2) to a name in the abstract namespace, unix(7).
    Abstract { name: String, mark: String },
    /// socket(2) of AF_PACKET.
    Raw,
    /// bind(2) of AF_VSOCK.
    Vsock { gate: Gate, port: u32 },
    /// bind(2) of NETLINK_KOBJECT_UEVENT, which stays open.
    Uevents { gate: Gate },
}

/// By which table of calls a socket is made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// That of the machine.
    Native,
    /// That of i386.
    I386,
}

impl Crossing for NetCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Net);

    /// A kernel without the calls of i386 ends the process for them.
    fn ground(&self) -> Ground {
        match self {
            Self::Vsock { gate: Gate::I386, .. } | Self::Uevents { gate: Gate::I386 } => {
                Ground::Apart
            }
            Self::Vsock { gate: Gate::Native, .. }
            | Self::Uevents { gate: Gate::Native }
            | Self::Tcp { .. }
            | Self::Udp { .. }
            | Self::Abstract { .. }
            | Self::Raw => Ground::Here,
        }
    }

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        match self {
            Self::Tcp { to, mark } => {
                let sent = TcpStream::connect_timeout(to, Duration::from_millis(500))
                    .and_then(|mut stream| stream.write_all(mark.as_bytes()));
                Reply::plain("connect", to.to_string(), sent.map_err(|error| errno_of(&error)))
            }
            Self::Udp { to, mark } => {
                let sent = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
                    .and_then(|socket| socket.send_to(mark.as_bytes(), to));
                let sent = sent.map(drop).map_err(|error| errno_of(&error));
                Reply::plain("sendto", to.to_string(), sent)
            }
            Self::Abstract { name, mark } => {
                let sent = UnixAddr::from_abstract_name(name)
                    .and_then(|address| UnixStream::connect_addr(&address))
                    .and_then(|mut stream| stream.write_all(mark.as_bytes()));
                Reply::plain("connect", format!("@{name}"), sent.map_err(|error| errno_of(&error)))
            }
            Self::Vsock { gate, port } => take_port(*gate, *port),
            Self::Uevents { gate } => listen(*gate),
            Self::Raw => raw(),
        }
    }
}

fn take_port(gate: Gate, port: u32) -> Reply {
    let bind = |port: u32| {
        let socket = match gate {
            Gate::Native => vsock::socket(),
            Gate::I386 => i386::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        };
        socket.and_then(|socket| vsock::bind(&socket, port))
    };
    let told = match bind(port) {
        Ok(_) => Ok((0, "free".to_owned())),
        // The next one is free, unless somebody else has taken it since.
        Err(Errno::ADDRINUSE) => (1..32)
            .map(|next| bind(port.wrapping_add(next)))
            .find(|bound| !matches!(bound, Err(Errno::ADDRINUSE)))
            .unwrap_or(Err(Errno::ADDRINUSE))
            .map(|_| (0, vsock::TAKEN.to_owned())),
        Err(errno) => Err(errno),
    };
    Reply::of("bind", format!("AF_VSOCK port {port}"), told)
}

fn listen(gate: Gate) -> Reply {
    const ALL_EVENTS: u32 = 1;
    let socket = match gate {
        Gate::Native => socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(rustix::net::netlink::KOBJECT_UEVENT),
        ),
        Gate::I386 => {
            i386::socket(libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_KOBJECT_UEVENT)
        }
    };
    let bound = socket.and_then(|socket| {
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, ALL_EVENTS))?;
        Ok(socket)
    });
    Reply::holding("bind", "NETLINK_KOBJECT_UEVENT", bound)
}

fn raw() -> Reply {
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None);
    // Whoever closes one waits for the network's RCU: it goes with this process.
    let kept = socket.map(|socket| {
        let _stays_open = socket.into_raw_fd();
    });
    Reply::plain("socket", "AF_PACKET, SOCK_RAW", kept)
}
