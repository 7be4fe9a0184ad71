//! The network: a port, an abstract socket, an interface of the outside. Sockets with a path are
//! files: see the root wall.

use super::right::{Right, held_outside, none_to_keep};
use super::{
    Direction, Effect, Outside, Probe, Try, arrived, delivered, heard, mounted, planted, read_any,
};
use crate::error::{errno_of, errno_text, without_number};
use crate::namespace::Namespace;
use crate::spec::Opening;
use crate::sys::{i386, vsock};
use crate::verify::protocol::{self, Reply};
use crate::verify::stage::{Rights, Stage};
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::{IntoRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The probes.
pub const PROBES: [Probe; 13] = [
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
    Probe {
        id: "RV-NET-07",
        wall: Wall::Net,
        title: "take a port of AF_VSOCK that is taken outside: no network namespace hides them",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: vsock,
    },
    Probe {
        id: "RV-NET-08",
        wall: Wall::Net,
        title: "listen to the kernel's events of devices, which reach every network that no user \
            namespace owns",
        direction: Direction::In,
        effect: Effect::None,
        attempt: uevents,
    },
    Probe {
        id: "RV-NET-13",
        wall: Wall::Net,
        title: "the port of AF_VSOCK by a call of i386, which a filter may have forgotten",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: vsock_i386,
    },
    Probe {
        id: "RV-NET-14",
        wall: Wall::Net,
        title: "the kernel's events by a call of i386",
        direction: Direction::In,
        effect: Effect::None,
        attempt: uevents_i386,
    },
    Probe {
        id: "RV-NET-09",
        wall: Wall::Net,
        title: "find a sysfs of the host's network among the mounts",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: host_sysfs,
    },
    Probe {
        id: "RV-NET-15",
        wall: Wall::Net,
        title: "find the outside's socket in the /proc/PID/net of a process outside",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: sockets,
    },
    Probe {
        id: "RV-NET-16",
        wall: Wall::Net,
        title: "find the network of a process of the host among the mounts",
        direction: Direction::In,
        effect: Effect::None,
        attempt: process_among_mounts,
    },
    Probe {
        id: "RV-NET-10",
        wall: Wall::Net,
        title: "connect to a port on the loopback of IPv6",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: tcp6,
    },
    Probe {
        id: "RV-NET-11",
        wall: Wall::Net,
        title: "send a datagram to a port on the loopback",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: udp,
    },
];

/// Listeners of the stage.
pub struct Canary {
    tcp: TcpListener,
    port: u16,
    unix: UnixListener,
    /// One whose name is the secret.
    _named: UnixListener,
    tcp6: Result<TcpListener, String>,
    udp: UdpSocket,
    vsock: Result<(OwnedFd, u32), String>,
}

impl Canary {
    pub(super) fn plant(stage: &Stage) -> Result<Self, String> {
        let planted = || -> std::io::Result<Self> {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            tcp.set_nonblocking(true)?;
            let unix =
                UnixListener::bind_addr(&UnixAddr::from_abstract_name(abstract_name(stage))?)?;
            unix.set_nonblocking(true)?;
            let tcp6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0))
                .and_then(|tcp6| tcp6.set_nonblocking(true).map(|()| tcp6))
                .map_err(|error| without_number(&error));
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            udp.set_nonblocking(true)?;
            let vsock = vsock::socket()
                .and_then(|socket| vsock::bind(&socket, vsock::ANY_PORT).map(|port| (socket, port)))
                .map_err(errno_text);
            let named = UnixAddr::from_abstract_name(&stage.secret)?;
            let named = UnixListener::bind_addr(&named)?;
            Ok(Self { port: tcp.local_addr()?.port(), tcp, unix, _named: named, tcp6, udp, vsock })
        };
        planted().map_err(|error| without_number(&error))
    }
}

fn abstract_name(stage: &Stage) -> String {
    format!("rustic.{}", stage.nonce)
}

fn tcp(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.net, "connect", |canary| {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, canary.port));
        let crossing = Crossing::Tcp { to, mark: subject.mark.clone() };
        let reply = subject.ask(&protocol::Crossing::Net(crossing));
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
    let mut paths = subject.paths_of("sysfs", Path::new(ALIAS));
    paths.extend(outside.by_ways(subject, &Path::new("/sys").join(ALIAS)));
    read_any(
        subject,
        paths,
        subject.identity(Namespace::Net),
        &outside.stage.secret,
        &[Errno::NOENT],
    )
    .or_elsewhere()
}

/// What the outside has written into its sysfs.
const ALIAS: &str = "class/net/lo/ifalias";

