//! A step: data in the shape of the system calls that it stands for. Its type says which process
//! executes it, and each process walks its own type by a `match` that has every step of it. What is
//! said about each stands in [`crate::run::describe`].

mod child;
mod parent;
mod root;
mod warden;

use crate::error::SysError;
use crate::test_switches;
use rustix::io::Errno;

pub use child::{ChildStep, Quota};
pub use parent::ParentStep;
pub use root::{Idmapped, Mount, NOT_IDMAPPED, Place, RootfsStep, Source, Tree};
pub use warden::WardenStep;

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The parent.
    Parent,
    /// The warden, outside every wall.
    Warden,
    /// The builder, which makes the root file system outside of the user namespace, and becomes the
    /// child by clone.
    Builder,
    /// The child, from clone to execve.
    Child,
}

impl Side {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Warden => "warden",
            Self::Builder => "builder",
            Self::Child => "child",
        }
    }
}

/// One step of the plan.
#[derive(Debug)]
pub enum Step {
    /// The parent's.
    Parent(ParentStep),
    /// The warden's.
    Warden(WardenStep),
    /// The builder's.
    Builder(RootfsStep),
    /// The child's, while it builds its root file system.
    Rootfs(RootfsStep),
    /// The child's, otherwise.
    Child(ChildStep),
}

impl Step {
    /// Who executes it.
    pub const fn side(&self) -> Side {
        match self {
            Self::Parent(_) => Side::Parent,
            Self::Warden(_) => Side::Warden,
            Self::Builder(_) => Side::Builder,
            Self::Rootfs(_) | Self::Child(_) => Side::Child,
        }
    }

    /// What is done of the root file system, whoever does it.
    pub const fn rootfs(&self) -> Option<&RootfsStep> {
        match self {
            Self::Builder(step) | Self::Rootfs(step) => Some(step),
            Self::Parent(_) | Self::Warden(_) | Self::Child(_) => None,
        }
    }

    /// The same, to be changed.
    pub const fn rootfs_mut(&mut self) -> Option<&mut RootfsStep> {
        match self {
            Self::Builder(step) | Self::Rootfs(step) => Some(step),
            Self::Parent(_) | Self::Warden(_) | Self::Child(_) => None,
        }
    }

    /// The failure that a test has ordered for this step, by the name of its variant and an errno
    /// in RUSTIC_FAIL_STEP.
    pub fn ordered_failure(&self) -> Option<SysError> {
        let ordered = test_switches::ordered("RUSTIC_FAIL_STEP")?;
        let (variant, errno) = ordered.split_once(':')?;
        let debug = match self {
            Self::Parent(step) => format!("{step:?}"),
            Self::Warden(step) => format!("{step:?}"),
            Self::Builder(step) | Self::Rootfs(step) => format!("{step:?}"),
            Self::Child(step) => format!("{step:?}"),
        };
        let mine = debug.split(|c: char| !c.is_alphanumeric()).next()? == variant;
        mine.then(|| {
            SysError::new(
                Errno::from_raw_os_error(errno.parse().unwrap_or(libc::EIO)),
                "ordered by a test",
            )
        })
    }
}

impl From<ParentStep> for Step {
    fn from(step: ParentStep) -> Self {
        Self::Parent(step)
    }
}

impl From<WardenStep> for Step {
    fn from(step: WardenStep) -> Self {
        Self::Warden(step)
    }
}

impl From<RootfsStep> for Step {
    fn from(step: RootfsStep) -> Self {
        Self::Rootfs(step)
    }
}

impl From<ChildStep> for Step {
    fn from(step: ChildStep) -> Self {
        Self::Child(step)
    }
}
