//! The probes, one file a wall. In each file stand the two halves that face each other: what the
//! outside plants and looks at, and the crossing that is tried inside.

pub mod cgroup;
pub mod fds;
pub mod ipc;
pub mod keyring;
pub mod mnt;
pub mod net;
pub mod pid;
mod right;
pub mod root;
pub mod terminal;
pub mod time;
pub mod user;
pub mod uts;

use crate::error::errno_of;
use crate::verify::protocol::{Outcome, Reply, errno_name};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::verdict::{Answer, Identity, Receipt, Refusal};
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// One way to try a wall.
pub struct Probe {
    /// Its name, for ever.
    pub id: &'static str,
    /// The wall that is broken when it crosses.
    pub wall: Wall,
    /// What it does, in a few words.
    pub title: &'static str,
    /// Which way it goes.
    pub direction: Direction,
    /// What it touches.
    pub effect: Effect,
    /// Tries it on one subject.
    pub attempt: fn(&Outside<'_>, &Target) -> Try,
}

/// Which way a crossing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The inside changes something outside.
    Out,
    /// Something of the outside is seen inside.
    In,
}

/// What a probe touches besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The stage.
    Stage,
    /// An object that the verifier has made on the host, under a random name, and removes.
    OwnObject,
}

impl Direction {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Out => "in-to-out",
            Self::In => "out-to-in",
        }
    }
}

impl Effect {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Stage => "stage",
            Self::OwnObject => "own-object",
        }
    }
}

impl Serialize for Direction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Serialize for Effect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Every probe, wall by wall.
pub fn catalogue() -> impl Iterator<Item = &'static Probe> {
    let all: [&'static [Probe]; 12] = [
        &pid::PROBES,
        &mnt::PROBES,
        &root::PROBES,
        &uts::PROBES,
        &net::PROBES,
        &ipc::PROBES,
        &user::PROBES,
        &cgroup::PROBES,
        &time::PROBES,
        &fds::PROBES,
        &keyring::PROBES,
        &terminal::PROBES,
    ];
    all.into_iter().flatten()
}

/// What is planted outside. A canary that could not be planted says why, and its probes with it.
pub struct Canaries {
    pid: Result<pid::Canary, String>,
    root: Result<root::Canary, String>,
    net: Result<net::Canary, String>,
    ipc: ipc::Canary,
    keyring: keyring::Canary,
    fds: Result<fds::Canary, String>,
}

impl Canaries {
    /// Plants all of them in the stage, and files without a name where `shown` is: what the inside
    /// is shown of the host on purpose.
    pub fn plant(stage: &Stage, shown: &[PathBuf]) -> Self {
        Self {
            pid: pid::Canary::plant(stage),
            root: root::Canary::plant(stage, shown),
            net: net::Canary::plant(stage),
            keyring: keyring::Canary::plant(stage),
            fds: fds::Canary::plant(stage),
            ipc: ipc::Canary::plant(stage),
        }
    }
}

/// The outside of an attempt.
pub struct Outside<'a> {
    /// The throw-away host.
    pub stage: &'a Stage,
    /// What is planted in it.
    pub canaries: &'a Canaries,
}

/// What came of one attempt, seen from both sides.
#[derive(Clone, Debug)]
pub struct Try {
    /// What the inside said.
    pub reply: Reply,
    /// What that means.
    pub answer: Answer,
    /// Whether the two sides are the same.
    pub identity: Identity,
    /// What the outside found.
    pub receipt: Receipt,
    /// The same for a reader.
    pub outside: String,
}

impl Try {
    /// An attempt to bring back what only the outside knows. `walled` are the errnos that this wall
    /// answers with; to bring back something else is to have found an object of the inside's own.
    fn reading(reply: Reply, identity: Identity, secret: &str, walled: &[Errno]) -> Self {
        let receipt = arrived(reply.data().contains(secret));
        let answer = match (&reply.outcome, receipt) {
            (Outcome::Done(..), Receipt::Absent) => Answer::Stayed,
            _ => answer(&reply, walled),
        };
        let outside = match receipt {
            Receipt::Arrived => "our secret came back",
            Receipt::Absent => "our secret did not come back",
        };
        Self { reply, answer, identity, receipt, outside: outside.into() }
    }

