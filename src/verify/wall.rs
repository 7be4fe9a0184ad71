//! The fourteen walls.

use crate::namespace::Namespace;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// One facet of isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// What the machine has one of.
    Kernel,
    /// Device nodes.
    Devices,
}

/// What is to be said of a wall.
struct WallFacts {
    name: &'static str,
    namespace: Option<Namespace>,
    about: &'static str,
    man: &'static str,
    fix: &'static str,
}

impl Wall {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 14] = [
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
        Self::Kernel,
        Self::Devices,
    ];

    const fn facts(self) -> WallFacts {
        match self {
            Self::Pid => of(
                Namespace::Pid,
                "processes outside can be neither named nor read",
                "a pid namespace of its own, and a proc that is mounted in it",
            ),
            Self::Mnt => of(
                Namespace::Mount,
                "a mount on one side does not appear on the other",
                "make every mount of its namespace private before anything is mounted in it",
            ),
            Self::Root => ROOT,
            Self::Uts => of(
                Namespace::Uts,
                "the host name is the container's own",
                "a uts namespace of its own, and no CAP_SYS_ADMIN over the host",
            ),
            Self::Net => of(
                Namespace::Net,
                "interfaces, ports and abstract sockets are the container's own",
                "a network namespace and a sysfs of its own, and a filter for AF_VSOCK and \
                    netlink(7)",
            ),
            Self::Ipc => of(
                Namespace::Ipc,
                "message queues, shared memory and semaphores are the container's own",
                "an ipc namespace of its own, and an mqueue that is mounted in it",
            ),
            Self::User => of(
                Namespace::User,
                "a capability inside counts for nothing outside",
                "drop the capability, or give it a user namespace with ids of its own",
            ),
            Self::Cgroup => of(
                Namespace::Cgroup,
                "the place in the host's cgroup tree is hidden",
                "a cgroup namespace of its own, no cgroup mounts, and no right to make them",
            ),
            Self::Time => of(
                Namespace::Time,
                "the monotonic and boot-time clocks belong to the container",
                "a time namespace of its own, before its first process",
            ),
            Self::Fds => FDS,
            Self::Keyring => KEYRING,
            Self::Terminal => TERMINAL,
            Self::Kernel => KERNEL,
            Self::Devices => DEVICES,
        }
    }

    /// Its name: that of its namespace under /proc/PID/ns, where it has one.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The same at the head of a narrow column.
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgrp",
            Self::Keyring => "key",
            Self::Terminal => "tty",
            Self::Kernel => "krnl",
            Self::Devices => "dev",
            other => other.name(),
        }
    }

    /// The namespace that makes it; the others are made by what rustic closes, joins, hides and
    /// replaces.
    pub const fn namespace(self) -> Option<Namespace> {
        self.facts().namespace
    }

    /// What is so while it holds.
    pub const fn about(self) -> &'static str {
        self.facts().about
    }

    /// The manual page.
    pub const fn man(self) -> &'static str {
        self.facts().man
    }

    /// How a launcher makes it hold.
    pub const fn fix(self) -> &'static str {
        self.facts().fix
    }
}

const ROOT: WallFacts = WallFacts {
    name: "root",
    namespace: None,
    about: "the host's files are out of reach, by path, mount, handle or climbing",
    man: "pivot_root(2)",
    fix: "pivot_root(2), and no mount, right or process of the outside that leads back",
};

const FDS: WallFacts = WallFacts {
    name: "fds",
    namespace: None,
    about: "no descriptor and no variable of the caller comes along, and what is \
        behind its standard streams cannot be changed",
    man: "close_range(2)",
    fix: "close_range(2) from 3 up, reset signals, and views or pipes for standard streams",
};

const KEYRING: WallFacts = WallFacts {
    name: "keyring",
    namespace: None,
    about: "no key of the caller can be found",
    man: "keyrings(7)",
    fix: "join a new session keyring with keyctl(2), and filter the calls of keys",
};

const TERMINAL: WallFacts = WallFacts {
    name: "terminal",
    namespace: None,
    about: "what is done to the terminal inside does not reach the caller's",
    man: "ioctl_tty(2)",
    fix: "a pty of its own, and a devpts that is its own instance",
};

const KERNEL: WallFacts = WallFacts {
    name: "kernel",
    namespace: None,
    about: "what the machine has one of can be neither set nor heard",
    man: "proc_sys(5)",
    fix: "/proc and /sys read-only but for the processes, and no CAP_SYS_ADMIN",
};

const DEVICES: WallFacts = WallFacts {
    name: "devices",
    namespace: None,
    about: "no node, and no way to make one, leads to a device of the host",
    man: "mknod(2)",
    fix: "mount with nodev, a /dev of its own, and no CAP_MKNOD",
};

const fn of(namespace: Namespace, about: &'static str, fix: &'static str) -> WallFacts {
    WallFacts {
        name: namespace.proc_entry(),
        namespace: Some(namespace),
        about,
        man: namespace.man(),
        fix,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is no wall is answered with the name of every variant, which serde has from the enum.
    #[test]
    fn all_of_them_are_listed_in_the_order_of_the_enum_and_by_the_names_on_the_wire() {
        let error = serde_json::from_str::<Wall>("\"none\"").map_err(|error| error.to_string());
        let listed = Wall::ALL.map(|wall| format!("`{}`", wall.name())).join(", ");
        let expected = format!("unknown variant `none`, expected one of {listed} at");
        assert!(error.as_ref().is_err_and(|error| error.starts_with(&expected)), "{error:?}");
    }

    #[test]
    fn every_namespace_is_one_walls_own() {
        for namespace in Namespace::ALL {
            let walls = Wall::ALL.into_iter().filter(|wall| wall.namespace() == Some(namespace));
            assert_eq!(walls.count(), 1, "{}", namespace.name());
        }
    }

    #[test]
    fn every_wall_has_a_name_and_a_page_of_the_manual() {
        for wall in Wall::ALL {
            assert!(!wall.name().is_empty() && !wall.about().is_empty() && !wall.fix().is_empty());
            assert!(wall.man().ends_with(')') && wall.man().contains('('), "{}", wall.man());
        }
    }
}