/// The table of sockets of a process outside, in which one has the secret for a name.
fn sockets(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.pid, "open", |process| {
        planted(&outside.canaries.net, "open", |_| {
            let table = format!("{}/net/unix", process.number());
            let whole = subject.points("proc").into_iter().map(|proc| proc.join(&table));
            let paths: Vec<PathBuf> = whole.collect();
            let walled = [Errno::NOENT, Errno::ACCESS, Errno::PERM];
            let identity = subject.identity(Namespace::Net);
            read_any(subject, paths, identity, &outside.stage.secret, &walled)
                .through(subject.role.shares(Namespace::Pid))
        })
    })
}

/// A directory of a process of the host's shows its network, and so does what it has in net/.
fn process_among_mounts(outside: &Outside<'_>, subject: &Target) -> Try {
    let devices = outside.stage.host.devices(|kind| kind == "proc");
    let net: Vec<u64> = subject
        .parts_of_processes()
        .filter(|(_, part)| part == Path::new("") || part.starts_with("net"))
        .map(|(shown, _)| shown.mount.id)
        .collect();
    mounted(subject, &devices, subject.identity(Namespace::Net), |shown, _| {
        shown.mount.root == Path::new("/") || net.contains(&shown.mount.id)
    })
}

fn host_sysfs(outside: &Outside<'_>, subject: &Target) -> Try {
    let mut devices = outside.stage.host.devices(|kind| kind == "sysfs");
    if subject.identity(Namespace::Net) == Identity::Different {
        // The stage's own: a new network has a sysfs of its own.
        devices.extend(rustix::fs::stat("/sys").map(|stat| stat.st_dev));
    }
    // Interfaces are found below these.
    let with_interfaces = ["/class", "/devices"];
    mounted(subject, &devices, subject.identity(Namespace::Net), |shown, _| {
        let root = &shown.mount.root;
        root == Path::new("/") || with_interfaces.iter().any(|one| root.starts_with(one))
    })
}

fn tcp6(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.net, "connect", |canary| {
        let listener = match &canary.tcp6 {
            Ok(listener) => listener,
            Err(reason) => {
                return Try::untried("connect", &format!("the host has no IPv6: {reason}"));
            }
        };
        let Ok(to) = listener.local_addr() else {
            return Try::unplanted("connect", "its port could not be read");
        };
        let crossing = Crossing::Tcp { to, mark: subject.mark.clone() };
        let reply = subject.ask(&protocol::Crossing::Net(crossing));
        let (receipt, seen) = heard(listener.accept().map(|(stream, _)| stream), &subject.mark);
        let walled = [Errno::CONNREFUSED, Errno::NETUNREACH, Errno::ADDRNOTAVAIL];
        Try::marking(reply, subject.identity(Namespace::Net), receipt, seen, &walled)
    })
}

fn udp(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.net, "sendto", |canary| {
        let Ok(to) = canary.udp.local_addr() else {
            return Try::unplanted("sendto", "its port could not be read");
        };
        let crossing = Crossing::Udp { to, mark: subject.mark.clone() };
        let reply = subject.ask(&protocol::Crossing::Net(crossing));
        let mut text = [0; 64];
        let heard = canary.udp.recv(&mut text);
        let ours = heard.is_ok_and(|length| text[..length] == *subject.mark.as_bytes());
        let (receipt, seen) = delivered(ours);
        // A datagram to a port that nobody has is lost: that it was sent says nothing.
        Try::marking(reply, subject.identity(Namespace::Net), receipt, seen, &[Errno::NETUNREACH])
            .or_stayed()
    })
}

/// What answers for a family or a protocol that is closed: as a kernel without it.
const CLOSED: [Errno; 4] = [Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT, Errno::PERM, Errno::ACCESS];

/// Ports of AF_VSOCK are the machine's. Inside, the one that is taken outside must be free; the
/// next one is, so that it is not the right to take any that is missing. Nothing is sent.
fn vsock(outside: &Outside<'_>, subject: &Target) -> Try {
    take_port(Gate::Native, outside, subject)
}

fn vsock_i386(outside: &Outside<'_>, subject: &Target) -> Try {
    take_port(Gate::I386, outside, subject).or_without_i386()
}

fn take_port(gate: Gate, outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.net, "bind", |canary| {
        let port = match &canary.vsock {
            Ok((_, port)) => *port,
            Err(reason) => {
                return Try::untried("bind", &format!("the host has no AF_VSOCK: {reason}"));
            }
        };
        let reply = subject.ask(&protocol::Crossing::Net(Crossing::Vsock { gate, port }));
        let taken = reply.data() == vsock::TAKEN;
        let seen =
            if taken { "our port is taken there too" } else { "our port means nothing there" };
        Try::marking(reply, subject.identity(Namespace::Net), arrived(taken), seen, &CLOSED)
            .or_stayed()
            .or_closed()
            .through(opened_by(subject, Capability::CAP_SYS_ADMIN))
    })
}

