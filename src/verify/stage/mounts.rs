//! The mounts of the stage.

use super::host_mounts::HostMounts;
use crate::error::errno_of;
use crate::mountinfo;
use crate::mounts;
use rustix::fs::{CWD, Mode, OFlags, mkdirat, open};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A tree of mounts that do not reach the host, but that do reach whoever copies them and does not
/// make his copy private: as systemd has it.
pub(super) fn own_tree(directory: &Path) -> Result<(), Errno> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("rustic", directory, "tmpfs", flags, Some(c"mode=0755,size=1m"))
}

/// What shows the kernel needs no more.
pub(super) const PLAIN: MountFlags =
    MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Mounts the host's own queues, or its own sysfs, where the control finds them.
pub(super) fn show_of_the_host(
    kind: &str,
    directory: &Path,
    host: &mut HostMounts,
) -> Result<(), Errno> {
    let place = directory.join(format!("host-{kind}"));
    mkdirat(CWD, &place, Mode::RWXU)?;
    mount(kind, &place, kind, PLAIN | MountFlags::RDONLY, None)?;
    let fd = open(&place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let table = mountinfo::read().map_err(|error| errno_of(&error))?;
    let mounted = table.into_iter().rev().find(|mount| mount.point == place);
    host.add(mounted.ok_or(Errno::NOENT)?, fd);
    Ok(())
}

/// A sysfs of the stage's network, with what the host has mounted in its own where it was.
pub(super) fn own_sysfs() -> Result<(), Errno> {
    let sys = Path::new("/sys");
    let mut below: Vec<PathBuf> = mountinfo::read()
        .unwrap_or_default()
        .into_iter()
        .map(|mount| mount.point)
        .filter(|point| point.starts_with(sys) && point != sys)
        .collect();
    below.sort();
    // What lies below another comes with it.
    below.dedup_by(|point, above| point.starts_with(above));
    let copy = |point: &PathBuf| {
        let path = CString::new(point.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
        mounts::copy_tree(CWD, &path, mounts::Attributes::NONE)
    };
    let copies: Vec<_> =
        below.into_iter().filter_map(|point| copy(&point).ok().map(|copy| (point, copy))).collect();
    mount("sysfs", sys, "sysfs", PLAIN, None)?;
    for (point, copy) in copies {
        // A folder that only the host's network has is not there.
        if let Ok(place) = open(&point, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            mounts::attach(copy, place)?;
        }
    }
    Ok(())
}
