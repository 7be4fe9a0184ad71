//! The network: a port, an abstract socket, an interface of the outside. Sockets with a path are
//! files: see the root wall.

use super::right::{Right, held_outside, none_to_keep};
use super::{Direction, Effect, Outside, Probe, Try, heard, planted};
use crate::error::{errno_of, without_number};
use crate::namespace::Namespace;
use crate::verify::protocol::{self, Reply};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::time::Duration;

/// The probes.
pub const PROBES: [Probe; 4] = [
    Probe {
        id: "RV-NET-01",
        wall: Wall::Net,
        title: "connect to a port on the loopback",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: tcp,
    },
    Probe {
        id: "RV-NET-02",
        wall: Wall::Net,
        title: "connect to an abstract socket",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: abstract_socket,
    },
    Probe {
        id: "RV-NET-05",
        wall: Wall::Net,
        title: "find the outside's interface in /sys: a sysfs shows the network of whoever \
            mounted it",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: sysfs,
    },
    Probe {
        id: "RV-NET-06",
        wall: Wall::Net,
        title: "the right to send raw packets on the outside's network",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: raw,
    },
];

/// Listeners of the stage.
pub struct Canary {
    tcp: TcpListener,
    port: u16,
    unix: UnixListener,
}

impl Canary {
    pub(super) fn plant(stage: &Stage) -> Result<Self, String> {
        let planted = || -> std::io::Result<Self> {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            tcp.set_nonblocking(true)?;
            let unix =
                UnixListener::bind_addr(&UnixAddr::from_abstract_name(abstract_name(stage))?)?;
            unix.set_nonblocking(true)?;
            Ok(Self { port: tcp.local_addr()?.port(), tcp, unix })
        };
        planted().map_err(|error| without_number(&error))
    }
}

fn abstract_name(stage: &Stage) -> String {
    format!("rustic.{}", stage.nonce)
}

fn tcp(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.net, "connect", |canary| {
        let reply = subject.ask(&protocol::Crossing::Net(Crossing::Tcp {
            port: canary.port,
            mark: subject.mark.clone(),
        }));
        let (receipt, seen) = heard(canary.tcp.accept().map(|(stream, _)| stream), &subject.mark);
        Try::marking(
            reply,
            subject.identity(Namespace::Net),
            receipt,
            seen,
            &[Errno::CONNREFUSED, Errno::NETUNREACH],
        )
    })
}

fn abstract_socket(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.net, "connect", |canary| {
        let crossing =
            Crossing::Abstract { name: abstract_name(outside.stage), mark: subject.mark.clone() };
        let reply = subject.ask(&protocol::Crossing::Net(crossing));
        let (receipt, seen) = heard(canary.unix.accept().map(|(stream, _)| stream), &subject.mark);
        Try::marking(reply, subject.identity(Namespace::Net), receipt, seen, &[Errno::CONNREFUSED])
    })
}

fn sysfs(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = &outside.stage.no_sysfs {
        return Try::untried("open", reason);
    }
    let reply = subject.ask(&protocol::Crossing::Read { path: "/sys/class/net/lo/ifalias".into() });
    Try::reading(reply, subject.identity(Namespace::Net), &outside.stage.secret, &[Errno::NOENT])
}

fn raw(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.may(Capability::CAP_NET_RAW) {
        return Try::untried("socket", &none_to_keep(Capability::CAP_NET_RAW));
    }
    let reply = subject.ask(&protocol::Crossing::Net(Crossing::Raw));
    let right = Right { capability: Capability::CAP_NET_RAW, present: &[] };
    held_outside(right, reply, subject.identity(Namespace::Net), subject)
        .or_without(right.capability)
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// connect(2) to 127.0.0.1.
    Tcp { port: u16, mark: String },
    /// connect(2) to a name in the abstract namespace, unix(7).
    Abstract { name: String, mark: String },
    /// socket(2) of AF_PACKET.
    Raw,
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        match self {
            Self::Tcp { port, mark } => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
                let sent = TcpStream::connect_timeout(&address, Duration::from_millis(500))
                    .and_then(|mut stream| stream.write_all(mark.as_bytes()));
                Reply::plain("connect", address.to_string(), sent.map_err(|error| errno_of(&error)))
            }
            Self::Abstract { name, mark } => {
                let sent = UnixAddr::from_abstract_name(name)
                    .and_then(|address| UnixStream::connect_addr(&address))
                    .and_then(|mut stream| stream.write_all(mark.as_bytes()));
                Reply::plain("connect", format!("@{name}"), sent.map_err(|error| errno_of(&error)))
            }
            Self::Raw => {
                let socket =
                    socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None);
                Reply::plain("socket", "AF_PACKET, SOCK_RAW", socket.map(drop))
            }
        }
    }
}
