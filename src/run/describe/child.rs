//! What is said of the child's other steps, from clone3(2) to execve(2).

use super::{Description, described, stream_names, text};
use crate::namespace::Switch;
use crate::ready::notify::PATH as NOTIFY_PATH;
use crate::run::step::ChildStep;
use crate::run::streams;
use crate::spec::First;
use crate::walls::seccomp::SelfSignals;

impl ChildStep {
    /// What is said of it. A flat table, an entry a step.
    pub(super) fn describe(&self) -> Description {
        match self {
            Self::NotifySocket(_) => described(
                format!("socket(AF_UNIX, SOCK_DGRAM), bind({NOTIFY_PATH})"),
                "make the socket of sd_notify".into(),
                "a program that knows sd_notify(3) says READY=1 here, whatever its namespaces are",
                "sd_notify(3)",
            ),
            Self::WaitForGo => described(
                "prctl(PR_SET_PDEATHSIG, SIGKILL), recvmsg(gate)".into(),
                "wait for the warden".into(),
                "the child goes on when its ids are mapped, and never without a warden",
                "prctl(2)",
            ),
            Self::BecomeRoot => described(
                "setresgid(0, 0, 0), setresuid(0, 0, 0)".into(),
                "become root of the user namespace".into(),
                "its map has no place for the host's root, who has cloned it",
                "user_namespaces(7)",
            ),
            Self::Session => described(
                "setsid(), signal(…, SIG_DFL), umask(0), personality(0)".into(),
                "start a session".into(),
                "no terminal, no ignored signal, no umask and no personality of the caller gets inside",
                "setsid(2)",
            ),
            Self::Terminal { .. } => described(
                "open(ptmx), ioctl(TIOCGPTPEER), ioctl(TIOCSCTTY)".into(),
                "make a terminal".into(),
                "nothing typed inside with TIOCSTI can reach the caller's terminal",
                "pts(4)",
            ),
            Self::OpenViewsByPath(views) => described(
                format!(
                    "open_tree({}, OPEN_TREE_CLONE), mount_setattr(RDONLY|NOSUID|NOEXEC), \
                     open(/proc/self/fd/…), mount_setattr(NODEV)",
                    views.iter().map(|(_, path)| text(path)).collect::<Vec<_>>().join(" ")
                ),
                format!(
                    "open a read-only view of {}",
                    stream_names(views.iter().map(|(number, _)| number))
                ),
                "a descriptor carries its mount: through the host's, root inside could change the \
                 file, its mode and its owner",
                "open_tree(2)",
            ),
            Self::TakeStreams { streams, .. } => described(
                format!(
                    "dup2() for {}",
                    streams
                        .iter()
                        .enumerate()
                        .map(|(number, stream)| streams::shown(number, stream))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                "put the standard streams in place".into(),
                "CMD holds connections, views and what is its own, never the host's file itself",
                "proc_pid_fd(5)",
            ),
            Self::Loopback => described(
                "ioctl(SIOCSIFFLAGS, lo, IFF_UP)".into(),
                "bring the loopback up".into(),
                "a new network namespace starts with lo down",
                "network_namespaces(7)",
            ),
            Self::JoinNetwork => described(
                "setns(net, CLONE_NEWNET)".into(),
                "enter the network namespace".into(),
                "the parent has made it meanwhile; before the sysfs, which shows the network of who \
                 mounts it",
                "network_namespaces(7)",
            ),
            Self::Hostname(name) => described(
                format!("sethostname(\"{name}\")"),
                format!("set the host name '{name}'"),
                "a new UTS namespace starts with a copy of the caller's name",
                "sethostname(2)",
            )
            .told(format!("host name is {name}")),
            Self::Keyring { .. } => described(
                "keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)".into(),
                "join a new session keyring".into(),
                "no namespace covers keyrings: the caller's would be inherited",
                "keyrings(7)",
            ),
            Self::OpenQueue { name, seen } => {
                let described = described(
                    format!("mq_open(\"{}\", O_WRONLY)", name.shown()),
                    format!("open message queue {}", name.shown()),
                    "by name, from the child's own side: whether it is seen is what the IPC \
                     namespace decides",
                    "mq_open(3)",
                );
                match seen {
                    Switch::Yes => {
                        described.told(format!("opening message queue {}", name.shown()))
                    }
                    Switch::No => described,
                }
            }
            Self::LimitQueues(bytes) => described(
                format!("setrlimit(RLIMIT_MSGQUEUE, {bytes})"),
                "limit message queues".into(),
                "the limit counts per user, not per namespace: a full one inside would stop the \
                    next start",
                "getrlimit(2)",
            ),
            Self::CloseDescriptors { .. } => described(
                "close_range(3, ~0)".into(),
                "close the inherited descriptors".into(),
                "a descriptor of a host directory crosses every wall (CVE-2024-21626)",
                "close_range(2)",
            ),
            Self::FindAccount { uid, name } => described(
                match name {
                    Some(name) => format!("read /etc/passwd for {name}"),
                    None => format!("read /etc/passwd for uid {uid}"),
                },
                "find HOME and USER".into(),
                "the image knows where its users live",
                "passwd(5)",
            ),
            Self::DropBounding(unwanted) => described(
                format!("prctl(PR_CAPBSET_DROP, {unwanted:#x})"),
                "drop capabilities from the bounding set".into(),
                "what is not in the bounding set cannot come back; dropping needs CAP_SETPCAP, so \
                    it comes before the uid changes",
                "capabilities(7)",
            ),
            Self::SetGroups(groups) => described(
                format!("setgroups({}, {groups:?})", groups.len()),
                match groups.is_empty() {
                    true => "give up the supplementary groups".into(),
                    false => "take the supplementary groups of the image's user".into(),
                },
                "the caller's groups mean nothing inside",
                "setgroups(2)",
            ),
            Self::SetGid(gid) => described(
                format!("setresgid({gid}, {gid}, {gid})"),
                format!("become group {gid}"),
                "before the uid, while that is still allowed",
                "setresgid(2)",
            ),
            Self::SetUid(uid) => described(
                match uid {
                    0 => "setresuid(0, 0, 0)".into(),
                    uid => format!(
                        "prctl(PR_SET_KEEPCAPS, 1), setresuid({uid}, {uid}, {uid}), \
                            prctl(PR_SET_KEEPCAPS, 0)"
                    ),
                },
                format!("become user {uid}"),
                "the permitted capabilities stay until the next step chooses among them",
                "setresuid(2)",
            ),
            Self::SetCapabilities(credentials) => described(
                match (credentials.permitted, credentials.ambient) {
                    (permitted, 0) => {
                        format!("prctl(PR_CAP_AMBIENT, CLEAR_ALL), capset({permitted:#x})")
                    }
                    (permitted, ambient) => {
                        format!(
                            "prctl(PR_CAP_AMBIENT, CLEAR_ALL), capset({permitted:#x}), \
                                prctl(PR_CAP_AMBIENT, RAISE {ambient:#x})"
                        )
                    }
                },
                "set the capabilities".into(),
                "exactly what was ordered; the inheritable set is empty unless an ordered \
                    capability must survive execve of another uid",
                "capset(2)",
            ),
            Self::Chdir(path) => described(
                format!("chdir({})", text(path)),
                format!("enter the working directory {}", text(path)),
                "with CMD's own rights, below the new root",
                "chdir(2)",
            ),
            Self::NoNewPrivs => described(
                "prctl(PR_SET_NO_NEW_PRIVS, 1)".into(),
                "set no_new_privs".into(),
                "no set-user-ID program gives rights back",
                "prctl(2)",
            ),
            Self::VerifyCredentials(_) => described(
                "capget(), prctl(…), getresuid(), getresgid(), getgroups()".into(),
                "confirm the credentials".into(),
                "what /proc/self/status says must be what was ordered",
                "proc_pid_status(5)",
            )
            .told("credentials are as ordered"),
            Self::Seccomp { self_signals, filter } => described(
                format!(
                    "seccomp(SECCOMP_SET_MODE_FILTER{}), {} instructions",
                    match self_signals {
                        SelfSignals::Told => ", SECCOMP_FILTER_FLAG_NEW_LISTENER",
                        SelfSignals::Untold => "",
                    },
                    filter.len()
                ),
                "install the seccomp filter".into(),
                "the calls that programs need run; every other one is refused, also of kernels \
                 to come",
                "seccomp(2)",
            ),
            Self::SendReady(name) => described(
                format!("mq_timedsend(\"{}\", READY=1)", name.shown()),
                format!("send READY to {}", name.shown()),
                "the walls stand: the last word before CMD",
                "mq_send(3)",
            )
            .told("sending READY to parent"),
            Self::Exec { cmd, first, .. } => {
                let name = cmd.first().map(|word| text(word)).unwrap_or_default();
                let call = match first {
                    First::Cmd => format!("execve({name})"),
                    First::Reaper => format!("execveat(rustic-init), and there execve({name})"),
                    First::Probe(_) => "execveat(rustic-probe)".into(),
                    First::ReapedProbe(_) => {
                        "execveat(rustic-init), and there execveat(rustic-probe)".into()
                    }
                };
                described(
                    call,
                    format!("execute {name}"),
                    "CMD takes the child's place",
                    "execve(2)",
                )
            }
        }
    }
}
