//! mount_setattr(2).

use super::errno::checked;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Result;
use std::ffi::CStr;

/// The structure of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
pub struct MountAttr {
    /// MOUNT_ATTR_* to set.
    pub set: u64,
    /// MOUNT_ATTR_* to clear.
    pub clear: u64,
    /// MS_PRIVATE, MS_SLAVE, MS_SHARED, or 0 to leave it.
    pub propagation: u64,
    /// A user namespace for MOUNT_ATTR_IDMAP.
    pub userns_fd: u64,
}

/// mount_setattr(2), Linux 5.12, on `path` relative to `dir` (with AT_EMPTY_PATH on `dir` itself).
pub fn mount_setattr(dir: BorrowedFd<'_>, path: &CStr, flags: i32, attr: &MountAttr) -> Result<()> {
    // SAFETY: `path` ends with NUL, `attr` has the kernel's layout and its size is passed; both
    // outlive the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}
