//! Rights: what the inside may do to what belongs to the outside. A capability counts only over
//! what its user namespace owns, user_namespaces(7); and of those that count, only the ordered ones
//! may be there. Ids count by themselves: [`ids`].

pub mod canary;
pub mod ids;
pub mod inside;

use crate::error::errno_text;
use crate::namespace::Namespace;
use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::receipt::arrived;
use crate::verify::probes::right::{Right, held_outside, none_to_keep};
use crate::verify::target::Target;
use crate::verify::verdict::{Identity, Receipt};
use crate::verify::wall::Wall;
use caps::Capability;
use inside::UserCrossing;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrV4, SocketFlags, SocketType, getsockname, socket_with};

/// The probes.
pub const PROBES: [Probe; 9] = [
    Probe {
        id: "RV-USR-05",
        wall: Wall::User,
        title: "use a right on the outside: bind a socket of its network, handed in for this, to \
            a port below 1024",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: bound,
    },
    right("RV-CAP-01", "the right to set the clock", clock),
    right("RV-CAP-02", "the right to read the kernel's log", log),
    right("RV-CAP-03", "the right to add swap", swap),
    right("RV-CAP-04", "the right to load modules", modules),
    right("RV-CAP-05", "the right to open files by handle", handles),
    right("RV-CAP-06", "the right to reboot", boot),
    right("RV-CAP-07", "the right to mount", mounts),
    right("RV-CAP-08", "the right to change the root", chroot),
];

const fn right(
    id: &'static str,
    title: &'static str,
    attempt: fn(&Outside<'_>, &Target) -> Try,
) -> Probe {
    Probe { id, wall: Wall::User, title, direction: Direction::Out, effect: Effect::None, attempt }
}

fn bound(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.may(Capability::CAP_NET_BIND_SERVICE) {
        return Try::untried("bind", &none_to_keep(Capability::CAP_NET_BIND_SERVICE));
    }
    // A port of its own for each, since what was bound before may still be open.
    let port = 600
        + subject
            .mark
            .bytes()
            .fold(0u16, |port, byte| port.wrapping_mul(31).wrapping_add(byte.into()))
            % 400;
    let socket =
        match socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None) {
            Ok(socket) => socket,
            Err(errno) => return Try::unplanted("bind", &errno_text(errno)),
        };
    let reply = subject.ask_with(&UserCrossing::Bind { port }, socket.as_fd());
    let ours =
        getsockname(&socket).and_then(SocketAddrV4::try_from).map_or(0, |address| address.port());
    let seen = if ours == port {
        format!("our socket has port {port}")
    } else {
        "our socket has no port".into()
    };
    Try::marking(
        reply,
        subject.identity(Namespace::User),
        arrived(ours == port),
        seen,
        &[Errno::ACCESS],
    )
}

/// Which of the rights that were asked for are there: what the verdict does not tell, since they
/// are ordered one by one.
pub fn remark<'a>(trials: impl Iterator<Item = (&'static Probe, &'a Try)>) -> String {
    let asked: Vec<&Try> = trials
        .filter(|(probe, attempt)| probe.id.starts_with("RV-CAP") && attempt.answer.is_tried())
        .map(|(_, attempt)| attempt)
        .collect();
    let there = asked.iter().filter(|attempt| attempt.receipt == Receipt::Arrived);
    // The receipt names the capability first.
    let mut names: Vec<&str> =
        there.filter_map(|attempt| attempt.outside.split(' ').next()).collect();
    names.dedup();
    match (asked.len(), names.as_slice()) {
        (0, _) => "no right over the machine was asked for: the caller has none to keep".to_owned(),
        (count, []) => format!("of {count} rights over the machine there is none"),
        (count, names) => {
            format!("of {count} rights over the machine there are: {}", names.join(", "))
        }
    }
}

/// A right over the machine. Both sides share it only where it was ordered and the user namespace
/// is the same.
fn over_the_machine(
    right: Right,
    crossing: UserCrossing,
    outside: &Outside<'_>,
    subject: &Target,
) -> Try {
    if !outside.stage.holds(right.capability) {
        return Try::untried("-", &none_to_keep(right.capability));
    }
    let ordered = subject
        .role
        .ordered()
        .is_none_or(|ordered| ordered.cap_mask & right.capability.bitmask() != 0);
    let reply = subject.ask(&crossing);
    let same = subject.identity(Namespace::User);
    // What works where it counts is looked at before it is called a leak.
    let attempt = held_outside(right, reply, same.clone(), subject);
    let identity = if ordered { same } else { Identity::Different };
    Try { identity, ..attempt }
}

/// A right over what the namespaces of the container own as much as the host's: with a user
/// namespace of its own it has that, and crosses nothing by it.
fn over_its_own(
    right: Right,
    crossing: UserCrossing,
    outside: &Outside<'_>,
    subject: &Target,
) -> Try {
    if subject.identity(Namespace::User) != Identity::Same {
        return Try::untried("-", "its user namespace owns what the right is over");
    }
    over_the_machine(right, crossing, outside, subject)
}

fn clock(outside: &Outside<'_>, subject: &Target) -> Try {
    over_the_machine(
        Right { capability: Capability::CAP_SYS_TIME, present: &[Errno::INVAL] },
        UserCrossing::Clock,
        outside,
        subject,
    )
}

fn log(outside: &Outside<'_>, subject: &Target) -> Try {
    over_the_machine(
        Right { capability: Capability::CAP_SYSLOG, present: &[] },
        UserCrossing::Log,
        outside,
        subject,
    )
}

fn swap(outside: &Outside<'_>, subject: &Target) -> Try {
    over_the_machine(
        Right { capability: Capability::CAP_SYS_ADMIN, present: &[Errno::FAULT] },
        UserCrossing::Swap,
        outside,
        subject,
    )
}

fn modules(outside: &Outside<'_>, subject: &Target) -> Try {
    if std::fs::read_to_string("/proc/sys/kernel/modules_disabled")
        .is_ok_and(|disabled| disabled.trim() == "1")
    {
        return Try::untried("finit_module", "kernel.modules_disabled is 1: nobody loads any");
    }
    over_the_machine(
        Right { capability: Capability::CAP_SYS_MODULE, present: &[Errno::BADF] },
        UserCrossing::Modules,
        outside,
        subject,
    )
}

fn handles(outside: &Outside<'_>, subject: &Target) -> Try {
    let right = Right {
        capability: Capability::CAP_DAC_READ_SEARCH,
        present: &[Errno::STALE, Errno::OPNOTSUPP],
    };
    over_the_machine(right, UserCrossing::Handle, outside, subject)
}

fn boot(outside: &Outside<'_>, subject: &Target) -> Try {
    over_its_own(
        Right { capability: Capability::CAP_SYS_BOOT, present: &[Errno::INVAL] },
        UserCrossing::Reboot,
        outside,
        subject,
    )
}

fn mounts(outside: &Outside<'_>, subject: &Target) -> Try {
    over_its_own(
        Right { capability: Capability::CAP_SYS_ADMIN, present: &[] },
        UserCrossing::Mounts,
        outside,
        subject,
    )
}

fn chroot(outside: &Outside<'_>, subject: &Target) -> Try {
    over_its_own(
        Right { capability: Capability::CAP_SYS_CHROOT, present: &[] },
        UserCrossing::Chroot,
        outside,
        subject,
    )
}
