//! The table of the eight namespaces: what each is called by people, by `/proc`, by clone3(2) and
//! by the manual.

/// Whether a namespace is new or shared. On the command line `yes` makes a new one, `no` shares the
/// caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// A new namespace: a wall.
    Yes,
    /// The caller's namespace: a door.
    No,
}

/// One of the kernel's eight kinds of namespace, see namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Process ids, pid_namespaces(7).
    Pid,
    /// Mounts, mount_namespaces(7).
    Mount,
    /// Host and domain name, uts_namespaces(7).
    Uts,
    /// Network, network_namespaces(7).
    Net,
    /// POSIX message queues and System V IPC, ipc_namespaces(7).
    Ipc,
    /// User and group ids, capabilities, user_namespaces(7).
    User,
    /// The view of the cgroup tree, cgroup_namespaces(7).
    Cgroup,
    /// The monotonic and boot-time clocks, time_namespaces(7), Linux 5.6.
    Time,
}

impl Namespace {
    /// All eight, in the order of the command line.
    pub const ALL: [Self; 8] = [
        Self::Pid,
        Self::Mount,
        Self::Uts,
        Self::Net,
        Self::Ipc,
        Self::User,
        Self::Cgroup,
        Self::Time,
    ];

    /// The option's name, without the dashes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Mount => "mount",
            Self::Uts => "uts",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The entry under `/proc/PID/ns/`.
    pub const fn proc_entry(self) -> &'static str {
        match self {
            Self::Mount => "mnt",
            other => other.name(),
        }
    }

    /// The flag of clone3(2). Bits as in `linux/sched.h`; CLONE_NEWTIME (0x80) collides with the
    /// signal byte of clone(2) and works with clone3(2) and unshare(2) only.
    pub const fn clone_flag(self) -> u64 {
        match self {
            Self::Pid => 0x2000_0000,
            Self::Mount => 0x0002_0000,
            Self::Uts => 0x0400_0000,
            Self::Net => 0x4000_0000,
            Self::Ipc => 0x0800_0000,
            Self::User => 0x1000_0000,
            Self::Cgroup => 0x0200_0000,
            Self::Time => 0x80,
        }
    }

    /// The kernel's name of that flag.
    pub const fn flag_name(self) -> &'static str {
        match self {
            Self::Pid => "CLONE_NEWPID",
            Self::Mount => "CLONE_NEWNS",
            Self::Uts => "CLONE_NEWUTS",
            Self::Net => "CLONE_NEWNET",
            Self::Ipc => "CLONE_NEWIPC",
            Self::User => "CLONE_NEWUSER",
            Self::Cgroup => "CLONE_NEWCGROUP",
            Self::Time => "CLONE_NEWTIME",
        }
    }

    /// The manual page.
    pub const fn man(self) -> &'static str {
        match self {
            Self::Pid => "pid_namespaces(7)",
            Self::Mount => "mount_namespaces(7)",
            Self::Uts => "uts_namespaces(7)",
            Self::Net => "network_namespaces(7)",
            Self::Ipc => "ipc_namespaces(7)",
            Self::User => "user_namespaces(7)",
            Self::Cgroup => "cgroup_namespaces(7)",
            Self::Time => "time_namespaces(7)",
        }
    }

    /// The sysctl that limits how many of them a user may have, below `/proc/sys/user/`.
    pub const fn limit(self) -> &'static str {
        match self {
            Self::Pid => "max_pid_namespaces",
            Self::Mount => "max_mnt_namespaces",
            Self::Uts => "max_uts_namespaces",
            Self::Net => "max_net_namespaces",
            Self::Ipc => "max_ipc_namespaces",
            Self::User => "max_user_namespaces",
            Self::Cgroup => "max_cgroup_namespaces",
            Self::Time => "max_time_namespaces",
        }
    }
}

/// What was chosen for each of the eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces([Switch; 8]);

impl Namespaces {
    /// All eight shared with the caller.
    pub const fn shared() -> Self {
        Self([Switch::No; 8])
    }

    /// The same choice with one of them set.
    #[must_use]
    pub const fn with(mut self, namespace: Namespace, switch: Switch) -> Self {
        self.0[namespace as usize] = switch;
        self
    }

    /// What was chosen for one.
    pub const fn get(self, namespace: Namespace) -> Switch {
        self.0[namespace as usize]
    }

    /// Whether one is new.
    pub fn is_new(self, namespace: Namespace) -> bool {
        self.get(namespace) == Switch::Yes
    }

    /// The new ones, in the order of the command line.
    pub fn new_ones(self) -> impl Iterator<Item = Namespace> {
        Namespace::ALL.into_iter().filter(move |&namespace| self.is_new(namespace))
    }

    /// The flags of the new ones for clone3(2).
    pub fn clone_flags(self) -> u64 {
        self.new_ones().map(Namespace::clone_flag).fold(0, std::ops::BitOr::bitor)
    }
}
