//! What passes between the verifier outside and the agent inside: a request to try one crossing,
//! and the reply. Both are one JSON value, a message each, on what the agent is started with. No crossing is known here: each wall's file has its own, and [`super::agent`] knows them
//! all.

use crate::error::printable;
use crate::verify::wall::Wall;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::rc::Rc;

/// What an agent says first.
pub const HELLO: &str = "rustic-probe 1";

/// The longest message.
pub const LONGEST: usize = 64 * 1024;

/// What a crossing is about: which of the enums that implement [`Crossing`] it is decoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Files, whatever wall is tried by them.
    Files,
    /// The system calls that launchers close.
    Surface,
    /// Entering a namespace of a process outside.
    Enter,
    /// What one wall alone has.
    Wall(Wall),
}

/// A crossing to try: the arguments of calls, and the calls. It never holds what only the outside
/// knows: what the agent brings back it has found.
pub trait Crossing: Serialize + DeserializeOwned + 'static {
    /// What it is about. No two types have the same.
    const TOPIC: Topic;

    /// Where it is tried.
    fn ground(&self) -> Ground {
        Ground::Here
    }

    /// Tries it, here and now. `passed` is the descriptor that came with the request.
    fn attempt(&self, passed: Option<OwnedFd>) -> Reply;
}

/// A crossing on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What the crossing is about.
    pub topic: Topic,
    /// The crossing, to be decoded by its topic.
    pub crossing: Value,
}

impl Request {
    /// The request to try a crossing; `None` for one that cannot be said in JSON.
    pub fn to_try<C: Crossing>(crossing: &C) -> Option<Self> {
        Some(Self { topic: C::TOPIC, crossing: serde_json::to_value(crossing).ok()? })
    }
}

/// A request or a reply with its number, so that a late answer is not taken for that to another
/// request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Numbered<T> {
    /// The number of the request.
    pub number: u64,
    /// The process that has sent it, as it sees itself; 0 where that is the verifier.
    pub pid: i32,
    /// The request, or the reply.
    pub what: T,
}

/// What came of it, as the inside tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// The system call that decided.
    pub call: String,
    /// Its argument, for a reader.
    pub arg: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What stays open until the next request, for the outside to look at.
    #[serde(skip)]
    pub holds: Rc<Vec<OwnedFd>>,
}

/// How a crossing ended inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The call succeeded, with its result and what it brought back.
    Done(i64, String),
    /// The call failed with this errno.
    Refused(i32),
    /// There was nothing to try it with, for this reason.
    Untried(String),
    /// The process that tried it was ended by this signal.
    Killed(i32),
    /// No answer came.
    Silent,
}

impl Reply {
    /// The reply of a call.
    pub fn of(call: &str, arg: impl Into<String>, result: Result<(i64, String), Errno>) -> Self {
        let outcome = match result {
            Ok((result, data)) => Outcome::Done(result, data),
            Err(errno) => Outcome::Refused(errno.raw_os_error()),
        };
        Self::new(call, arg, outcome)
    }

    /// A reply that holds nothing.
    pub fn new(call: &str, arg: impl Into<String>, outcome: Outcome) -> Self {
        Self { call: call.into(), arg: arg.into(), outcome, holds: Rc::default() }
    }

    /// The reply of a call whose success brings nothing back.
    pub fn plain(call: &str, arg: impl Into<String>, result: Result<(), Errno>) -> Self {
        Self::of(call, arg, result.map(|()| (0, String::new())))
    }

    /// The reply of a call that has given a descriptor, which stays open: the outside looks at it
    /// by its number.
    pub fn holding(call: &str, arg: impl Into<String>, result: Result<OwnedFd, Errno>) -> Self {
        let number = result.as_ref().map(|fd| (i64::from(fd.as_raw_fd()), String::new()));
        let reply = Self::of(call, arg, number.map_err(|errno| *errno));
        Self { holds: Rc::new(result.into_iter().collect()), ..reply }
    }

    /// How many bytes were brought back, before what JSON cannot hold was replaced.
    pub fn length(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Done(length, _) => u64::try_from(length).ok(),
            Outcome::Refused(_) | Outcome::Untried(_) | Outcome::Killed(_) | Outcome::Silent => {
                None
            }
        }
    }

    /// The number of a descriptor that the inside says it holds.
    pub fn number(&self) -> Option<i32> {
        match self.outcome {
            Outcome::Done(number, _) => i32::try_from(number).ok(),
            Outcome::Refused(_) | Outcome::Untried(_) | Outcome::Killed(_) | Outcome::Silent => {
                None
            }
        }
    }

    /// The reply where there is nothing to try it with.
    pub fn untried(call: &str, arg: impl Into<String>, reason: &str) -> Self {
        Self::new(call, arg, Outcome::Untried(reason.into()))
    }

    /// What was brought back; nothing where it failed.
    pub fn data(&self) -> &str {
        match &self.outcome {
            Outcome::Done(_, data) => data,
            Outcome::Refused(_) | Outcome::Untried(_) | Outcome::Killed(_) | Outcome::Silent => "",
        }
    }

    /// The answer for a reader: an errno by its name, and of a whole file that was brought back how
    /// it begins.
    pub fn shown(&self) -> String {
        const LONGEST: usize = 200;
        match &self.outcome {
            Outcome::Done(_, data) if data.is_empty() => "done".into(),
            Outcome::Done(_, data) if data.len() > LONGEST => {
                let begin = &data[..data.floor_char_boundary(LONGEST / 2)];
                format!("\"{}…\", {} bytes", printable(begin), data.len())
            }
            Outcome::Done(_, data) => format!("\"{}\"", printable(data)),
            Outcome::Refused(errno) => errno_name(*errno),
            Outcome::Untried(_) => "-".into(),
            Outcome::Killed(signal) => format!("killed by signal {signal}"),
            Outcome::Silent => "no answer".into(),
        }
    }
}

/// An errno by its name alone.
pub fn errno_name(errno: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}

/// Where a crossing is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// In the agent itself.
    Here,
    /// In a process of its own: it changes the one that tries it, or may end it.
    Apart,
}