/// The kernel sends its events of devices to the sockets of every network namespace that the
/// initial user namespace owns (lib/kobject_uevent.c). The receipt is the socket, in the kernel's
/// own table of that network.
fn uevents(outside: &Outside<'_>, subject: &Target) -> Try {
    listen(Gate::Native, outside, subject)
}

fn uevents_i386(outside: &Outside<'_>, subject: &Target) -> Try {
    listen(Gate::I386, outside, subject).or_without_i386()
}

fn listen(gate: Gate, outside: &Outside<'_>, subject: &Target) -> Try {
    if outside.stage.rights != Rights::Machine {
        return Try::untried("bind", "the caller's own network hears none");
    }
    let reply = subject.ask(&protocol::Crossing::Net(Crossing::Uevents { gate }));
    let listens = reply.number().is_some_and(|number| listens_to_uevents(subject, number));
    let owned = subject.identity(Namespace::User) == Identity::Same
        || subject.identity(Namespace::Net) == Identity::Same;
    let seen = match (listens, owned) {
        (true, true) => "it listens, in a network that hears them",
        (true, false) => "it listens, in a network that hears none",
        (false, _) => "it does not listen",
    };
    Try::marking(reply, subject.identity(Namespace::Net), arrived(listens && owned), seen, &CLOSED)
        .or_stayed()
        .or_closed()
        .through(opened_by(subject, Capability::CAP_NET_ADMIN))
}

/// Whether a descriptor of a process is a netlink socket of NETLINK_KOBJECT_UEVENT that has joined
/// a group, as the table of its network says: kind 15, groups not 0, and the socket's inode.
fn listens_to_uevents(subject: &Target, number: i32) -> bool {
    let table = std::fs::read_to_string(format!("/proc/{}/net/netlink", subject.crosser()));
    let Ok(held) = subject.held(number) else { return false };
    let socket = held.link.to_string_lossy().into_owned();
    table.unwrap_or_default().lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let groups = fields.get(3).and_then(|groups| u32::from_str_radix(groups, 16).ok());
        fields.get(1) == Some(&"15")
            && groups > Some(0)
            && fields.last().is_some_and(|inode| socket == format!("socket:[{inode}]"))
    })
}

/// The door that lets a family or a protocol through: no filter, or a right that opens it.
fn opened_by(subject: &Target, right: Capability) -> Option<String> {
    let filter = subject.role.door(|opening| *opening == Opening::Seccomp);
    filter.or_else(|| subject.role.right(right))
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

impl Crossing {
    /// Whether it makes a call that a kernel without i386 ends the process for.
    pub(in crate::verify) fn is_of_i386(&self) -> bool {
        matches!(self, Self::Vsock { gate: Gate::I386, .. } | Self::Uevents { gate: Gate::I386 })
    }

    pub(in crate::verify) fn attempt(&self) -> Reply {
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
            Self::Vsock { gate, port } => {
                let bind = |port: u32| {
                    let socket = match gate {
                        Gate::Native => vsock::socket(),
                        Gate::I386 => i386::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0),
                    };
                    socket.and_then(|socket| vsock::bind(&socket, port))
                };
                let told = match bind(*port) {
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
            Self::Uevents { gate } => {
                const ALL_EVENTS: u32 = 1;
                let socket = match gate {
                    Gate::Native => socket_with(
                        AddressFamily::NETLINK,
                        SocketType::DGRAM,
                        SocketFlags::CLOEXEC,
                        Some(rustix::net::netlink::KOBJECT_UEVENT),
                    ),
                    Gate::I386 => i386::socket(
                        libc::AF_NETLINK,
                        libc::SOCK_DGRAM,
                        libc::NETLINK_KOBJECT_UEVENT,
                    ),
                };
                let bound = socket.and_then(|socket| {
                    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, ALL_EVENTS))?;
                    Ok(socket)
                });
                Reply::holding("bind", "NETLINK_KOBJECT_UEVENT", bound)
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
                // Whoever closes one waits for the network's RCU: it goes with this process.
                let kept = socket.map(|socket| {
                    let _stays_open = socket.into_raw_fd();
                });
                Reply::plain("socket", "AF_PACKET, SOCK_RAW", kept)
            }
        }
    }
}
