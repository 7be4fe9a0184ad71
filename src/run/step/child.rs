//! The child's other steps, from clone3(2) to execve(2).

use crate::namespace::Switch;
use crate::ready::queue::Name;
use crate::run::pty::Terminals;
use crate::run::streams::Stream;
use crate::spec::First;
use crate::walls::privileges::Credentials;
use crate::walls::seccomp::SelfSignals;
use libc::sock_filter;
use std::ffi::CString;

/// A step of the child on its way to CMD, but for those of its root file system.
#[derive(Debug)]
pub enum ChildStep {
    /// The child waits for the warden, and dies with it.
    WaitForGo,
    /// Uid and gid 0 of the user namespace, whose map has no place for those of who made it.
    BecomeRoot,
    /// A session without a terminal, default signal actions, umask 0.
    Session,
    /// A terminal of the container's own.
    Terminal {
        /// Which of the standard streams become it.
        streams: Terminals,
        /// The slot of the devpts it comes from; `None` for the one that the parent opened on the
        /// host.
        devpts: Option<usize>,
        /// Who owns it.
        uid: u32,
    },
    /// Read-only views of what is behind standard streams, opened by paths: the caller may not copy
    /// its mounts, the child may copy its own.
    OpenViewsByPath(Vec<(usize, CString)>),
    /// The standard streams of CMD.
    TakeStreams {
        /// From stdin to stderr.
        streams: [Stream; 3],
        /// The slot of the /dev that its nodes are taken from.
        dev: Option<usize>,
    },
    /// The loopback interface brought up.
    Loopback,
    /// The network namespace that the parent has made meanwhile.
    JoinNetwork,
    /// The host name.
    Hostname(String),
    /// A new session keyring.
    Keyring {
        /// Whether a full quota of keys is no error, because the seccomp filter denies the calls
        /// anyway.
        quota: Quota,
    },
    /// The parent's queue, opened by name from the child's own side.
    OpenQueue {
        /// Its name.
        name: Name,
        /// Whether the child shares the IPC namespace and must see it.
        seen: Switch,
    },
    /// The socket of sd_notify(3), in the /dev of this slot.
    NotifySocket(usize),
    /// RLIMIT_MSGQUEUE, in bytes.
    LimitQueues(u64),
    /// Every descriptor from 3 up closed at execve.
    CloseDescriptors {
        /// The soft limit of open descriptors that CMD gets, where it was raised.
        soft_limit: Option<u64>,
    },
    /// HOME, USER and LOGNAME, from the image's passwd.
    FindAccount {
        /// By uid,
        uid: u32,
        /// or by name.
        name: Option<String>,
    },
    /// Capabilities taken out of the bounding set, a bit each.
    DropBounding(u64),
    /// The supplementary groups, in place of the caller's.
    SetGroups(Vec<u32>),
    /// The group id.
    SetGid(u32),
    /// The user id; permitted capabilities are kept where it is not 0.
    SetUid(u32),
    /// Permitted, effective, inheritable and ambient sets.
    SetCapabilities(Credentials),
    /// The working directory.
    Chdir(CString),
    /// no_new_privs.
    NoNewPrivs,
    /// What the kernel says of the child compared with what was ordered.
    VerifyCredentials(Credentials),
    /// The seccomp filter.
    Seccomp {
        /// Whether signals to PID 1 are told.
        self_signals: SelfSignals,
        /// The program.
        filter: Vec<sock_filter>,
    },
    /// READY on the queue.
    SendReady(Name),
    /// CMD takes the child's place.
    Exec {
        /// CMD and its arguments.
        cmd: Vec<CString>,
        /// Its environment, but for HOME, USER and LOGNAME.
        env: Vec<CString>,
        /// What the child becomes.
        first: First,
    },
}

/// What a full quota of keys means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// The start fails.
    Fatal,
    /// The caller's keyring stays, out of reach behind the seccomp filter.
    Bearable,
}
