//! The network: a port, an abstract socket, an interface of the outside. Sockets with a path are
//! files: see the root wall.

pub mod canary;
mod families;
pub mod inside;
mod loopback;
mod views;

use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::wall::Wall;
use families::{raw, uevents, uevents_i386, vsock, vsock_i386};
use loopback::{abstract_socket, tcp, tcp6, udp};
use views::{host_sysfs, process_among_mounts, sockets, sysfs};

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
