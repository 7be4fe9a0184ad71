//! The twelve walls.

use crate::namespace::Namespace;
use serde::{Serialize, Serializer};
use std::str::FromStr;

/// One facet of isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wall {
    /// Processes outside.
    Pid,
    /// Mounts that travel.
    Mnt,
    /// The host's files.
    Root,
    /// The host name.
    Uts,
    /// The network.
    Net,
    /// POSIX message queues and System V IPC.
    Ipc,
    /// Rights over what lies outside.
    User,
    /// The view of the cgroup tree.
    Cgroup,
    /// The monotonic and boot-time clocks.
    Time,
    /// What a process inherits: descriptors and variables.
    Fds,
    /// Keys of the caller.
    Keyring,
    /// The caller's terminal.
    Terminal,
}

impl Wall {
    /// All twelve, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Pid,
        Self::Mnt,
        Self::Root,
        Self::Uts,
        Self::Net,
        Self::Ipc,
        Self::User,
        Self::Cgroup,
        Self::Time,
        Self::Fds,
        Self::Keyring,
        Self::Terminal,
    ];

    /// Its name: that of its namespace under /proc/PID/ns, where it has one.
    pub const fn name(self) -> &'static str {
        match (self.namespace(), self) {
            (Some(namespace), _) => namespace.proc_entry(),
            (None, Self::Root) => "root",
            (None, Self::Fds) => "fds",
            (None, Self::Keyring) => "keyring",
            (None, _) => "terminal",
        }
    }

    /// The namespace that makes it; the other four are made by what rustic closes, joins and
    /// replaces.
    pub const fn namespace(self) -> Option<Namespace> {
        match self {
            Self::Pid => Some(Namespace::Pid),
            Self::Mnt => Some(Namespace::Mount),
            Self::Uts => Some(Namespace::Uts),
            Self::Net => Some(Namespace::Net),
            Self::Ipc => Some(Namespace::Ipc),
            Self::User => Some(Namespace::User),
            Self::Cgroup => Some(Namespace::Cgroup),
            Self::Time => Some(Namespace::Time),
            Self::Root | Self::Fds | Self::Keyring | Self::Terminal => None,
        }
    }

    /// What is so while it holds.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Pid => "processes outside can be neither named nor read",
            Self::Mnt => "a mount on one side does not appear on the other",
            Self::Root => {
                "the host's files are out of reach, by path, descriptor, handle or climbing"
            }
            Self::Uts => "the host name is the container's own",
            Self::Net => "interfaces, ports and abstract sockets are the container's own",
            Self::Ipc => "message queues, shared memory and semaphores are the container's own",
            Self::User => "a capability inside counts for nothing outside",
            Self::Cgroup => "the place in the host's cgroup tree is hidden",
            Self::Time => "the monotonic and boot-time clocks belong to the container",
            Self::Fds => "no descriptor and no variable of the caller comes along",
            Self::Keyring => "no key of the caller can be found",
            Self::Terminal => "what is done to the terminal inside does not reach the caller's",
        }
    }

    /// The manual page.
    pub const fn man(self) -> &'static str {
        match self.namespace() {
            Some(namespace) => namespace.man(),
            None => match self {
                Self::Root => "pivot_root(2)",
                Self::Fds => "close_range(2)",
                Self::Keyring => "keyrings(7)",
                _ => "ioctl_tty(2)",
            },
        }
    }
}

impl FromStr for Wall {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|wall| wall.name() == text).ok_or_else(|| match text.as_str() {
            "mount" => "the wall of --mount is called mnt".to_owned(),
            _ => format!("no such wall; there are {}", Self::ALL.map(Self::name).join(" ")),
        })
    }
}

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
