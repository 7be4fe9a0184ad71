//! The scratch tmpfs, and what is unpacked for one container alone.

use super::targets::mount_id;
use super::{Child, opened};
use crate::error::{Failure, SysError};
use crate::host::extents;
use crate::mounts;
use crate::rootfs::Origin;
use crate::rootfs::image::ImageChoice;
use crate::rootfs::meter::Hashing;
use crate::rootfs::renumber::Renumber;
use crate::rootfs::stream::Threads;
use crate::rootfs::unpack::{Unpack, Unpacked};
use crate::rootfs::watch::Unwatched;
use crate::rootfs::writer::{Devices, Owners, SetIds, UnpackLimits, UnpackRights, write_all};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fchmod, fchown, fstat, mkdirat, open, openat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, fchdir};
use std::ffi::{CStr, CString};
use std::path::Path;

impl Child<'_> {
    pub(super) fn make_scratch(
        &mut self,
        size: u64,
        attributes: mounts::Attributes,
    ) -> Result<(), SysError> {
        let [size, inodes] = mounts::limits(size);
        let options = [(c"mode", CString::new("0755").ok()), size, inodes];
        let scratch = mounts::new(c"tmpfs", &options, attributes)?;
        // Layers of an overlay had to be attached mounts before Linux 6.15.
        mounts::attach(&scratch, opened(self.base.as_ref())?)?;
        self.scratch = Some(scratch);
        Ok(())
    }

    pub(super) fn make_overlay(
        &mut self,
        marks: mounts::OverlayMarks,
        attributes: mounts::Attributes,
    ) -> Result<(), SysError> {
        let base = opened(self.base.as_ref())?;
        let root = self.overlay(base, c"upper", c"work", marks, attributes)?;
        self.own.push(mount_id(&root)?);
        self.root = Some(root);
        Ok(())
    }

    /// The overlay of a slot, over the directory that was opened for it.
    pub(super) fn make_overlay_mount(
        &self,
        slot: usize,
        marks: mounts::OverlayMarks,
        attributes: mounts::Attributes,
    ) -> Result<OwnedFd, SysError> {
        let layer = |name: &str| CString::new(format!("{name}-{slot}")).unwrap_or_default();
        self.overlay(self.mount(slot)?, &layer("upper"), &layer("work"), marks, attributes)
    }

    fn overlay(
        &self,
        lower: BorrowedFd<'_>,
        upper: &CStr,
        work: &CStr,
        marks: mounts::OverlayMarks,
        attributes: mounts::Attributes,
    ) -> Result<OwnedFd, SysError> {
        let scratch = opened(self.scratch.as_ref())?;
        let upper = make_directory(scratch, upper, 0o755)?;
        let work = make_directory(scratch, work, 0o755)?;
        // The root directory of an overlay has the owner and mode of its upper one. An owner that
        // the user namespace does not map cannot be given; then it stays with who starts the
        // container.
        let stat = fstat(lower)?;
        let _ = fchown(
            &upper,
            Some(rustix::fs::Uid::from_raw(stat.st_uid)),
            Some(rustix::fs::Gid::from_raw(stat.st_gid)),
        );
        fchmod(&upper, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        mounts::overlay(lower, upper, work, marks, attributes)
    }

    pub(super) fn write_scratch(&self, files: &[(&str, Vec<u8>)]) -> Result<(), SysError> {
        let scratch = opened(self.scratch.as_ref())?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        for (name, content) in files {
            let file = openat(scratch, *name, flags, Mode::from_raw_mode(0o644))?;
            write_all(&file, content)?;
            self.give(&file)?;
        }
        Ok(())
    }

    pub(super) fn unpack_into_scratch(
        &self,
        origin: &Origin,
        shift: Option<&Renumber>,
    ) -> Result<(), SysError> {
        let tree = make_directory(opened(self.scratch.as_ref())?, TREE, 0o755)?;
        self.give(&tree)?;
        unpack(origin, shift, tree.as_fd())
    }

    pub(super) fn unpack_into_run_directory(
        &self,
        origin: &Origin,
        shift: Option<&Renumber>,
        path: &Path,
    ) -> Result<OwnedFd, SysError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let run = open(path, flags, Mode::empty())?;
        let tree = make_directory(run.as_fd(), TREE, 0o755)?;
        self.give(&tree)?;
        unpack(origin, shift, tree.as_fd())?;
        Ok(tree)
    }

    /// Taken off the base. What uses it keeps it alive.
    pub(super) fn detach_scratch(&mut self) -> Result<(), SysError> {
        fchdir(opened(self.scratch.as_ref())?)?;
        unmount(c".", UnmountFlags::DETACH)?;
        chdir(c"/")?;
        self.scratch = None;
        Ok(())
    }
}

/// The tree's name in the scratch tmpfs and in a run directory.
pub(super) const TREE: &CStr = c"root";

fn make_directory(parent: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<OwnedFd, SysError> {
    mkdirat(parent, name, Mode::from_raw_mode(mode))?;
    let dir = openat(
        parent,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok(dir)
}

/// Unpacks for this container alone: device nodes of the archive are left out, because nothing here
/// keeps them from being opened.
fn unpack(origin: &Origin, shift: Option<&Renumber>, into: BorrowedFd<'_>) -> Result<(), SysError> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let owners = Owners::of_root(&extents(&map).unwrap_or_default());
    let rights = UnpackRights { owners, devices: Devices::Skipped, set_ids: SetIds::Kept };
    let unpack = Unpack {
        rights,
        limits: UnpackLimits::default(),
        threads: Threads::One,
        hashing: Hashing::Unwanted,
        renumber: shift,
        choice: &match origin {
            Origin::Archive { choice, .. } => choice.clone(),
            Origin::Stored { .. } => ImageChoice::default(),
        },
        watch: &mut Unwatched,
    };
    let unpacked = origin.unpack(unpack, into);
    let failed = |failure: Failure| SysError::new(failure.errno.unwrap_or(Errno::IO), failure.what);
    match unpacked.map_err(failed)? {
        // How its program is run is to be known before there is a container.
        Unpacked { image: Some(_), .. } => {
            Err(SysError::new(Errno::ROFS, "an image in layers needs a store that can be written"))
        }
        Unpacked { image: None, .. } => Ok(()),
    }
}
