//! The probes, one file a wall. In each file stand the two halves that face each other: what the
//! outside plants and looks at, and the crossing that is tried inside.

pub mod cgroup;
pub mod devices;
pub mod enter;
pub mod fds;
pub mod files;
pub mod ipc;
pub mod kernel;
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
use crate::verify::held::Held;
use crate::verify::protocol::{Crossing, Outcome, Reply, errno_name};
use crate::verify::shown::{Shown, Way};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::verdict::{Answer, Identity, Receipt, Refusal};
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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
    let all: [&'static [Probe]; Wall::ALL.len() + 3] = [
        &pid::PROBES,
        &mnt::PROBES,
        &root::PROBES,
        &files::PROBES,
        &uts::PROBES,
        &net::PROBES,
        &ipc::PROBES,
        &user::PROBES,
        &cgroup::PROBES,
        &time::PROBES,
        &fds::PROBES,
        &keyring::PROBES,
        &terminal::PROBES,
        &kernel::PROBES,
        &devices::PROBES,
        &enter::PROBES,
        &[pid::ROOT],
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
    /// The files that are hidden inside, each with its first line, where the caller may read it.
    hidden: std::cell::OnceCell<Vec<(&'static str, String)>>,
    /// The last line of the kernel's log, where the caller may read it.
    log: std::cell::OnceCell<Option<String>>,
    /// How far the stage's clocks are ahead, in seconds.
    ahead: Option<[i64; 2]>,
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
            ahead: time::ahead(),
            hidden: std::cell::OnceCell::new(),
            log: std::cell::OnceCell::new(),
        }
    }
}

impl Outside<'_> {
    /// The ways to the tree of the outside through the roots of its processes.
    fn ways<'t>(&self, subject: &'t Target) -> &'t [Way] {
        self.canaries.pid.as_ref().map_or(&[], |canary| subject.ways(canary.number()))
    }

    /// The paths inside of a file of the outside, by each of these ways.
    fn by_ways(&self, subject: &Target, file: &Path) -> Vec<PathBuf> {
        let below = file.strip_prefix("/").unwrap_or(file);
        self.ways(subject).iter().map(|way| way.root.join(below)).collect()
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
    /// What was ordered and let it through.
    pub door: Option<String>,
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
            Receipt::Arrived | Receipt::Admitted => "our secret came back",
            Receipt::Absent => "our secret did not come back",
        };
        Self { reply, answer, identity, receipt, outside: outside.into(), door: None }
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
        Self { reply, answer, identity, receipt, outside: outside.into(), door: None }
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
            door: None,
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

    /// What has arrived came through this door, if there is one; no other is needed where both
    /// sides are the same.
    fn through(mut self, door: Option<String>) -> Self {
        if self.receipt == Receipt::Arrived && self.identity != Identity::Same && door.is_some() {
            (self.receipt, self.door) = (Receipt::Admitted, door);
        }
        self
    }

    /// Where both sides share it anyway, that one way to it is closed says nothing.
    fn or_closed(mut self) -> Self {
        if self.identity == Identity::Same
            && let Answer::Refused(_, errno) = &self.answer
        {
            self.answer =
                Answer::Untried(format!("both sides share it, and this way is closed: {errno}"));
        }
        self
    }

    /// Where both sides share it anyway, that this way leads to something else says nothing.
    fn or_elsewhere(mut self) -> Self {
        if self.identity == Identity::Same && self.answer == Answer::Stayed {
            self.answer = Answer::Untried("both sides share it, and this leads elsewhere".into());
        }
        self
    }

    /// SIGSEGV is how a kernel without the calls of i386 answers them.
    fn or_without_i386(mut self) -> Self {
        if self.reply.outcome == Outcome::Killed(libc::SIGSEGV) || cfg!(not(target_arch = "x86_64"))
        {
            self.answer = Answer::Untried("this kernel has no calls of i386".into());
        }
        self
    }

    /// In the control, which has what the caller has: what is not there for it to find is nothing
    /// to be kept from the inside.
    fn or_nothing_to_find(mut self, subject: &Target, reason: &str) -> Self {
        if subject.role.ordered().is_none() && self.receipt == Receipt::Absent {
            self.answer = Answer::Untried(reason.into());
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

/// Reads a file at each of some paths inside, until one brings back what only the outside knows.
/// One that no door has brought in decides before one that came through a door.
fn read_any(
    subject: &Target,
    paths: Vec<PathBuf>,
    identity: Identity,
    secret: &str,
    walled: &[Errno],
) -> Try {
    let tried = paths.into_iter().map(|path| {
        let door = subject.door_for(&path);
        let reply = subject.ask(&Crossing::Read { path });
        Try::reading(reply, identity.clone(), secret, walled).through(door)
    });
    strongest(tried).unwrap_or_else(|| Try::untried("open", "it is mounted nowhere inside"))
}

/// Of several attempts at the same thing the one that has shown most, the first among equals; `None`
/// where there was none to make.
fn strongest(attempts: impl Iterator<Item = Try>) -> Option<Try> {
    attempts.reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })
}

