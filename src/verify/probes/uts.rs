//! The host name. A new uts namespace starts with a copy, so that equal names prove nothing: the name outside is changed after the start.

use super::user::{Right, held_outside};
use super::{Direction, Effect, Outside, Probe, Try, arrived, of};
use crate::failure::errno_text;
use crate::namespace::Namespace;
use crate::sys::rights;
use crate::verify::crossing::{self, Reply};
use crate::verify::subject::Subject;
use crate::verify::wall::Wall;
use caps::Capability;
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
    Probe { id: "RV-UTS-02", wall: Wall::Uts, title: "set the host name", direction: Direction::Out, effect: Effect::Stage, attempt: set },
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

fn read(_: &Outside<'_>, subject: &Subject) -> Try {
    // What the control read is no news to the next.
    let changed = format!("stage-{}", subject.mark);
    match sethostname(changed.as_bytes()) {
        Ok(()) => {
            let reply = subject.ask(&crossing::Crossing::Uts(Crossing::Read));
            let attempt = Try::to_read(reply, of(subject, Namespace::Uts), &changed, &[]);
            Try { outside: format!("\"{changed}\" since it started"), ..attempt }
        }
        Err(errno) => Try::unplanted("uname", &errno_text(errno)),
    }
}

fn set(_: &Outside<'_>, subject: &Subject) -> Try {
    let reply = subject.ask(&crossing::Crossing::Uts(Crossing::Set { name: subject.mark.clone() }));
    let now = name();
    let seen = format!("\"{now}\"");
    Try::to_mark(reply, of(subject, Namespace::Uts), arrived(now == subject.mark), seen, &[Errno::PERM]).or_stayed()
}

fn right(_: &Outside<'_>, subject: &Subject) -> Try {
    let reply = subject.ask(&crossing::Crossing::Uts(Crossing::Right));
    let identity = of(subject, Namespace::Uts);
    held_outside(Right { capability: Capability::CAP_SYS_ADMIN, present: Some(Errno::INVAL) }, reply, identity, subject)
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// uname(2).
    Read,
    /// sethostname(2).
    Set { name: String },
    /// sethostname(2), in vain.
    Right,
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        match self {
            Self::Read => Reply::of("uname", "", Ok((0, name()))),
            Self::Set { name } => Reply::plain("sethostname", format!("\"{name}\""), sethostname(name.as_bytes())),
            Self::Right => Reply::plain("sethostname", "length -1", rights::set_no_hostname()),
        }
    }
}
