//! The child's steps while it builds what is seen of files.

use crate::beneath::{Kind, Links, Missing, is_of_the_kernel};
use crate::mounts::{Attributes, FsOption, OverlayMarks};
use crate::namespace::Switch;
use crate::rootfs::Origin;
use crate::rootfs::renumber::Renumber;
use crate::spec::Sysctl;
use crate::walls::idmap::IdMaps;
use crate::walls::join::Join;
use crate::walls::proc_masks::Hidden;
use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::rc::Rc;

/// A step of the child, while it builds its root file system.
#[derive(Debug)]
pub enum RootfsStep {
    /// The directory that the root is made from.
    OpenBase(CString),
    /// No mount travels in or out.
    MakePrivate,
    /// A tree as the container's ids see it: an idmapped mount.
    Idmap {
        /// Which tree.
        of: Idmapped,
        /// The user namespace that has them, where it is joined.
        joined: Option<Join>,
        /// The ids.
        maps: IdMaps,
        /// What is mounted below it, by paths relative to it: as far as it can be shown so.
        below: Vec<PathBuf>,
    },
    /// Targets in the root, made while it can be written.
    MakeTargets(Vec<PathBuf>),
    /// The root as the working directory: the child finds its own copy of it there.
    StandInRoot,
    /// The root taken from the working directory; to be entered by pivot_root it is a mount of the
    /// child's own.
    TakeRoot {
        /// Whether what is made in it vanishes with the container.
        own: Switch,
        /// Whether a copy is attached over it.
        copied: Switch,
    },
    /// A tmpfs of the container's own, attached over the base for as long as it is needed.
    MakeScratch {
        /// In bytes.
        size: u64,
        /// What files in it may not do.
        attributes: Attributes,
    },
    /// The files of /etc that are the container's own, in the scratch tmpfs, to be shown over those
    /// of a directory: name and content.
    WriteScratch(Vec<(&'static str, Vec<u8>)>),
    /// The same in a root of rustic's own, in the place of the image's.
    WriteFiles(Vec<(&'static str, Vec<u8>)>),
    /// The working directory of an image's config, made where the image lacks it.
    MakeWorkdir(PathBuf),
    /// The directory of the host that an overlay will be made over, in the slot of its mount.
    OpenLower {
        /// The slot.
        slot: usize,
        /// The directory.
        path: CString,
    },
    /// An image, unpacked into the scratch tmpfs.
    UnpackIntoScratch {
        /// The image.
        origin: Origin,
        /// Where root inside is another id outside: what owners become on disk.
        shift: Option<Renumber>,
    },
    /// The image unpacked into the directory of this run.
    UnpackIntoRunDirectory {
        /// The image.
        origin: Origin,
        /// As above.
        shift: Option<Renumber>,
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
    /// CMD looked for in the tree as it will be, before anything is made in it.
    FindCmd {
        /// CMD and its arguments.
        cmd: Vec<CString>,
        /// Its environment, with the PATH that it is looked for along.
        env: Vec<CString>,
        /// What a relative path is relative to.
        workdir: CString,
        /// What will be attached, parents first.
        mounts: Vec<Rc<Mount>>,
        /// What will be hidden.
        hidden: Vec<PathBuf>,
        /// The root on the host, where it is a directory there.
        directory: Option<PathBuf>,
    },
    /// A mount, attached beneath the root.
    Attach(Rc<Mount>),
    /// A path that shows nothing: a directory is covered, a file is left to [`Self::HideFiles`].
    Hide {
        /// Relative to the root inside.
        path: PathBuf,
        /// Whether it must be there.
        required: Switch,
        /// Where it was, behind every link, when it was looked for under other names.
        real: PathBuf,
    },
    /// The hidden files: taken out of a place of the container's own, and left out of a directory
    /// of the caller's that is rebuilt without them.
    HideFiles,
    /// The root made read-only, when every mount target in it has been made.
    ProtectRoot,
    /// The mounts of these slots, and what hides, likewise.
    ProtectMounts(Vec<usize>),
    /// Kernel parameters of the container's own.
    SetSysctls {
        /// The slot of the proc file system that they are written in; the caller's where there are
        /// no mounts.
        proc: Option<usize>,
        /// Keys and values.
        sysctls: Vec<Sysctl>,
        /// Whether they were ordered; the others are set as far as the kernel lets them.
        ordered: Switch,
    },
    /// Paths hidden.
    Mask {
        /// Where they are.
        place: Place,
        /// The paths, and what each is.
        hidden: Vec<Hidden>,
    },
    /// What is global in the proc file system of this slot made read-only, but for what is hidden.
    ProtectProc {
        /// The slot of the proc file system.
        proc: usize,
        /// Paths that stay as they are: a mask is on each.
        hidden: Vec<Hidden>,
    },
    /// The six device nodes, in the mount of this slot or (`None`) in the root's own /dev.
    DeviceNodes(Option<usize>),
    /// The links of /dev, in the mount of this slot.
    DeviceLinks(usize),
}

/// A mount: made detached while the host can still be seen, attached beneath the new root.
#[derive(Clone, Debug)]
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
    /// What becomes of links on the way to it.
    pub links: Links,
    /// What becomes of a target that is missing.
    pub missing: Missing,
    /// Whether it was ordered by name, and so must not lie under another that was.
    pub ordered: Switch,
}

impl Mount {
    /// One of the container's own, whose target is made where it is missing.
    pub fn new(source: Source, attributes: Attributes, target: PathBuf, kind: Kind) -> Self {
        let links = if is_of_the_kernel(&target) { Links::Refused } else { Links::Inside };
        let (missing, ordered) = (Missing::Made, Switch::No);
        Self { slot: 0, source, attributes, target, kind, links, missing, ordered }
    }
}

/// What a mount shows.
#[derive(Clone, Debug)]
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
    /// An overlay over the directory that is in the slot, with its other layers in the scratch
    /// tmpfs.
    Overlay {
        /// The directory.
        lower: CString,
        /// Where it keeps its marks.
        marks: OverlayMarks,
    },
}

/// The detail of an error that is the kernel's answer to [`RootfsStep::Idmap`] itself, and not of
/// what has to be done for it.
pub const NOT_IDMAPPED: &str = "mount_setattr(MOUNT_ATTR_IDMAP)";

/// A tree of mounts that is shown with other owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idmapped {
    /// The directory that was opened first, which then is a copy of itself, attached here: over it,
    /// or somewhere else where it is the caller's own root. Who has something mounted over that is
    /// in a chroot for the kernel, and makes no user namespace, user_namespaces(7).
    Base(CString),
    /// A bind, but for what is mounted below it.
    Bind {
        /// Its slot.
        slot: usize,
        /// What it shows.
        source: PathBuf,
    },
}

/// A tree of mounts that the root is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// The directory that was opened first.
    Base,
    /// The tree that was unpacked into the scratch tmpfs.
    Scratch,
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
