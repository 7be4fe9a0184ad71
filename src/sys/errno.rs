//! What a call of libc has answered, as an errno.

use rustix::io::{Errno, Result};

/// The result of a call that answers -1 where it fails, and then has set errno.
pub(super) fn checked(result: libc::c_long) -> Result<libc::c_long> {
    if result == -1 { Err(last_errno()) } else { Ok(result) }
}

/// errno(3) of this thread. EIO where it holds no error.
pub(super) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