/// How much an attempt has shown: a leak more than a door, and a doubt more than a wall.
fn rank(attempt: &Try) -> u8 {
    match (attempt.receipt, &attempt.answer) {
        (Receipt::Arrived, _) => 3,
        (Receipt::Admitted, _) => 2,
        (Receipt::Absent, Answer::Refused(Refusal::Other | Refusal::Right, _)) => 1,
        (Receipt::Absent, _) => 0,
    }
}

/// Looks for file systems of the outside among the mounts of the inside. The receipt is what the
/// inside has opened there, seen from outside.
fn mounted(
    subject: &Target,
    devices: &BTreeSet<u64>,
    identity: Identity,
    counts: impl Fn(&Shown, &Held) -> bool,
) -> Try {
    let shown = match &subject.shown {
        Ok(shown) => shown,
        Err(reason) => return Try::unplanted("open", reason),
    };
    let wanted: Vec<&Shown> =
        shown.iter().filter(|shown| devices.contains(&shown.mount.device)).collect();
    let points: Vec<PathBuf> = wanted.iter().map(|shown| shown.mount.point.clone()).collect();
    let mut found: Vec<&Shown> = Vec::new();
    let opened = subject.open_inside(&points, |point, held| {
        // What lies under another mount is not there.
        let there = held.and_then(|held| {
            let id = held.mount().ok()?;
            let is_it = |shown: &&&Shown| shown.mount.point == point && shown.mount.id == id;
            wanted.iter().find(is_it).filter(|shown| counts(shown, &held))
        });
        found.extend(there);
    });
    if let Err(reply) = opened {
        return Try::marking(reply, identity, Receipt::Absent, "it has not looked", &[]);
    }
    let decides = found.iter().find(|shown| shown.door.is_none()).or(found.first());
    let (arg, outcome, seen) = match decides {
        Some(Shown { mount, .. }) => (
            mount.point.to_string_lossy().into_owned(),
            Outcome::Done(found.len() as i64, String::new()),
            format!("it is the host's {} {}", mount.kind, mount.root.display()),
        ),
        None => (
            format!("{} mounts", shown.len()),
            Outcome::Done(0, String::new()),
            "none is the host's".to_owned(),
        ),
    };
    let reply = Reply::new("open", arg, outcome);
    Try::marking(reply, identity, arrived(decides.is_some()), seen, &[])
        .or_stayed()
        .or_elsewhere()
        .through(decides.and_then(|shown| shown.door.clone()))
        .or_nothing_to_find(subject, "the host has none mounted where it could be found")
}

fn arrived(seen: bool) -> Receipt {
    if seen { Receipt::Arrived } else { Receipt::Absent }
}
