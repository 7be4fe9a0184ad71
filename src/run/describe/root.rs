//! What is said of the child's steps while it builds its root file system.

use super::mount::describe_mount;
use super::{Description, described, first_word, inside, text};
use crate::beneath::Links;
use crate::error::printable;
use crate::namespace::Switch;
use crate::run::step::{Idmapped, Place, RootfsStep};
use crate::walls::proc_masks::{self, Hidden};
use std::path::PathBuf;
use std::slice;

impl RootfsStep {
    /// What is said of it. A flat table, an entry a step.
    pub(super) fn describe(&self) -> Description {
        match self {
            Self::OpenBase(path) => described(
                format!("open({}, O_PATH|O_DIRECTORY)", text(path)),
                format!("open the root file system {}", text(path)),
                "one descriptor stands for the root from here on",
                "open(2)",
            ),
            Self::MakePrivate => described(
                "mount_setattr(\"/\", AT_RECURSIVE, MS_PRIVATE)".into(),
                "make the mounts private".into(),
                "a new mount namespace still shares mount events with the host where / is shared",
                "mount_namespaces(7)",
            ),
            Self::Idmap { of, below, .. } => described(
                match of {
                    Idmapped::Base(_) => format!(
                        "clone3(CLONE_NEWUSER), open_tree({}, OPEN_TREE_CLONE), \
                         mount_setattr(MOUNT_ATTR_IDMAP), move_mount()",
                        if below.is_empty() { "root" } else { "root and each mount below it" }
                    ),
                    Idmapped::Bind { .. } => {
                        "clone3(CLONE_NEWUSER), mount_setattr(MOUNT_ATTR_IDMAP)".into()
                    }
                },
                match of {
                    Idmapped::Base(_) => {
                        "show the root file system with the container's ids".into()
                    }
                    Idmapped::Bind { source, .. } => {
                        let source = printable(&source.to_string_lossy());
                        format!("show {source} with the container's ids")
                    }
                },
                "owners inside are those on disk, though root inside is nobody outside",
                "mount_setattr(2)",
            ),
            Self::MakeTargets(paths) => described(
                format!("mkdirat({})", listed(paths)),
                format!("make {}", listed(paths)),
                "mount targets of what comes when the root is read-only",
                "mkdir(2)",
            ),
            Self::MakeWorkdir(path) => described(
                format!("mkdirat({})", listed(slice::from_ref(path))),
                format!("make the image's working directory {}", listed(slice::from_ref(path))),
                "its config wants it; where the image lacks it, it is made as engines do",
                "mkdir(2)",
            ),
            Self::StandInRoot => described(
                "fchdir(root)".into(),
                "enter the root".into(),
                "the child has its working directory in its own copy of the mount",
                "mount_namespaces(7)",
            ),
            Self::TakeRoot { copied, .. } => described(
                match copied {
                    Switch::Yes => "open_tree(\".\", OPEN_TREE_CLONE|AT_RECURSIVE), move_mount()",
                    Switch::No => "open(\".\", O_PATH|O_DIRECTORY)",
                }
                .into(),
                "take the root".into(),
                "what came into the user namespace with it is locked: pivot_root wants a mount of \
                 the child's own",
                "mount_namespaces(7)",
            ),
            Self::MakeScratch { size, .. } => described(
                format!("fsopen(\"tmpfs\"), fsconfig(size={size}), fsmount(), move_mount()"),
                "make the scratch tmpfs".into(),
                "what the container writes lives in its own mount namespace and vanishes with it",
                "tmpfs(5)",
            ),
            Self::WriteScratch(files) => described(
                format!(
                    "write {}",
                    files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
                ),
                "write the files of the container's own".into(),
                "shown over the image's, which stay as they are",
                "hosts(5)",
            ),
            Self::WriteFiles(files) => described(
                format!(
                    "openat2(/etc, RESOLVE_NO_SYMLINKS), openat({})",
                    files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
                ),
                "write the files of the container's own".into(),
                "plain files in the place of the image's: sed -i and rm work on them",
                "hosts(5)",
            ),
            Self::OpenLower { path, .. } => described(
                format!("open({}, O_PATH|O_DIRECTORY)", text(path)),
                format!("open {}", text(path)),
                "opened while nothing of the container lies over it",
                "open(2)",
            ),
            Self::UnpackIntoScratch { origin, .. } => described(
                format!("unpack {origin} into the scratch tmpfs"),
                format!("unpack {origin}"),
                "the image lives in the container's memory, where no tree of a store serves it",
                "tar(5)",
            ),
            Self::UnpackIntoRunDirectory { origin, path, .. } => described(
                format!("unpack {origin} into {}", printable(&path.to_string_lossy())),
                format!("unpack {origin} into {}", printable(&path.to_string_lossy())),
                "every path beneath the one directory, no symlink followed",
                "tar(5)",
            ),
            Self::MakeOverlay { attributes, .. } => described(
                format!(
                    "fsopen(\"overlay\"), fsconfig(lowerdir, upperdir, workdir), fsmount({})",
                    attributes.names()
                ),
                "mount an overlay over the root file system".into(),
                "the image is never changed; writes go to the scratch tmpfs",
                "mount(8)",
            ),
            Self::MakeTree { attributes, .. } => described(
                format!(
                    "open_tree(OPEN_TREE_CLONE|AT_RECURSIVE), mount_setattr({})",
                    attributes.names()
                ),
                "bind the root file system".into(),
                "the root must be a mount to be entered by pivot_root",
                "open_tree(2)",
            ),
            Self::MakeMasks => described(
                format!(
                    "open_tree(scratch/masked-file, masked-directory, OPEN_TREE_CLONE), \
                     mount_setattr({})",
                    proc_masks::ATTRIBUTES.names()
                ),
                "make the masks".into(),
                "an empty file and an empty directory, read-only, to be shown over others",
                "open_tree(2)",
            ),
            Self::SetSysctls { sysctls, .. } => described(
                format!(
                    "write {}",
                    sysctls
                        .iter()
                        .map(|sysctl| format!("/proc/sys/{}={}", sysctl.path(), sysctl.value))
                        .collect::<Vec<_>>()
                        .join(" ")
                ),
                "set kernel parameters".into(),
                "those of the container's own namespaces, before /proc/sys becomes read-only",
                "proc_sys(5)",
            ),
            Self::Mask { place, hidden } => described(
                match place {
                    // The first path gets the mask itself.
                    Place::Proc(_) => {
                        format!("move_mount(mask), mount(mask, {}, MS_BIND)", paths(*place, hidden))
                    }
                    Place::Sys(_) => format!(
                        "open_tree(mask, OPEN_TREE_CLONE), move_mount(), mount(mask, {}, MS_BIND)",
                        paths(*place, hidden)
                    ),
                    Place::Root => format!(
                        "open_tree(mask, OPEN_TREE_CLONE), move_mount({})",
                        paths(*place, hidden)
                    ),
                },
                format!("hide {}", paths(*place, hidden)),
                "it belongs to the machine and not to the container; masked, it also keeps a \
                 nested namespace from mounting a whole one",
                "mount_namespaces(7)",
            ),
            Self::ProtectProc { .. } => described(
                format!(
                    "mount(MS_BIND|MS_REC) of /proc/sys and whatever else is global over itself, \
                     mount_setattr({}), mount_setattr(/proc)",
                    proc_masks::ATTRIBUTES.names()
                ),
                "make the global files of /proc read-only".into(),
                "root inside is the kernel's uid 0, which /proc/sys asks for, not a capability",
                "proc_sys(5)",
            ),
            Self::DetachScratch => described(
                "umount2(scratch, MNT_DETACH)".into(),
                "detach the scratch tmpfs".into(),
                "its users keep it alive; no path leads to it any more",
                "umount2(2)",
            ),
            Self::AttachRoot => described(
                "move_mount(root)".into(),
                "attach the root".into(),
                "pivot_root wants a mount",
                "move_mount(2)",
            ),
            Self::Make(mount) => describe_mount(mount),
            Self::Pivot => described(
                "pivot_root(\".\", \".\"), umount2(\".\", MNT_DETACH)".into(),
                "pivot into the root".into(),
                "the host's tree leaves the mount namespace: there is no way back",
                "pivot_root(2)",
            )
            .told("the old root is out of sight, pivot_root"),
            Self::Chroot => described(
                "chroot(\".\")".into(),
                "chroot into the root".into(),
                "the host's tree stays in the mount namespace, behind the lack of CAP_SYS_CHROOT",
                "chroot(2)",
            )
            .told("the old root is behind a chroot"),
            Self::FindCmd { cmd, .. } => described(
                format!("openat2({}) in what will be mounted", first_word(cmd)),
                format!("find {}", first_word(cmd)),
                "a command that is not there leaves nothing made in a directory of the caller's",
                "path_resolution(7)",
            ),
            Self::Attach(mount) => described(
                format!("openat2({}, RESOLVE_NO_SYMLINKS), move_mount()", inside(mount)),
                format!("{} on {}", describe_mount(mount).cannot, inside(mount)),
                match mount.links {
                    Links::Refused => {
                        "attached to a descriptor beneath the root, never through a symlink of the \
                         image"
                    }
                    Links::Inside | Links::Anywhere => {
                        "attached to a descriptor beneath the root, found component by component; \
                         a link leads where it leads from inside"
                    }
                },
                "move_mount(2)",
            ),
            Self::Hide { path, .. } => described(
                format!("openat2(/{}), fsopen(\"tmpfs\"), move_mount()", path.display()),
                format!("hide {}", printable(&format!("/{}", path.display()))),
                "a directory lies under an empty one; a file is hidden when everything is mounted",
                "mount_namespaces(7)",
            ),
            Self::HideFiles => described(
                "unlinkat(), or fsopen(\"tmpfs\") and open_tree(OPEN_TREE_CLONE) of the other names"
                    .into(),
                "hide files".into(),
                "a mount on a file is gone when the host replaces the file; its directory without \
                 that name is not",
                "rename(2)",
            ),
            Self::ProtectMounts(_) => described(
                "mount_setattr(RDONLY)".into(),
                "make mounts read-only".into(),
                "now that every mount has its place in them",
                "mount_setattr(2)",
            ),
            Self::ProtectRoot => described(
                "mount_setattr(root, RDONLY)".into(),
                "make the root read-only".into(),
                "now that every mount has its place in it",
                "mount_setattr(2)",
            ),
            Self::DeviceNodes(_) => described(
                "mknod(null, zero, full, random, urandom, tty)".into(),
                "make the device nodes".into(),
                "the six that every program expects, none of the host's hardware",
                "mknod(2)",
            ),
            Self::DeviceLinks(_) => described(
                "symlink(fd, stdin, stdout, stderr, ptmx)".into(),
                "make the links of /dev".into(),
                "names for the descriptors of whoever looks",
                "proc_pid_fd(5)",
            ),
        }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let all: Vec<_> = paths.iter().map(|path| format!("/{}", path.display())).collect();
    printable(&all.join(" "))
}

/// The paths that a step hides, in a line.
fn paths(place: Place, hidden: &[Hidden]) -> String {
    let path = |hidden: &Hidden| format!("{}/{}", place.path(), hidden.path.display());
    printable(&hidden.iter().map(path).collect::<Vec<_>>().join(" "))
}
