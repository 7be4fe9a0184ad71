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
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, StatVfsMountFlags, fstat, fstatvfs, mkdirat, openat,
    statat,
};
use rustix::io::Errno;
use std::ffi::CStr;
use std::path::PathBuf;

/// A path that is hidden, relative to its file system or to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Where.
    pub path: PathBuf,
    /// What is there: a directory is hidden by an empty directory, a file by an empty file.
    pub kind: Kind,
}

/// What is hidden of /proc: podman's, and what shows physical memory, addresses in the kernel, and
/// the interrupts of everybody, keys that are typed among them. The kernel's log and its symbols
/// show nothing without CAP_SYSLOG. Each mount costs a start 25 µs.
pub const PROC: [(&str, Kind); 13] = [
    ("acpi", Kind::Directory),
    ("interrupts", Kind::File),
    ("kcore", Kind::File),
    ("keys", Kind::File),
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

/// Directories of /proc that are passed over: itself, the objects of the IPC namespace, which are
/// not global, and the drivers of terminals, in which nothing can be written.
const NOT_GLOBAL: [&str; 4] = [".", "..", "sysvipc", "tty"];

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
pub const VIEWS_OF_THE_KERNEL: [&str; 16] = [
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "mqueue",
    "proc",
    "pstore",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// How masks and read-only views are mounted.
pub const ATTRIBUTES: Attributes = Attributes::READ_ONLY
    .and(Attributes::NO_SUID)
    .and(Attributes::NO_DEVICES)
    .and(Attributes::NO_EXEC);

/// The mounts that hide: an empty file and an empty directory, read-only.
#[derive(Debug)]
pub struct Masks {
    file: OwnedFd,
    directory: OwnedFd,
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
        let copy = |name| mounts::copy_tree(&scratch, name, ATTRIBUTES);
        Ok(Self { file: copy(FILE)?, directory: copy(DIRECTORY)? })
    }

    /// Hides paths beneath `root`, and looks at each afterwards: it must show the mask. What is not
    /// there is passed over. Returns how many are hidden.
    ///
    /// # Errors
    /// ENOTDIR for another kind than is told, ELOOP for a symlink, EPERM.
    pub fn hide(&self, root: impl AsFd, hidden: &[Hidden]) -> Result<usize, SysError> {
        let mut count = 0;
        for Hidden { path, kind } in hidden {
            let named = |errno| SysError::new(errno, path.to_string_lossy());
            let look = || beneath::open(&root, path, OFlags::PATH, Mode::empty());
            let target = match look() {
                Err(Errno::NOENT) => continue,
                target => target.map_err(named)?,
            };
            let mask = match kind {
                Kind::File => &self.file,
                Kind::Directory => &self.directory,
            };
            // One copy for each path: a mount that is attached a second time is moved, and what it
            // had hidden is open again. A detached one cannot be copied before Linux 6.15: then the
            // first path gets the mask itself, which can be copied from there on.
            match mounts::copy_tree(mask, c"", Attributes::NONE) {
                Ok(copy) => mounts::attach(copy, target),
                Err(Errno::INVAL) => mounts::attach(mask, target),
                Err(errno) => Err(errno),
            }
            .map_err(named)?;
            let shown = look().and_then(fstat).map_err(named)?;
            let mask = fstat(mask).map_err(named)?;
            if (shown.st_dev, shown.st_ino) != (mask.st_dev, mask.st_ino) {
                let what = format!("{} still shows something else", path.display());
                return Err(SysError::new(Errno::BUSY, what));
            }
            count += 1;
        }
        Ok(count)
    }
}

/// Binds read-only whatever is global in a proc file system: every directory and every file that
/// can be written, but for the processes and what is hidden anyway. Each is looked at afterwards.
///
/// # Errors
/// Those of open_tree(2) and mount_setattr(2); EROFS where one could still be written.
pub fn protect(proc: impl AsFd, hidden: &[Hidden]) -> Result<(), SysError> {
    for name in global(&proc, hidden)? {
        let named = |errno| SysError::new(errno, format!("/proc/{}", name.display()));
        let look = || beneath::open(&proc, &name, OFlags::PATH, Mode::empty()).map_err(named);
        let target = look()?;
        let view = mounts::copy_tree(&target, c"", ATTRIBUTES).map_err(named)?;
        mounts::attach(view, target).map_err(named)?;
        let shown = fstatvfs(look()?).map_err(named)?;
        if !shown.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(named(Errno::ROFS));
        }
    }
    Ok(())
}

fn global(proc: impl AsFd, hidden: &[Hidden]) -> Result<Vec<PathBuf>, SysError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut names = Vec::new();
    for entry in Dir::new(openat(&proc, c".", flags, Mode::empty())?)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        // The kernel lists the global entries first, then the processes.
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            break;
        }
        let is_hidden = || hidden.iter().any(|hidden| hidden.path.as_os_str() == &*name);
        if NOT_GLOBAL.contains(&&*name) || is_hidden() {
            continue;
        }
        let can_be_written = || {
            statat(&proc, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                .map(|stat| stat.st_mode & 0o222 != 0)
        };
        match entry.file_type() {
            FileType::Directory => names.push(name.into_owned().into()),
            FileType::RegularFile if can_be_written()? => names.push(name.into_owned().into()),
            _ => {}
        }
    }
    Ok(names)
}
