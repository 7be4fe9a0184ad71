//! What is wanted: the options as they were given, and, checked, the Spec that a plan is made from.

mod arguments;
mod check;
mod door;
mod environment;
mod files;
mod ids;
mod image;
mod join;
mod kernel;
mod options;
mod rights;
mod rootfs;
mod user;

pub use check::is_hostname;
pub use door::{Door, Opening};
pub use files::{Bind, FileOptions, FileOrder, Hide, Overlay, Tmpfs, size};
pub use ids::{COUNT as IDS_OF_A_RANGE, IdOptions, Ids, Supplementary, has_other_ids, has_range};
pub use image::{ImageOptions, Process};
pub use kernel::{KernelOptions, ProcView, Seccomp, Sysctl};
pub use options::RunOptions;
pub use rootfs::{StoreOrder, meant_as_a_root, store};
pub use user::{IdOrder, UserIds, UserOrder};

use crate::error::printable;
use crate::namespace::{Namespaces, Switch};
use crate::walls::join::{Inside, Joins};
use caps::Capability;
use std::ffi::{CStr, CString, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the root is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootSwitch {
    /// pivot_root(2): the old root is taken out of the mount namespace.
    Pivot,
    /// chroot(2), the article's step: the old root stays reachable for who may call chroot again.
    Chroot,
}

/// What becomes of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// They reach the directory (an image never: its overlay takes them).
    Allowed,
    /// EROFS, but on a small tmpfs each on /tmp, /run and /var/tmp.
    Refused,
    /// EROFS, there too.
    Strict,
    /// They go to a layer that vanishes with the container.
    Ephemeral,
}

/// How the container says that its walls stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A message on the POSIX queue that the parent made, when its walls stand.
    Queue,
    /// READY=1 from the program inside: on the queue, on descriptor 3, or on the socket of
    /// sd_notify(3).
    App,
    /// Not at all.
    None,
}

/// What is told besides what CMD says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing.
    Quiet,
    /// The story, in the article's voice: `-v`.
    Story,
    /// Each step as it happens, with its call and its reason: `--explain`.
    Steps,
    /// The steps alone, none of them taken: `--dry-run`.
    DryRun,
}

/// The program that the child becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// CMD, as it is found inside.
    Cmd,
    /// rustic's reaper, which starts CMD: `--init`.
    Reaper,
    /// rustic's probe, with CMD as its arguments: how `rustic verify` gets inside of any root file
    /// system. It talks on this descriptor, which rustic has inherited.
    Probe(i32),
    /// The same, with the reaper in front of it.
    ReapedProbe(i32),
}

impl First {
    /// The probe in the place of CMD, talking on this descriptor.
    #[must_use]
    pub const fn with_probe(self, channel: i32) -> Self {
        match self {
            Self::Cmd | Self::Probe(_) => Self::Probe(channel),
            Self::Reaper | Self::ReapedProbe(_) => Self::ReapedProbe(channel),
        }
    }

    /// The descriptor that a probe talks on.
    pub const fn channel(self) -> Option<i32> {
        match self {
            Self::Probe(channel) | Self::ReapedProbe(channel) => Some(channel),
            Self::Cmd | Self::Reaper => None,
        }
    }
}

/// The hidden command of the binary that is the probe.
pub const PROBE: &CStr = c"__probe";

/// The hidden command of the binary that is the reaper.
pub const INIT: &str = "__init";

/// What CMD gets as standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// Connections, views, and what is the container's own: never the host's file itself.
    Guarded,
    /// The caller's descriptors as they are: a door.
    Inherit,
}

/// The capabilities of CMD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capabilities {
    /// Podman's eleven, as far as rustic holds them, less CAP_SYS_CHROOT where the root is entered
    /// by chroot.
    Default,
    /// None.
    None,
    /// All that rustic holds.
    All,
    /// These; one that rustic does not hold is an error.
    Named(Vec<Capability>),
    /// Podman's, as above, and these.
    DefaultAnd(Vec<Capability>),
}

/// A variable of CMD's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `--env K=V`.
    Set(OsString, OsString),
    /// `--env NAME`: the caller's value.
    PassOn(OsString),
}

/// The root file system that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rootfs {
    /// The one inside the binary.
    Builtin,
    /// A tar archive, absolute path.
    Archive(PathBuf),
    /// A directory, absolute path.
    Directory(PathBuf),
    /// An image of the store, by name.
    Stored(String),
}

/// What is wanted, checked against itself and against the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// New, shared or joined, for each of them.
    pub namespaces: Namespaces,
    /// Those of others that are joined, opened.
    pub joins: Joins,
    /// What is seen inside of them.
    pub inside: Option<Inside>,
    /// The root file system.
    pub rootfs: Rootfs,
    /// How it is entered.
    pub root: RootSwitch,
    /// What becomes of writes to it.
    pub writing: Writing,
    /// Size of the scratch tmpfs, in bytes.
    pub scratch_size: u64,
    /// The mounts that were ordered, sources absolute.
    pub files: FileOptions,
    /// The store directory, absolute; `None` where the caller has no home.
    pub store: Option<PathBuf>,
    /// Whether the store was asked for by name, and so must be usable.
    pub store_by_name: Switch,
    /// Host name inside; `None` with `--uts no`.
    pub hostname: Option<String>,
    /// What is wanted of an image.
    pub image: ImageOptions,
    /// What CMD is run with, as it was ordered.
    pub process: Process,
    /// What SIGTERM becomes.
    pub stop_signal: Option<i32>,
    /// Working directory inside.
    pub workdir: CString,
    /// Who CMD is, as it was ordered.
    pub user_order: UserOrder,
    /// Its ids, as far as they are known: the image has the names.
    pub user: UserIds,
    /// What becomes of the caller's supplementary groups.
    pub groups: Supplementary,
    /// What ids outside they are.
    pub ids: IdOptions,
    /// CMD's environment but for HOME, USER and LOGNAME, which the image's passwd decides unless given: `K=V`
    /// strings.
    pub env: Vec<CString>,
    /// The capabilities that were asked for.
    pub caps: Capabilities,
    /// Those of CMD, a bit each.
    pub cap_mask: u64,
    /// What CMD may have of the kernel.
    pub kernel: KernelOptions,
    /// What CMD gets as standard streams.
    pub stdio: Stdio,
    /// What the child becomes.
    pub first: First,
    /// How readiness is told.
    pub ready: Ready,
    /// Whether that was asked for by name, and so must be had.
    pub ready_by_name: Switch,
    /// How long to wait for it.
    pub ready_timeout: Duration,
    /// The descriptor of rustic's own that events are written to.
    pub info_fd: Option<i32>,
    /// What is told on stderr.
    pub talk: Verbosity,
    /// CMD and its arguments; never empty.
    pub cmd: Vec<CString>,
}

/// A path for an error line.
pub fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
