//! The probes, one file a wall. In each file stand the two halves that face each other: what the outside plants and looks at, and the
//! crossing that is tried inside.

pub mod cgroup;
pub mod fds;
pub mod ipc;
pub mod keyring;
pub mod mnt;
pub mod net;
pub mod pid;
pub mod root;
pub mod terminal;
pub mod time;
pub mod user;
pub mod uts;

use crate::namespace::Namespace;
use crate::verify::crossing::{Outcome, Reply, errno_name};
use crate::verify::stage::Stage;
use crate::verify::subject::Subject;
use crate::verify::verdict::{Answer, Identity, Receipt, Refusal};
use crate::verify::wall::Wall;
use rustix::io::Errno;
use serde::{Serialize, Serializer};

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
    pub attempt: fn(&Outside<'_>, &Subject) -> Try,
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
    /// Plants all of them in the stage, after which the canary process of the pid wall shares nothing with the others.
    pub fn plant(stage: &Stage, directory: Option<&std::path::Path>) -> Self {
        let pid = pid::Canary::plant(stage);
        Self {
            pid,
            root: root::Canary::plant(stage, directory),
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
    /// An attempt to bring back what only the outside knows. `walled` are the errnos that this wall answers with; to bring back something
    /// else is to have found an object of the inside's own.
    fn to_read(reply: Reply, identity: Identity, secret: &str, walled: &[Errno]) -> Self {
        let receipt = if reply.data().contains(secret) { Receipt::Arrived } else { Receipt::Absent };
        let answer = match (&reply.outcome, receipt) {
            (Outcome::Done(..), Receipt::Absent) => Answer::Stayed,
            _ => answer(&reply, walled),
        };
        let outside = if receipt == Receipt::Arrived { "what it read is ours" } else { "unread" };
        Self { reply, answer, identity, receipt, outside: outside.into() }
    }

    /// An attempt to leave a mark outside, which has `arrived` or not.
    fn to_mark(reply: Reply, identity: Identity, receipt: Receipt, outside: String, walled: &[Errno]) -> Self {
        let answer = answer(&reply, walled);
        Self { reply, answer, identity, receipt, outside }
    }

    /// An attempt that could not be made, because something is missing outside.
    fn unplanted(call: &str, reason: &str) -> Self {
        let answer = Answer::Refused(Refusal::Other, format!("its canary could not be planted: {reason}"));
        Self { answer, ..Self::untried(call, &format!("its canary could not be planted: {reason}")) }
    }

    /// An attempt that could not be made.
    fn untried(call: &str, reason: &str) -> Self {
        let reply = Reply::untried(call, "", reason);
        let answer = Answer::Untried(reason.into());
        Self { reply, answer, identity: Identity::NoNamespace, receipt: Receipt::Absent, outside: "-".into() }
    }

    /// What the inside was refused with.
    pub fn errno(&self) -> Option<String> {
        match self.reply.outcome {
            Outcome::Refused(errno) => Some(errno_name(errno)),
            _ => None,
        }
    }

    /// Where both sides are the same and the way there is missing inside, there is nothing to try it with.
    fn or_no_way(mut self, reason: &str) -> Self {
        if self.identity == Identity::Same && matches!(self.answer, Answer::Refused(Refusal::Wall, _)) {
            self.answer = Answer::Untried(reason.into());
        }
        self
    }

    /// What was done inside stays there, where nothing has arrived.
    fn or_stayed(mut self) -> Self {
        if self.answer == Answer::Through && self.receipt == Receipt::Absent {
            self.answer = Answer::Stayed;
        }
        self
    }
}

fn answer(reply: &Reply, walled: &[Errno]) -> Answer {
    match &reply.outcome {
        Outcome::Done(..) => Answer::Through,
        Outcome::Untried(reason) => Answer::Untried(reason.clone()),
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

fn arrived(seen: impl Into<Option<bool>>) -> Receipt {
    if seen.into() == Some(true) { Receipt::Arrived } else { Receipt::Absent }
}

/// The identity of a wall that a namespace makes.
fn of(subject: &Subject, namespace: Namespace) -> Identity {
    subject.identity(namespace)
}
