//! Mounts, made detached with the API of Linux 5.2 and 5.12 and attached to a descriptor, so that
//! no path is resolved twice: fsopen(2), fsmount(2), open_tree(2), mount_setattr(2), move_mount(2).

use crate::error::SysError;
use crate::sys::{self, MountAttr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Result;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_bind_recursive, move_mount,
    open_tree,
};
use rustix::process::fchdir;
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;

/// Attributes of a mount, as in mount_setattr(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(u32);

impl Attributes {
    /// No MOUNT_ATTR_* at all.
    pub const NONE: Self = Self(0);
    /// Writes answer EROFS.
    pub const READ_ONLY: Self = Self(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    /// Set-user-ID bits and file capabilities have no effect.
    pub const NO_SUID: Self = Self(MountAttrFlags::MOUNT_ATTR_NOSUID.bits());
    /// Device nodes cannot be opened.
    pub const NO_DEVICES: Self = Self(MountAttrFlags::MOUNT_ATTR_NODEV.bits());
    /// Nothing can be executed.
    pub const NO_EXEC: Self = Self(MountAttrFlags::MOUNT_ATTR_NOEXEC.bits());

    /// Those of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kernel's names, `MOUNT_ATTR_` left out, joined by `|`; "0" for none.
    pub fn names(self) -> String {
        let names = [
            (Self::READ_ONLY, "RDONLY"),
            (Self::NO_SUID, "NOSUID"),
            (Self::NO_DEVICES, "NODEV"),
            (Self::NO_EXEC, "NOEXEC"),
        ];
        let set: Vec<_> = names
            .into_iter()
            .filter(|(one, _)| self.0 & one.0 != 0)
            .map(|(_, name)| name)
            .collect();
        if set.is_empty() { "0".into() } else { set.join("|") }
    }
}

/// An option of a new file system: a key with a value, or a flag.
pub type FsOption = (&'static CStr, Option<CString>);

/// The options of a tmpfs: a size in bytes, and with it a number of inodes, which a size does not
/// bound: an empty file takes 2 KiB of the kernel's memory and none of the tmpfs, tmpfs(5).
pub fn limits(size: u64) -> [FsOption; 2] {
    const BYTES_OF_A_FILE: u64 = 4096;
    const FEWEST: u64 = 1024;
    let inodes = (size / BYTES_OF_A_FILE).max(FEWEST);
    let number = |number: u64| CString::new(number.to_string()).ok();
    [(c"size", number(size)), (c"nr_inodes", number(inodes))]
}

/// A new file system as a detached mount.
///
/// # Errors
/// The kernel's errno, with the last line of its own log of the mount where it wrote one.
pub fn new(
    fs: &CStr,
    options: &[FsOption],
    attributes: Attributes,
) -> std::result::Result<OwnedFd, SysError> {
    let context = fsopen(fs, FsOpenFlags::FSOPEN_CLOEXEC)?;
    // What /proc/mounts shows as the source: rather the type than "none".
    let source = (c"source", Some(fs.to_owned()));
    let configured = std::iter::once(&source)
        .chain(options)
        .try_for_each(|(key, value)| match value {
            Some(value) => fsconfig_set_string(&context, *key, value.as_c_str()),
            None => fsconfig_set_flag(&context, *key),
        })
        .and_then(|()| fsconfig_create(&context))
        .and_then(|()| {
            fsmount(
                &context,
                FsMountFlags::FSMOUNT_CLOEXEC,
                MountAttrFlags::from_bits_retain(attributes.0),
            )
        });
    configured.map_err(|errno| SysError::new(errno, last_log_line(context.as_fd())))
}

/// What the kernel wrote into the log of a file system context, see fsopen(2).
fn last_log_line(context: BorrowedFd<'_>) -> String {
    let mut last = String::new();
    let mut line = [0; 256];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut line) {
        last = String::from_utf8_lossy(line.get(2..length).unwrap_or_default()).trim().to_owned();
    }
    last
}

/// An overlay as a detached mount. Both directories are given by descriptor through /proc/self/fd:
/// fsconfig(2) cuts strings at 255 bytes, and descriptors as layers came with Linux 6.13 only.
///
/// # Errors
/// EINVAL where the kernel cannot stack on these file systems, with its log line.
pub fn overlay(
    lower: impl AsFd,
    upper: impl AsFd,
    work: impl AsFd,
    marks: OverlayMarks,
    attributes: Attributes,
) -> std::result::Result<OwnedFd, SysError> {
    let by_fd = |fd: BorrowedFd<'_>| CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok();
    let mut options: Vec<FsOption> = vec![
        (c"lowerdir", by_fd(lower.as_fd())),
        (c"upperdir", by_fd(upper.as_fd())),
        (c"workdir", by_fd(work.as_fd())),
    ];
    if marks == OverlayMarks::User {
        options.push((c"userxattr", None));
    }
    new(c"overlay", &options, attributes)
}

/// Where an overlay keeps its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlayMarks {
    /// In trusted.overlay.*, for root.
    Trusted,
    /// In user.overlay.*, the only ones that a user namespace may write (Linux 5.11).
    User,
}

