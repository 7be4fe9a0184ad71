//! Families of sockets that no network namespace closes, and the right to raw packets.

use super::canary::NetCanary;
use super::inside::{Gate, NetCrossing};
use crate::namespace::Namespace;
use crate::spec::Opening;
use crate::sys::vsock;
use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::probes::receipt::arrived;
use crate::verify::probes::right::{Right, held_outside, none_to_keep};
use crate::verify::stage::namespaces::StageRights;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use caps::Capability;
use rustix::io::Errno;

/// What answers for a family or a protocol that is closed: as a kernel without it.
const CLOSED: [Errno; 4] = [Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT, Errno::PERM, Errno::ACCESS];

/// Ports of AF_VSOCK are the machine's. Inside, the one that is taken outside must be free; the
/// next one is, so that it is not the right to take any that is missing. Nothing is sent.
pub(super) fn vsock(outside: &Outside<'_>, subject: &Target) -> Try {
    take_port(Gate::Native, outside, subject)
}

pub(super) fn vsock_i386(outside: &Outside<'_>, subject: &Target) -> Try {
    take_port(Gate::I386, outside, subject).or_without_i386()
}

fn take_port(gate: Gate, outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("bind", |canary: &NetCanary| {
        let port = match &canary.vsock {
            Ok((_, port)) => *port,
            Err(reason) => {
                return Try::untried("bind", &format!("the host has no AF_VSOCK: {reason}"));
            }
        };
        let reply = subject.ask(&NetCrossing::Vsock { gate, port });
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
pub(super) fn uevents(outside: &Outside<'_>, subject: &Target) -> Try {
    listen(Gate::Native, outside, subject)
}

pub(super) fn uevents_i386(outside: &Outside<'_>, subject: &Target) -> Try {
    listen(Gate::I386, outside, subject).or_without_i386()
}

fn listen(gate: Gate, outside: &Outside<'_>, subject: &Target) -> Try {
    if outside.stage.rights != StageRights::Machine {
        return Try::untried("bind", "the caller's own network hears none");
    }
    let reply = subject.ask(&NetCrossing::Uevents { gate });
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

pub(super) fn raw(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.may(Capability::CAP_NET_RAW) {
        return Try::untried("socket", &none_to_keep(Capability::CAP_NET_RAW));
    }
    let reply = subject.ask(&NetCrossing::Raw);
    let right = Right { capability: Capability::CAP_NET_RAW, present: &[] };
    held_outside(right, reply, subject.identity(Namespace::Net), subject)
        .or_without(right.capability)
}
