//! The kernel's own files. /proc and /sys are made for a machine and not for a container: most of
//! what stands in them beside the processes is global, and root inside is the kernel's uid 0, which
//! proc_sys(5) asks for and not for a capability. What tells too much is hidden, everything else
//! that is global is read-only.
//!
//! The kernel honours these mounts in nested namespaces too: where something is mounted over a part
//! of the only /proc or /sys that is seen, a user namespace may mount no fresh one ("too
//! revealing", fs/namespace.c). One mask that counts on each is enough; those over a directory that
//! is always empty, as /sys/fs/cgroup, do not count.

use crate::beneath::{self, Kind};
use crate::error::SysError;
use crate::mounts::{self, Attributes};
use crate::namespace::Switch;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags, fstatvfs,
    mkdirat, openat, statx,
};
use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path that is hidden, relative to its file system or to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// The path that is covered.
    pub path: PathBuf,
    /// What is there: a directory is hidden by an empty directory, a file by an empty file.
    pub kind: Kind,
}

/// What is hidden of /proc: podman's, docker's interrupts, what drivers tell of hardware, and what
/// shows physical memory and addresses in the kernel. Its log needs CAP_SYSLOG anyway. Each mount
/// costs a start 25 µs.
pub const PROC: [(&str, Kind); 16] = [
    ("acpi", Kind::Directory),
    ("driver", Kind::Directory),
    ("interrupts", Kind::File),
    ("kallsyms", Kind::File),
    ("kcore", Kind::File),
    ("keys", Kind::File),
    ("kpagecgroup", Kind::File),
    ("kpagecount", Kind::File),
    ("kpageflags", Kind::File),
    ("latency_stats", Kind::File),
    ("sched_debug", Kind::File),
    ("scsi", Kind::Directory),
    ("timer_list", Kind::File),
    ("timer_stats", Kind::File),
    ("vmallocinfo", Kind::File),
    ("vmcore", Kind::File),
];

/// What is hidden of /sys, which is read-only as a whole: podman's, and the power meters that tell
/// what others compute (CVE-2020-8694).
pub const SYS: [(&str, Kind); 4] = [
    ("dev/block", Kind::Directory),
    ("devices/virtual/powercap", Kind::Directory),
    ("firmware", Kind::Directory),
    ("fs/selinux", Kind::Directory),
];