    /// An attempt to leave a mark outside, which has arrived or not.
    fn marking(
        reply: Reply,
        identity: Identity,
        receipt: Receipt,
        outside: impl Into<String>,
        walled: &[Errno],
    ) -> Self {
        let answer = answer(&reply, walled);
        Self { reply, answer, identity, receipt, outside: outside.into() }
    }

    /// An attempt that could not be made, because something is missing outside.
    fn unplanted(call: &str, reason: &str) -> Self {
        let answer = Answer::Unplanted(format!("its canary could not be planted: {reason}"));
        Self { answer, ..Self::untried(call, reason) }
    }

    /// An attempt that there is nothing to make with, or no sense in.
    fn untried(call: &str, reason: &str) -> Self {
        let reply = Reply::untried(call, "", reason);
        let answer = Answer::Untried(reason.into());
        Self {
            reply,
            answer,
            identity: Identity::NoNamespace,
            receipt: Receipt::Absent,
            outside: "-".into(),
        }
    }

    /// What the inside was refused with.
    pub fn errno(&self) -> Option<String> {
        match self.reply.outcome {
            Outcome::Refused(errno) => Some(errno_name(errno)),
            _ => None,
        }
    }

    /// What was done inside stays there, where nothing has arrived.
    fn or_stayed(mut self) -> Self {
        if self.answer == Answer::Through && self.receipt == Receipt::Absent {
            self.answer = Answer::Stayed;
        }
        self
    }

    /// Where the wall stands, a refusal for want of a right says nothing of it: the crossing was
    /// not tried.
    fn or_without(mut self, capability: Capability) -> Self {
        if self.identity != Identity::Same
            && matches!(self.answer, Answer::Refused(Refusal::Right | Refusal::WallOrRight, _))
        {
            self.answer = Answer::Untried(format!("inside {capability} is missing for it"));
        }
        self
    }
}

/// The attempt on a canary, if that could be planted.
fn planted<'a, T>(
    canary: &'a Result<T, String>,
    call: &str,
    attempt: impl FnOnce(&'a T) -> Try,
) -> Try {
    match canary {
        Ok(canary) => attempt(canary),
        Err(reason) => Try::unplanted(call, reason),
    }
}

/// Whether a connection that is there brought the mark, which was written before the inside
/// answered: there is no wait for it.
fn heard(stream: std::io::Result<impl AsFd>, mark: &str) -> (Receipt, &'static str) {
    let mut text = [0; 64];
    let read = stream
        .map_err(|error| errno_of(&error))
        .and_then(|stream| recv(&stream, text.as_mut_slice(), RecvFlags::DONTWAIT));
    if read.is_ok_and(|(_, length)| text[..length] == *mark.as_bytes()) {
        (Receipt::Arrived, "a connection with our word")
    } else {
        (Receipt::Absent, "no connection")
    }
}

/// Whether a message that is there is the mark.
fn delivered(arrived: bool) -> (Receipt, &'static str) {
    if arrived { (Receipt::Arrived, "our message") } else { (Receipt::Absent, "no message") }
}

fn answer(reply: &Reply, walled: &[Errno]) -> Answer {
    match &reply.outcome {
        Outcome::Done(..) => Answer::Through,
        Outcome::Untried(reason) => Answer::Untried(reason.clone()),
        Outcome::Silent => Answer::Refused(Refusal::Other, "silence".into()),
        Outcome::Killed(signal) => Answer::Refused(Refusal::Other, format!("signal {signal}")),
        Outcome::Refused(errno) => {
            let raw = Errno::from_raw_os_error(*errno);
            let right = matches!(raw, Errno::PERM | Errno::ACCESS | Errno::NOSYS);
            let refusal = match (walled.contains(&raw), right) {
                (true, true) => Refusal::WallOrRight,
                (true, false) => Refusal::Wall,
                (false, true) => Refusal::Right,
                (false, false) => Refusal::Other,
            };
            Answer::Refused(refusal, errno_name(*errno))
        }
    }
}

fn arrived(seen: bool) -> Receipt {
    if seen { Receipt::Arrived } else { Receipt::Absent }
}
