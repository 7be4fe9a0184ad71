//! Entering the root.

use rustix::fd::AsFd;
use rustix::fs::{fstat, stat};
use rustix::io::{Errno, Result};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, chroot, fchdir, pivot_root};

/// pivot_root(".", "."): the new root is stacked under the old one at the same place, and detaching
/// the topmost takes the old tree out of the namespace. The notes of pivot_root(2) describe it; no
/// directory for the old root is needed inside.
///
/// # Errors
/// EINVAL when the caller's own root is not a mount (an initramfs); EXDEV when another tree than
/// the new one is at / afterwards.
pub fn pivot(root: impl AsFd) -> Result<()> {
    fchdir(&root)?;
    pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    chdir(c"/")?;
    // Had something else been on top of the old root, that would be gone, and the old root be here.
    let (here, wanted) = (stat(c"/")?, fstat(root)?);
    if (here.st_dev, here.st_ino) == (wanted.st_dev, wanted.st_ino) {
        Ok(())
    } else {
        Err(Errno::XDEV)
    }
}

/// chroot(2) into a directory.
///
/// # Errors
/// EPERM without CAP_SYS_CHROOT.
pub fn enter(root: impl AsFd) -> Result<()> {
    fchdir(root)?;
    chroot(c".")?;
    chdir(c"/")
}
