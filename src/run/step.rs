//! A step: data in the shape of the system calls that it stands for. What is said about each stands
//! in [`crate::run::describe`].

use crate::beneath::Kind;
use crate::error::SysError;
use crate::mounts::{Attributes, FsOption, OverlayMarks};
use crate::namespace::{Namespaces, Switch};
use crate::ready::queue::Name;
use crate::rootfs::Origin;
use crate::run::pty::Terminals;
use crate::run::streams::Stream;
use crate::spec::{First, Sysctl};
use crate::walls::idmap::IdMaps;
use crate::walls::privileges::Credentials;
use crate::walls::proc_masks::Hidden;
use crate::walls::seccomp::SelfSignals;
use libc::sock_filter;
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::rc::Rc;

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The parent.
    Parent,
    /// The warden, outside every wall.
    Warden,
    /// The child, from clone to execve.
    Child,
}

impl Side {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Warden => "warden",
            Self::Child => "child",
        }
    }
}

/// A mount: made detached while the host can still be seen, attached beneath the new root.
#[derive(Debug)]
pub struct Mount {
    /// Which of the child's mount descriptors it is.
    pub slot: usize,
    /// What is mounted.
    pub source: Source,
    /// Its attributes.
    pub attributes: Attributes,
    /// Where, relative to the root inside.
    pub target: PathBuf,
    /// What the target must be.
    pub kind: Kind,
    /// Whether a missing target is made.
    pub make_target: Switch,
}

/// What a mount shows.
#[derive(Debug)]
pub enum Source {
    /// A new file system.
    New {
        /// Its type, as in /proc/filesystems.
        fs: &'static CStr,
        /// Its options.
        options: Vec<FsOption>,
    },
    /// A path of the host, with the mounts below it.
    Host(CString),
    /// A file of the scratch tmpfs.
    Scratch(CString),
}

/// A tree of mounts that the root is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// The directory that was opened first.
    Base,
    /// The tree that was unpacked into the scratch tmpfs.
    Scratch,
}

