//! The table of the eight namespaces: what each is called by people, by `/proc`, by clone3(2) and
//! by the manual.

mod choice;
mod chosen;

pub use choice::{Choice, Switch};
pub use chosen::Namespaces;

/// What is said of a namespace.
struct NamespaceFacts {
    /// The option's name, without the dashes.
    name: &'static str,
    /// The entry under `/proc/PID/ns/`.
    proc_entry: &'static str,
    /// The flag of clone3(2), as in `linux/sched.h`.
    clone_flag: u64,
    /// The kernel's name of that flag.
    flag_name: &'static str,
    /// The manual page.
    man: &'static str,
    /// The sysctl below `/proc/sys/user/` that limits how many a user may have.
    limit: &'static str,
    /// What the option is about, for `--help`.
    about: &'static str,
    /// What there is where nothing was said.
    default: ByDefault,
    /// What -v says of one that is shared, behind its name.
    shared: &'static str,
    /// The same of one that is joined.
    joined: &'static str,
}

/// What there is of a namespace where nothing was said.
enum ByDefault {
    New,
    Shared,
    /// Shared as root; a plain user can do nothing without one.
    NewUnlessRoot,
}

/// Makes the kinds, their list and their facts from the rows of one table, so that none of the
/// three can miss one.
macro_rules! table {
    ($($(#[$doc:meta])* $kind:ident: $facts:expr;)*) => {
        /// One of the kernel's kinds of namespace, see namespaces(7).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Namespace { $($(#[$doc])* $kind,)* }

        impl Namespace {
            /// All of them, in the order of the command line.
            pub const ALL: [Self; [$(stringify!($kind)),*].len()] = [$(Self::$kind),*];

            const fn facts(self) -> NamespaceFacts {
                match self { $(Self::$kind => $facts,)* }
            }
        }
    };
}

table! {
    /// Process ids, pid_namespaces(7).
    Pid: NamespaceFacts {
        name: "pid",
        proc_entry: "pid",
        clone_flag: 0x2000_0000,
        flag_name: "CLONE_NEWPID",
        man: "pid_namespaces(7)",
        limit: "max_pid_namespaces",
        about: "Processes: yes makes CMD process 1 of its own tree [default: yes]",
        default: ByDefault::New,
        shared: ": every process is seen, and one that CMD may trace is a way to the host's files and out \
            of these walls, /proc/PID/root; a CMD that may signal rustic's warden can outlive it",
        joined: ": CMD is a member and not process 1; an orphan of it goes to process 1 there, and can \
            outlive the run; what a process there sees is reached by /proc/PID/root, and the host \
            where that is in a chroot",
    };
    /// Mounts, mount_namespaces(7).
    Mount: NamespaceFacts {
        name: "mount",
        proc_entry: "mnt",
        clone_flag: 0x0002_0000,
        flag_name: "CLONE_NEWNS",
        man: "mount_namespaces(7)",
        limit: "max_mnt_namespaces",
        about: "Mounts: no makes no mount at all and enters the root by chroot [default: yes]",
        default: ByDefault::New,
        shared: ": no mount is made, the root is entered by chroot, there is no /proc",
        joined: "",
    };
    /// Host and domain name, uts_namespaces(7).
    Uts: NamespaceFacts {
        name: "uts",
        proc_entry: "uts",
        clone_flag: 0x0400_0000,
        flag_name: "CLONE_NEWUTS",
        man: "uts_namespaces(7)",
        limit: "max_uts_namespaces",
        about: "Host name [default: yes]",
        default: ByDefault::New,
        shared: "",
        joined: "",
    };
    /// Network, network_namespaces(7).
    Net: NamespaceFacts {
        name: "net",
        proc_entry: "net",
        clone_flag: 0x4000_0000,
        flag_name: "CLONE_NEWNET",
        man: "network_namespaces(7)",
        limit: "max_net_namespaces",
        about: "Network: yes has a loopback of its own and nothing else [default: yes]",
        default: ByDefault::New,
        shared: ": the host's interfaces, and its abstract Unix sockets",
        joined: ": its interfaces, ports and abstract Unix sockets",
    };
    /// POSIX message queues and System V IPC, ipc_namespaces(7).
    Ipc: NamespaceFacts {
        name: "ipc",
        proc_entry: "ipc",
        clone_flag: 0x0800_0000,
        flag_name: "CLONE_NEWIPC",
        man: "ipc_namespaces(7)",
        limit: "max_ipc_namespaces",
        about: "POSIX message queues and System V IPC [default: yes]",
        default: ByDefault::New,
        shared: ": the host's message queues are seen",
        joined: ": its message queues, and its System V IPC",
    };
    /// User and group ids, capabilities, user_namespaces(7).
    User: NamespaceFacts {
        name: "user",
        proc_entry: "user",
        clone_flag: 0x1000_0000,
        flag_name: "CLONE_NEWUSER",
        man: "user_namespaces(7)",
        limit: "max_user_namespaces",
        about: "User ids and capabilities [default: no as root, yes otherwise]",
        default: ByDefault::NewUnlessRoot,
        shared: ": uid 0 inside is uid 0 outside, with fewer capabilities",
        joined: ": its ids, and every right over what it owns",
    };
    /// The view of the cgroup tree, cgroup_namespaces(7).
    Cgroup: NamespaceFacts {
        name: "cgroup",
        proc_entry: "cgroup",
        clone_flag: 0x0200_0000,
        flag_name: "CLONE_NEWCGROUP",
        man: "cgroup_namespaces(7)",
        limit: "max_cgroup_namespaces",
        about: "The view of the cgroup tree [default: yes]",
        default: ByDefault::New,
        shared: "",
        joined: "",
    };
    /// The monotonic and boot-time clocks, time_namespaces(7), Linux 5.6. Its flag collides with
    /// the signal byte of clone(2), and works with clone3(2) and unshare(2) only.
    Time: NamespaceFacts {
        name: "time",
        proc_entry: "time",
        clone_flag: 0x80,
        flag_name: "CLONE_NEWTIME",
        man: "time_namespaces(7)",
        limit: "max_time_namespaces",
        about: "Monotonic and boot-time clocks [default: no]",
        default: ByDefault::Shared,
        shared: "",
        joined: "",
    };
}

impl Namespace {
    /// The option's name, without the dashes.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The entry under `/proc/PID/ns/`.
    pub const fn proc_entry(self) -> &'static str {
        self.facts().proc_entry
    }

    /// The flag of clone3(2), setns(2) and NS_GET_NSTYPE, ioctl_nsfs(2).
    pub const fn clone_flag(self) -> u64 {
        self.facts().clone_flag
    }

    /// The kernel's name of that flag.
    pub const fn flag_name(self) -> &'static str {
        self.facts().flag_name
    }

    /// The manual page.
    pub const fn man(self) -> &'static str {
        self.facts().man
    }

    /// The sysctl that limits how many of them a user may have, below `/proc/sys/user/`.
    pub const fn limit(self) -> &'static str {
        self.facts().limit
    }

    /// What there is of it where nothing was said, for this effective uid.
    pub const fn default_for(self, uid: u32) -> Choice {
        match self.facts().default {
            ByDefault::New => Choice::New,
            ByDefault::Shared => Choice::Shared,
            ByDefault::NewUnlessRoot if uid == 0 => Choice::Shared,
            ByDefault::NewUnlessRoot => Choice::New,
        }
    }

    /// What is to be known of one that is shared with the caller, for -v; empty where its name says
    /// it all.
    pub const fn if_shared(self) -> &'static str {
        self.facts().shared
    }

    /// What is to be known of one that is joined.
    pub const fn if_joined(self) -> &'static str {
        self.facts().joined
    }

    /// What its option is about, for `--help`.
    pub const fn about(self) -> &'static str {
        self.facts().about
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_table_agrees_with_the_kernel_of_this_machine() {
        for namespace in Namespace::ALL {
            let file = format!("/proc/self/ns/{}", namespace.proc_entry());
            assert!(Path::new(&file).exists(), "{file}");
            let limit = format!("/proc/sys/user/{}", namespace.limit());
            assert!(Path::new(&limit).exists(), "{limit}");
        }
        let mut entries: Vec<_> = std::fs::read_dir("/proc/self/ns")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with("_for_children"))
            .collect();
        entries.sort_unstable();
        let mut ours = Namespace::ALL.map(Namespace::proc_entry);
        ours.sort_unstable();
        assert_eq!(entries, ours, "the kernel has a kind of namespace that the table has not");
    }
}
