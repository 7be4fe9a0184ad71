//! File handles: a file by what its file system calls it, whatever its name and wherever the root
//! is, open_by_handle_at(2).

use super::errno::checked;
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

/// MAX_HANDLE_SZ of linux/exportfs.h.
const LONGEST: usize = 128;

#[repr(C)]
struct RawHandle {
    length: u32,
    kind: i32,
    bytes: [u8; LONGEST],
}

/// name_to_handle_at(2) of an open file: the type of its handle, and the handle. EOPNOTSUPP where
/// the file system has none.
pub fn name(file: impl AsFd) -> Result<(i32, Vec<u8>)> {
    let mut raw = RawHandle { length: LONGEST as u32, kind: 0, bytes: [0; LONGEST] };
    let mut mount = 0i32;
    // SAFETY: the structure is the kernel's with room for the length that it says, the path is
    // empty, all outlive the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_fd().as_raw_fd(),
            c"".as_ptr(),
            &raw mut raw,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    })?;
    Ok((raw.kind, raw.bytes[..raw.length as usize].to_vec()))
}

/// open_by_handle_at(2) for reading, on the file system that `on` lies on. EPERM without
/// CAP_DAC_READ_SEARCH, ESTALE where it has no such file.
pub fn open(on: impl AsFd, kind: i32, bytes: &[u8]) -> Result<OwnedFd> {
    let mut raw = RawHandle { length: bytes.len() as u32, kind, bytes: [0; LONGEST] };
    raw.bytes.get_mut(..bytes.len()).ok_or(Errno::INVAL)?.copy_from_slice(bytes);
    // SAFETY: the structure holds as many bytes as it says and outlives the call.
    let fd = checked(unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            on.as_fd().as_raw_fd(),
            &raw mut raw,
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    })?;
    // SAFETY: a result that is no error is a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