/// One step of the plan.
#[derive(Debug)]
pub enum Step {
    /// The queue that the user can watch.
    MakeQueue(Name),
    /// READY read from the queue.
    ReceiveReady(Name),
    /// The queue's name taken away.
    RemoveQueue(Name),
    /// The warden, out of reach of the caller's process group, and heir to every orphan.
    BecomeSubreaper,
    /// The child, in its new namespaces.
    Clone(Namespaces),
    /// The ids of the new user namespace.
    WriteIdMaps(IdMaps),
    /// The child waits for the warden, and dies with it.
    WaitForGo,
    /// A session without a terminal, default signal actions, umask 0.
    Session,
    /// The directory that the root is made from.
    OpenBase(CString),
    /// No mount travels in or out.
    MakePrivate,
    /// A tmpfs of the container's own, attached over the base for as long as it is needed.
    MakeScratch {
        /// In bytes.
        size: u64,
    },
    /// The files that are shown over those of the image: name and content.
    WriteScratch(Vec<(&'static str, Vec<u8>)>),
    /// An image, unpacked into the scratch tmpfs.
    UnpackIntoScratch(Origin),
    /// A directory of this run, locked for as long as the warden lives.
    MakeRunDirectory(PathBuf),
    /// The image unpacked into the directory of this run.
    UnpackIntoRunDirectory {
        /// The image.
        origin: Origin,
        /// The directory; the warden removes it.
        path: PathBuf,
    },
    /// The root as an overlay over the base.
    MakeOverlay {
        /// Where it keeps its marks.
        marks: OverlayMarks,
        /// Of the mount.
        attributes: Attributes,
    },
    /// The root as a copy of a tree of mounts.
    MakeTree {
        /// Of which.
        from: Tree,
        /// Of the mounts.
        attributes: Attributes,
    },
    /// The mounts that hide parts of /proc and /sys, and views of the kernel below a directory
    /// root.
    MakeMasks,
    /// The scratch tmpfs taken off the base again; what uses it keeps it alive.
    DetachScratch,
    /// The root attached over the base.
    AttachRoot,
    /// A mount, detached.
    Make(Rc<Mount>),
    /// pivot_root, and the old root taken away.
    Pivot,
    /// chroot.
    Chroot,
    /// A mount, attached beneath the root.
    Attach(Rc<Mount>),
    /// Kernel parameters of the container's own, in the proc file system of this slot.
    SetSysctls {
        /// The slot.
        proc: usize,
        /// What is set.
        sysctls: Vec<Sysctl>,
    },
    /// Paths hidden.
    Mask {
        /// Where they are.
        place: Place,
        /// Which.
        hidden: Vec<Hidden>,
    },
    /// What is global in the proc file system of this slot made read-only, but for what is hidden.
    ProtectProc {
        /// The slot.
        proc: usize,
        /// What is hidden.
        hidden: Vec<Hidden>,
    },
    /// The six device nodes, in the mount of this slot or (`None`) in the root's own /dev.
    DeviceNodes(Option<usize>),
    /// The links of /dev, in the mount of this slot.
    DeviceLinks(usize),
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
    /// Read-only views of what is behind these standard streams.
    OpenViews(Vec<usize>),
    /// Likewise, from paths: the caller may not copy its mounts, the child may copy its own.
    OpenViewsByPath(Vec<(usize, CString)>),
    /// Pipes behind standard streams given to CMD's uid, which could not open /dev/stdin otherwise;
    /// the uid that each had.
    GivePipes {
        /// Stream and owner.
        before: Vec<(usize, u32)>,
        /// The new owner.
        uid: u32,
    },
    /// The standard streams of CMD.
    TakeStreams {
        /// From stdin to stderr.
        streams: [Stream; 3],
        /// The slot of the /dev that its nodes are taken from.
        dev: Option<usize>,
    },
    /// The loopback interface brought up.
    Loopback,
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
    CloseDescriptors,
    /// HOME, from the image's passwd.
    FindHome(u32),
    /// Capabilities taken out of the bounding set, a bit each.
    DropBounding(u64),
    /// The supplementary groups given up.
    DropGroups,
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
        /// Its environment, but for HOME.
        env: Vec<CString>,
        /// What the child becomes.
        first: First,
    },
}

/// What paths that are hidden are relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The proc file system of this slot.
    Proc(usize),
    /// The sysfs of this slot.
    Sys(usize),
    /// The root.
    Root,
}

impl Place {
    /// Its path inside, without a slash at its end.
    pub fn path(self) -> &'static str {
        match self {
            Self::Proc(_) => "/proc",
            Self::Sys(_) => "/sys",
            Self::Root => "",
        }
    }
}

/// What a full quota of keys means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// The start fails.
    Fatal,
    /// The caller's keyring stays, out of reach behind the seccomp filter.
    Bearable,
}

impl Step {
    /// The failure that a test has ordered for this step, by the name of its variant and an errno
    /// in RUSTIC_FAIL_STEP. Release builds do not have it.
    pub fn ordered_failure(&self) -> Option<SysError> {
        if !cfg!(debug_assertions) {
            return None;
        }
        let ordered = std::env::var("RUSTIC_FAIL_STEP").ok()?;
        let (variant, errno) = ordered.split_once(':')?;
        let debug = format!("{self:?}");
        let mine = debug.split(|c: char| !c.is_alphanumeric()).next()? == variant;
        mine.then(|| {
            SysError::new(
                Errno::from_raw_os_error(errno.parse().unwrap_or(libc::EIO)),
                "ordered by a test",
            )
        })
    }

    /// Who takes it.
    pub fn side(&self) -> Side {
        match self {
            Self::MakeQueue(_)
            | Self::ReceiveReady(_)
            | Self::RemoveQueue(_)
            | Self::OpenViews(_)
            | Self::GivePipes { .. } => Side::Parent,
            Self::BecomeSubreaper
            | Self::MakeRunDirectory(_)
            | Self::Clone(_)
            | Self::WriteIdMaps(_) => Side::Warden,
            _ => Side::Child,
        }
    }
}