/// A copy of a tree of mounts, with every mount below `path`, detached.
///
/// # Errors
/// EINVAL for a path outside the caller's mount namespace, ENOENT for none.
pub fn copy_tree(dir: impl AsFd, path: &CStr, attributes: Attributes) -> Result<OwnedFd> {
    // AT_EMPTY_PATH shows the descriptor itself when the path is empty, and changes nothing when it
    // is not.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(dir, path, flags)?;
    if attributes != Attributes::NONE {
        restrict(&tree, attributes)?;
    }
    Ok(tree)
}

/// The same for an entry of a directory, and for a symlink not what it leads to.
///
/// # Errors
/// As [`copy_tree`].
pub fn copy_entry(dir: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    open_tree(dir, name, flags)
}

/// A copy of the one mount that a file is on, with the file as its root, detached.
///
/// # Errors
/// EINVAL for a file of another mount namespace or of no mount, as a pipe's.
pub fn copy_mount(dir: impl AsFd, path: &CStr) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(dir, path, flags)
}

/// Adds attributes to a mount and to every one below it.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN over the namespace.
pub fn restrict(tree: impl AsFd, attributes: Attributes) -> Result<()> {
    let attr = MountAttr { set: attributes.0.into(), ..MountAttr::default() };
    sys::mount_setattr(tree.as_fd(), c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, &attr)
}

/// Makes one mount read-only, and none below it.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN over the namespace.
pub fn forbid_writing(mount: impl AsFd) -> Result<()> {
    let attr = MountAttr { set: Attributes::READ_ONLY.0.into(), ..MountAttr::default() };
    sys::mount_setattr(mount.as_fd(), c"", libc::AT_EMPTY_PATH, &attr)
}

/// Takes READ_ONLY from one mount, and from none below it.
///
/// # Errors
/// EPERM where the mount came read-only into a user namespace.
pub fn allow_writing(mount: impl AsFd) -> Result<()> {
    let attr = MountAttr { clear: Attributes::READ_ONLY.0.into(), ..MountAttr::default() };
    sys::mount_setattr(mount.as_fd(), c"", libc::AT_EMPTY_PATH, &attr)
}

/// Shows the owners of a detached mount as a user namespace maps them, mount_setattr(2).
///
/// # Errors
/// EINVAL for a file system that cannot be shown so, or a mount that is attached; EPERM for one
/// that is shown so already.
pub fn idmap(mount: impl AsFd, user_namespace: impl AsFd) -> Result<()> {
    let attr = MountAttr {
        set: MountAttrFlags::MOUNT_ATTR_IDMAP.bits().into(),
        userns_fd: user_namespace.as_fd().as_raw_fd() as u64,
        ..MountAttr::default()
    };
    sys::mount_setattr(mount.as_fd(), c"", libc::AT_EMPTY_PATH, &attr)
}

/// Attaches a detached mount on top of what `target` shows.
///
/// # Errors
/// ENOTDIR when one is a directory and the other is not.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

/// Attaches a detached mount on top of an entry of a directory, which is no symlink.
///
/// # Errors
/// As [`attach`]; ELOOP for a symlink.
pub fn attach_at(mount: impl AsFd, dir: impl AsFd, name: &CStr) -> Result<()> {
    move_mount(mount, c"", dir, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Does something with a directory as the working directory, and goes back: [`bind`] takes names.
///
/// # Errors
/// What it answers, and EACCES for a directory that may not be entered.
pub fn standing_in<T>(
    dir: impl AsFd,
    act: impl FnOnce() -> std::result::Result<T, SysError>,
) -> std::result::Result<T, SysError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let before = open(c".", flags, Mode::empty())?;
    fchdir(dir)?;
    let done = act();
    fchdir(before)?;
    done
}

/// Binds what one name shows, with every mount below it, over another name: mount(2). One call, and
/// no mount namespace for the copy alone, which makes it a third cheaper than [`copy_tree`] and
/// [`attach`]. For names of the kernel's own that nobody can replace: both are looked up.
///
/// # Errors
/// ENOENT, and ENOTDIR when one is a directory and the other is not.
pub fn bind(shown: &CStr, target: &CStr) -> Result<()> {
    mount_bind_recursive(shown, target)
}

/// Makes every mount of the namespace private: a new one starts as a copy in which mounts still
/// travel to the host and back, where / is shared (systemd makes it so), mount_namespaces(7).
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN over the namespace.
pub fn make_private() -> Result<()> {
    let attr = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    sys::mount_setattr(CWD, c"/", libc::AT_RECURSIVE, &attr)
}
