//! rustic itself inside a container: as a sealed memory file, so that nothing inside can reach the
//! binary on the host (CVE-2019-5736), and no root file system has to have it.

use crate::error::{SysError, of_nix};
use rustix::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, memfd_create, open,
    statvfs,
};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use std::ffi::CString;
use std::fs::File;
use std::io;

/// The binary of this process as a sealed memory file; where the host forbids to execute one
/// (vm.memfd_noexec), as a temporary file without a name.
///
/// # Errors
/// A binary that cannot be read, a kernel without memfd_create(2).
pub fn binary() -> io::Result<OwnedFd> {
    let usual = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create(c"rustic", usual | MemfdFlags::EXEC) {
        // A kernel before 6.3, which executes every memory file.
        Err(Errno::INVAL) => memfd_create(c"rustic", usual)?,
        // vm.memfd_noexec is 2.
        Err(Errno::ACCESS) => return nameless(),
        made => made?,
    };
    let mut file = File::from(memory);
    io::copy(&mut File::open("/proc/self/exe")?, &mut file)?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    Ok(file.into())
}

/// The same as a file that no directory has, and that nobody has open for writing: the first place
/// where one can be made and executed.
fn nameless() -> io::Result<OwnedFd> {
    const PLACES: [&str; 4] = ["/dev/shm", "/tmp", "/var/tmp", "/run"];
    let mut failed = Errno::ACCESS.into();
    for place in PLACES {
        match nameless_in(place) {
            Ok(file) => return Ok(file),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn nameless_in(place: &str) -> io::Result<OwnedFd> {
    if statvfs(place)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err(Errno::ACCESS.into());
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::EXCL;
    let mut file = File::from(open(place, flags, Mode::from_raw_mode(0o500))?);
    io::copy(&mut File::open("/proc/self/exe")?, &mut file)?;
    // execve(2) refuses a file that is open for writing: ETXTBSY.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
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
        Err(errno) => SysError::new(of_nix(errno), NOT_EXECUTED),
    }
}

/// The detail of an error that is of this program, and not of CMD.
pub const NOT_EXECUTED: &str = "rustic's own program";

/// Leaves a descriptor open for the program that is executed next, which is told its number.
///
/// # Errors
/// None that is known of, fcntl(2).
pub fn left_open(fd: OwnedFd) -> rustix::io::Result<i32> {
    fcntl_setfd(&fd, FdFlags::empty())?;
    Ok(fd.into_raw_fd())
}
