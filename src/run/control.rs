//! The control plane: what parent, warden and child say to each other. rustic's correctness rests
//! on it alone.
//!
//! ```text
//!   parent ──Order───▶ warden   Go, GoWithoutQueue, Signal, Typed, Kill, Dismiss;
//!                               end of file: the parent is gone, clean up
//!   parent ◀──Report── warden   Started (with a pidfd), Done, Fault, Left, Ended;
//!                               Claim and Claimed (with a directory and a target in it)
//!   warden ──Order───▶ child    Go, GoWithoutQueue: the ids are mapped; Claimed, NotClaimed
//!   warden ◀──Report── child    Claim (with the directory), Listener (with the seccomp listener)
//!   warden ◀──Report── joiner   Started (with a pidfd), Fault
//!   parent ──Order───▶ child    Network (with its file); Go: what is to be told of the start has been told
//!   parent ◀──Report── child    Done, Note, Target, Fault; Terminal, View, Socket, each with a descriptor
//!
//!   Taken answers a descriptor that came as a number.
//!   End of file of a child's wire: execve succeeded, or the child is gone.
//! ```

use crate::beneath::Kind;
use crate::error::SysError;
use crate::exit::Exit;
use crate::run::wire::{End, Message};
use rustix::io::Errno;
use rustix::process::WaitIdStatus;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the parent tells the warden, and the warden the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Clone the child, and let it go its way; to the child: go on. From the parent it comes before
    /// CMD, where the start is told.
    Go,
    /// The same, but there is no queue to be opened.
    GoWithoutQueue,
    /// What the parent has made outside of the container is gone, and nothing has to be put right
    /// when it ends: so will the warden, with the container, or at once where nothing was begun.
    Dismiss,
    /// Pass this signal on to the child.
    Signal(i32),
    /// The terminal has sent this signal to the group of the child; see that it is not lost.
    Typed(i32),
    /// End the container.
    Kill,
    /// A descriptor that was told by its number has been taken.
    Taken,
    /// To the child: the network namespace that was made for it comes along.
    Network,
    /// To the child: the mount target is there.
    Claimed,
    /// It cannot be made, or not be had.
    NotClaimed(#[serde(with = "raw")] Errno),
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// The end of a process of rustic's that could not do its part: 125.
pub const SILENT: Ending = Ending::Code(125);

impl Ending {
    /// Of a process that was waited for, with the status of a real-time signal too.
    pub fn of(status: &WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code as u8),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Signal(libc::SIGKILL),
        }
    }
}

impl From<Ending> for Exit {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Code(code) => Self::Command(code),
            Ending::Signal(signal) => Self::Signal(signal),
        }
    }
}

/// What the warden and the child tell the parent, and the child and the joiner the warden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The child runs, with this pid; a pidfd comes along.
    Started(i32),
    /// Step number so-and-so of the plan is done.
    Done(usize),
    /// A step was answered with an errno that the plan expects.
    Note(usize, #[serde(with = "raw")] Errno),
    /// Where a target that was ordered is inside, behind links.
    Target {
        /// As it was ordered.
        ordered: String,
        /// Where it is.
        path: String,
    },
    /// The child needs a mount target in a directory of the caller's, which comes along: make it,
    /// or share it with the run that has. The warden passes it on to the parent when that is done.
    Claim {
        /// The name, in bytes.
        name: Vec<u8>,
        /// What it must be.
        kind: Kind,
    },
    /// The target itself comes along, with its lock, right behind its directory.
    Claimed,
    /// The master of the container's terminal comes along.
    Terminal,
    /// A view of this standard stream comes along, which the child has opened.
    View(usize),
    /// The socket of sd_notify comes along.
    Socket,
    /// The listener of the seccomp filter comes along.
    Listener,
    /// A step failed.
    Fault {
        /// Its number in the plan.
        step: usize,
        /// The kernel's answer.
        #[serde(with = "raw")]
        errno: Errno,
        /// What it was about.
        detail: String,
    },
    /// A resource of the plan, by its place there, could not be removed.
    Left(usize, #[serde(with = "raw")] Errno),
    /// The child has ended and nothing else of it is left.
    Ended(Ending),
}

impl Report {
    /// The report of a step that failed. A detail that no message has room for is cut.
    pub fn fault(step: usize, error: SysError) -> Self {
        Self::Fault { step, errno: error.errno, detail: cut(error.detail) }
    }

    /// The report of a target, likewise.
    pub fn target(ordered: &Path, path: &Path) -> Self {
        let text = |path: &Path| cut(path.to_string_lossy().into_owned());
        Self::Target { ordered: text(ordered), path: text(path) }
    }
}

/// As much of a text as a message has room for: JSON writes a control character as six bytes.
fn cut(mut text: String) -> String {
    const ROOM: usize = 300;
    text.truncate(text.floor_char_boundary(ROOM));
    text
}

impl Message for Order {
    fn taken() -> Option<Self> {
        Some(Self::Taken)
    }
}

impl Message for Report {
    fn taken() -> Option<Self> {
        None
    }
}

/// The end of who gives orders: the parent's towards the warden and the child, the warden's towards
/// the child.
pub type NearEnd = End<Order, Report>;
/// The end of who reports.
pub type FarEnd = End<Report, Order>;

/// Two connected ends.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn wire() -> rustix::io::Result<(NearEnd, FarEnd)> {
    crate::run::wire::pair()
}

/// An errno as its number.
mod raw {
    use rustix::io::Errno;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(errno: &Errno, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(errno.raw_os_error())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Errno, D::Error> {
        let number = i32::deserialize(from)?;
        // The crate takes no number that is no errno.
        let is_one = (1..4096).contains(&number);
        is_one.then(|| Errno::from_raw_os_error(number)).ok_or_else(|| D::Error::custom("no errno"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::wire::Received;

    #[test]
    fn every_report_arrives_as_it_was_sent() {
        let (parent, warden) = wire().unwrap();
        let sent = [
            Report::Started(7),
            Report::Done(3),
            Report::Note(4, Errno::NOENT),
            Report::Target { ordered: "/var/run/x".into(), path: "/run/x".into() },
            Report::Claim { name: vec![b'x', 255], kind: Kind::Directory },
            Report::Claimed,
            Report::Terminal,
            Report::Listener,
            Report::Socket,
            Report::View(2),
            Report::Left(1, Errno::BUSY),
            Report::Fault { step: 9, errno: Errno::LOOP, detail: "/dev is a symlink".into() },
            Report::Ended(Ending::Code(255)),
            Report::Ended(Ending::Signal(64)),
        ];
        for report in &sent {
            warden.send(report, None).unwrap();
            assert!(matches!(parent.receive(), Received::Message(got, None) if got == *report));
        }
        assert!(matches!(parent.receive(), Received::Nothing));
        drop(warden);
        assert!(matches!(parent.receive(), Received::Closed));
    }

    #[test]
    fn a_long_detail_is_cut_and_arrives() {
        let (parent, warden) = wire().unwrap();
        for long in ["ö".repeat(4000), "\u{1}".repeat(4000)] {
            let fault = Report::fault(0, SysError::new(Errno::IO, long.clone()));
            warden.send(&fault, None).unwrap();
            let Received::Message(Report::Fault { detail, .. }, _) = parent.receive() else {
                panic!("another report");
            };
            assert!(long.starts_with(&detail) && detail.len() > 200);
        }
    }
}
