//! The host name. A new uts namespace starts with a copy, so that equal names prove nothing: the
//! name outside is changed after the start.

use crate::error::errno_text;
use crate::namespace::Namespace;
use crate::sys::rights;
use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::receipt::arrived;
use crate::verify::probes::right::{Right, held_outside, none_to_keep};
use crate::verify::protocol::{Crossing, Reply, Topic};
use crate::verify::target::Target;
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::system::{sethostname, uname};
use serde::{Deserialize, Serialize};

/// The probes.
pub const PROBES: [Probe; 3] = [
    Probe {
        id: "RV-UTS-01",
        wall: Wall::Uts,
        title: "read the host name after it has changed outside",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: read,
    },
    Probe {
        id: "RV-UTS-02",
        wall: Wall::Uts,
        title: "set the host name",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: set,
    },
    Probe {
        id: "RV-UTS-03",
        wall: Wall::Uts,
        title: "the right to set the host's name, asked for with a length of -1",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: right,
    },
];

fn name() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

fn read(_: &Outside<'_>, subject: &Target) -> Try {
    // What the control read is no news to the next.
    let changed = format!("stage-{}", subject.mark);
    match sethostname(changed.as_bytes()) {
        Ok(()) => {
            let reply = subject.ask(&UtsCrossing::Read);
            let attempt = Try::reading(reply, subject.identity(Namespace::Uts), &changed, &[]);
            Try { outside: format!("renamed to \"{changed}\" since"), ..attempt }
        }
        Err(errno) => Try::unplanted("uname", &errno_text(errno)),
    }
}

fn set(_: &Outside<'_>, subject: &Target) -> Try {
    let reply = subject.ask(&UtsCrossing::Set { name: subject.mark.clone() });
    let now = name();
    let seen = format!("\"{now}\"");
    let attempt = Try::marking(
        reply,
        subject.identity(Namespace::Uts),
        arrived(now == subject.mark),
        seen,
        &[],
    );
    attempt.or_stayed().or_without(Capability::CAP_SYS_ADMIN)
}

fn right(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.may(Capability::CAP_SYS_ADMIN) {
        return Try::untried("sethostname", &none_to_keep(Capability::CAP_SYS_ADMIN));
    }
    let reply = subject.ask(&UtsCrossing::Right);
    let right = Right { capability: Capability::CAP_SYS_ADMIN, present: &[Errno::INVAL] };
    held_outside(right, reply, subject.identity(Namespace::Uts), subject)
        .or_without(right.capability)
}

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UtsCrossing {
    /// uname(2).
    Read,
    /// sethostname(2).
    Set { name: String },
    /// sethostname(2), in vain.
    Right,
}

impl Crossing for UtsCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Uts);

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        match self {
            Self::Read => Reply::of("uname", "", Ok((0, name()))),
            Self::Set { name } => {
                Reply::plain("sethostname", format!("\"{name}\""), sethostname(name.as_bytes()))
            }
            Self::Right => Reply::plain("sethostname", "length -1", rights::set_no_hostname()),
        }
    }
}