/// File systems that are a view of the kernel: one of the host's below a directory root shows the
/// host, whatever the namespaces are.
pub const VIEWS_OF_THE_KERNEL: [&str; 20] = [
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "mqueue",
    "nfsd",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// How masks and read-only views are mounted.
pub const ATTRIBUTES: Attributes = Attributes::READ_ONLY
    .union(Attributes::NO_SUID)
    .union(Attributes::NO_DEVICES)
    .union(Attributes::NO_EXEC);

/// The mounts that hide: an empty file and an empty directory, read-only.
#[derive(Debug)]
pub struct Masks {
    file: Mask,
    directory: Mask,
}

/// An empty file or directory, mounted and not attached yet.
#[derive(Debug)]
struct Mask {
    mount: OwnedFd,
    /// Whether it hides a path itself already.
    used: Switch,
}

impl Mask {
    /// Hides one more path. The first one gets the mask itself, the others a copy each: a mount
    /// that is attached a second time is moved, and what it had hidden is open again. (Before Linux
    /// 6.15 a mount that is attached nowhere could not be copied, and one that never was is waited
    /// for when it is closed.)
    fn attach(&mut self, target: OwnedFd) -> rustix::io::Result<()> {
        match std::mem::replace(&mut self.used, Switch::Yes) {
            Switch::No => mounts::attach(&self.mount, target),
            Switch::Yes => {
                mounts::attach(mounts::copy_tree(&self.mount, c"", Attributes::NONE)?, target)
            }
        }
    }
}

impl Masks {
    /// Makes them in the scratch tmpfs, which is still attached. Not of a device node of the image
    /// or the host, which could be another file by then (CVE-2025-31133).
    ///
    /// # Errors
    /// ENOSPC in the scratch tmpfs.
    pub fn make(scratch: impl AsFd) -> Result<Self, SysError> {
        const FILE: &CStr = c"masked-file";
        const DIRECTORY: &CStr = c"masked-directory";
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(&scratch, FILE, flags, Mode::from_raw_mode(0o444))?;
        mkdirat(&scratch, DIRECTORY, Mode::from_raw_mode(0o555))?;
        let copy = |name| {
            let mount = mounts::copy_tree(&scratch, name, ATTRIBUTES)?;
            Ok::<_, Errno>(Mask { mount, used: Switch::No })
        };
        Ok(Self { file: copy(FILE)?, directory: copy(DIRECTORY)? })
    }

    /// The same for a mount namespace that is made next: what is attached in this one cannot be
    /// copied from there.
    ///
    /// # Errors
    /// Those of open_tree(2).
    pub fn anew(self) -> rustix::io::Result<Self> {
        let anew = |mask: Mask| match mask.used {
            Switch::No => Ok(mask),
            Switch::Yes => {
                let mount = mounts::copy_tree(&mask.mount, c"", Attributes::NONE)?;
                Ok::<_, Errno>(Mask { mount, used: Switch::No })
            }
        };
        Ok(Self { file: anew(self.file)?, directory: anew(self.directory)? })
    }

    /// Hides paths beneath `root`, and looks at each afterwards: it must show the mask. What is not
    /// there is passed over. Returns how many are hidden.
    ///
    /// # Errors
    /// ENOTDIR for another kind than is told, ELOOP for a symlink, EPERM.
    pub fn hide(&mut self, root: impl AsFd, hidden: &[Hidden]) -> Result<usize, SysError> {
        self.hide_each(&root, hidden, |mask, Hidden { path, .. }| {
            let target = beneath::open(&root, path, OFlags::PATH, Mode::empty())?;
            mask.attach(target)
        })
    }

    /// The same of a file system of the kernel's own, where nobody replaces a name: what is hidden
    /// first is bound over the others by its name, see [`mounts::bind`].
    ///
    /// # Errors
    /// As [`Masks::hide`].
    pub fn hide_of_kernel(
        &mut self,
        root: impl AsFd,
        hidden: &[Hidden],
    ) -> Result<usize, SysError> {
        let name =
            |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL);
        mounts::standing_in(&root, || {
            let mut first: [Option<CString>; 2] = [None, None];
            self.hide_each(&root, hidden, |mask, Hidden { path, kind }| {
                let first = &mut first[usize::from(*kind == Kind::File)];
                let path_name = name(path)?;
                match first {
                    Some(first) => mounts::bind(first, &path_name),
                    None => {
                        let target = beneath::open(&root, path, OFlags::PATH, Mode::empty())?;
                        mask.attach(target)?;
                        *first = Some(path_name);
                        Ok(())
                    }
                }
            })
        })
    }

    fn hide_each(
        &mut self,
        root: impl AsFd,
        hidden: &[Hidden],
        mut hide: impl FnMut(&mut Mask, &Hidden) -> rustix::io::Result<()>,
    ) -> Result<usize, SysError> {
        let (file, directory) =
            (identity(&self.file.mount, c"")?, identity(&self.directory.mount, c"")?);
        let mut count = 0;
        for one @ Hidden { path, kind } in hidden {
            let named = |errno| SysError::new(errno, path.to_string_lossy());
            let (mask, own) = match kind {
                Kind::File => (&mut self.file, file),
                Kind::Directory => (&mut self.directory, directory),
            };
            match hide(mask, one) {
                Err(Errno::NOENT) => continue,
                done => done.map_err(named)?,
            }
            if identity(&root, path).map_err(named)? != own {
                let what = format!("{} still shows something else", path.display());
                return Err(SysError::new(Errno::BUSY, what));
            }
            count += 1;
        }
        Ok(count)
    }
}

/// What tells one file from another: its device and its inode. Not through a symlink.
fn identity(dir: impl AsFd, path: impl Arg) -> rustix::io::Result<(u32, u32, u64)> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    let shown = statx(dir, path, flags, StatxFlags::INO)?;
    Ok((shown.stx_dev_major, shown.stx_dev_minor, shown.stx_ino))
}

/// Binds read-only whatever is global in a proc file system: every directory and every file but the
/// processes, and what is hidden anyway. Also what has no write bit: chmod(2) and chown(2) of such
/// an entry change the kernel's own, for the host and every container, and root inside is the uid
/// that it belongs to. Afterwards each must be the root of a mount.
///
/// The mounts get their attributes by one call, which gives them to the file system itself too;
/// that gets back what the processes in it are written by.
///
/// # Errors
/// Those of open_tree(2) and mount_setattr(2); EROFS where one is still the entry itself.
pub fn protect(proc: impl AsFd, hidden: &[Hidden]) -> Result<(), SysError> {
    let names = global(&proc, hidden)?;
    let named = |name: &CString| {
        let path = format!("/proc/{}", name.to_string_lossy());
        move |errno| SysError::new(errno, path)
    };
    mounts::standing_in(&proc, || {
        names.iter().try_for_each(|name| mounts::bind(name, name).map_err(named(name)))
    })?;
    let was_read_only = fstatvfs(&proc)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    mounts::restrict(&proc, ATTRIBUTES)?;
    if !was_read_only {
        mounts::allow_writing(&proc)?;
    }
    for name in &names {
        let shown = statx(&proc, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())?;
        if !shown.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return Err(named(name)(Errno::ROFS));
        }
    }
    Ok(())
}

/// The names of the global entries. The kernel lists them first, then the processes.
fn global(proc: impl AsFd, hidden: &[Hidden]) -> Result<Vec<CString>, SysError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut names = Vec::new();
    for entry in Dir::new(openat(&proc, c".", flags, Mode::empty())?)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            break;
        }
        let is_hidden = || hidden.iter().any(|hidden| hidden.path.as_os_str() == &*name);
        let can_be_changed =
            matches!(entry.file_type(), FileType::Directory | FileType::RegularFile);
        if can_be_changed && !name.starts_with('.') && !is_hidden() {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}
