//! rustic itself inside a container: as a sealed memory file, so that nothing inside can reach the
//! binary on the host (CVE-2019-5736), and no root file system has to have it.

use crate::error::SysError;
use rustix::fd::{AsFd, IntoRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use std::ffi::CString;
use std::fs::File;
use std::io;

/// The binary of this process as a sealed memory file.
///
/// # Errors
/// A binary that cannot be read, a kernel without memfd_create(2).
pub fn binary() -> io::Result<OwnedFd> {
    let memory = memfd_create(c"rustic", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(memory);
    io::copy(&mut File::open("/proc/self/exe")?, &mut file)?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    Ok(file.into())
}

/// Replaces this process by it, execveat(2). Returns only on failure.
pub fn execute(
    binary: impl AsFd,
    argv: impl Iterator<Item = CString>,
    env: &[CString],
) -> SysError {
    let argv: Vec<CString> = argv.collect();
    match nix::unistd::execveat(binary, c"", &argv, env, nix::fcntl::AtFlags::AT_EMPTY_PATH) {
        Ok(never) => match never {},
        Err(errno) => errno.into(),
    }
}

/// Leaves a descriptor open for the program that is executed next, which is told its number.
///
/// # Errors
/// None that is known of, fcntl(2).
pub fn left_open(fd: OwnedFd) -> rustix::io::Result<i32> {
    fcntl_setfd(&fd, FdFlags::empty())?;
    Ok(fd.into_raw_fd())
}
