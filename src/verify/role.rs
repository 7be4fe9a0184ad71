//! Who is started: the control, a container of rustic's, or what another launcher makes.

use crate::namespace::{Namespace, Namespaces, Switch};
use crate::spec::{Door, Opening, PROBE, RunOptions};
use crate::verify::foreign::words::{Command, Places};
use crate::verify::join::Process;
use caps::Capability;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// What another launcher is called with.
#[derive(Clone, Debug)]
pub struct Launched {
    /// Its command line.
    pub command: Command,
    /// What that is completed with.
    pub places: Places,
    /// What it gets as standard streams.
    pub through: Through,
    /// What makes what it needs, before it is started.
    pub before: Option<Command>,
    /// What takes away what it has left, after its end.
    pub end: Option<Command>,
}

/// What a launcher gets as stdin and stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// Pipes.
    Pipes,
    /// A terminal in raw mode.
    Terminal,
}

/// What was ordered of a container.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Whether its ids are nobody's outside.
    pub own_ids: Switch,
    /// The capabilities of what runs inside, a bit each.
    pub cap_mask: u64,
    /// The capabilities beyond those that every container has.
    pub further_rights: u64,
    /// The directory that is its root, where it is one of the host's.
    pub directory: Option<PathBuf>,
    /// What was ordered and opens a wall, besides namespaces.
    pub doors: Vec<Door>,
    /// The options of `rustic run` that make it.
    pub options: RunOptions,
}

/// Who is started.
#[derive(Clone, Debug)]
pub enum Role {
    /// The control: an agent in the stage, with every right that the verifier has.
    Open,
    /// A container of rustic's.
    Contained(Box<Ordered>),
    /// What another launcher makes.
    Foreign(Box<Launched>),
    /// A container that runs already, joined.
    Joined(Process),
}

/// The descriptor that an agent of rustic's talks on, as the process that starts it has it.
pub const CHANNEL: i32 = 9;

impl Role {
    /// What was ordered of rustic's container; `None` for the control, and for what others make.
    pub fn ordered(&self) -> Option<&Ordered> {
        match self {
            Self::Open | Self::Foreign(_) | Self::Joined(_) => None,
            Self::Contained(ordered) => Some(ordered),
        }
    }

    /// What another launcher is called with; `None` for rustic's own.
    pub fn launched(&self) -> Option<&Launched> {
        match self {
            Self::Open | Self::Contained(_) | Self::Joined(_) => None,
            Self::Foreign(launched) => Some(launched),
        }
    }

    /// The process that was joined.
    pub fn joined(&self) -> Option<&Process> {
        match self {
            Self::Joined(process) => Some(process),
            Self::Open | Self::Contained(_) | Self::Foreign(_) => None,
        }
    }

    /// Whether another launcher has made it.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign(_) | Self::Joined(_))
    }

    /// Whether it is the control, which has no walls.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// The door of this kind, if it was ordered.
    pub fn door(&self, wanted: impl Fn(&Opening) -> bool) -> Option<String> {
        let doors = self.ordered().map_or(&[][..], |ordered| &ordered.doors);
        doors.iter().find(|door| wanted(&door.opening)).map(|door| door.name.clone())
    }

    /// The name of a namespace's door, if it was ordered to be shared.
    pub fn shares(&self, namespace: Namespace) -> Option<String> {
        self.ordered()
            .filter(|ordered| !ordered.namespaces.is_new(namespace))
            .map(|_| namespace.proc_entry().to_owned())
    }

    /// The name of a right, if it was ordered beyond what every container has.
    pub fn right(&self, capability: Capability) -> Option<String> {
        self.ordered()
            .filter(|ordered| ordered.further_rights & capability.bitmask() != 0)
            .map(|_| capability.to_string())
    }

    /// The command line.
    pub fn argv(&self, nonce: &str) -> Vec<OsString> {
        let text = |word: &str| OsString::from(word);
        match self {
            Self::Open | Self::Joined(_) => vec![
                text("rustic-probe"),
                OsString::from_vec(PROBE.to_bytes().to_vec()),
                CHANNEL.to_string().into(),
                text(nonce),
            ],
            Self::Contained(ordered) => {
                let options = ordered.options.clone();
                let first = options.first.with_probe(CHANNEL);
                let options = RunOptions { first, cmd: vec![text(nonce)], ..options };
                let own = [text("rustic"), text("run"), text("--color=never")];
                own.into_iter().chain(options.arguments()).collect()
            }
            Self::Foreign(launched) => launched.command.words(nonce, &launched.places),
        }
    }
}
