//! Descriptors that are left open.

use crate::sys;
use rustix::fd::{AsFd, BorrowedFd, IntoRawFd};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Resource, getrlimit};

/// The first number of the descriptors that are left open: as low as can be, for a caller who may
/// have few.
const FIRST: i32 = 10;

/// The number of one more, above what is often looked at, where the caller may have so many.
const HIGH: i32 = 1100;

/// Leaves these open where the inside would find them, and one under a number of its own, and
/// nothing else: what the verifier's caller has left open is nobody's business. For the process
/// that becomes rustic.
///
/// # Errors
/// EMFILE where the caller may have too few descriptors.
pub fn leave_open(
    planted: &[BorrowedFd<'_>],
    own: Option<(BorrowedFd<'_>, i32)>,
) -> Result<(), Errno> {
    let kept: Vec<BorrowedFd<'_>> =
        { planted.iter().copied().chain(own.map(|(own, _)| own)).collect() };
    // SAFETY: this is a copy of the verifier that becomes another program or ends with _exit(2): no
    // destructor of the verifier's runs in it, and only what is kept is used below.
    #[allow(unsafe_code, reason = "whoever owned the others never runs here")]
    let closed = unsafe { sys::close_all_but(&kept) };
    closed?;
    let leave = |fd: BorrowedFd<'_>, number| {
        let copy = fcntl_dupfd_cloexec(fd, number)?;
        fcntl_setfd(&copy, FdFlags::empty())?;
        let _left_open = copy.into_raw_fd();
        Ok::<_, Errno>(())
    };
    if getrlimit(Resource::Nofile).current.is_none_or(|limit| limit > HIGH as u64)
        && let Some(memory) = planted.first()
    {
        leave(*memory, HIGH)?;
    }
    let own = match own {
        Some((own, number)) => Some((fcntl_dupfd_cloexec(own, FIRST)?, number)),
        None => None,
    };
    for fd in planted {
        leave(*fd, FIRST)?;
    }
    let Some((own, channel)) = own else { return Ok(()) };
    // SAFETY: what had that number has been copied, and is not used again, as above.
    #[allow(unsafe_code, reason = "whoever owned what had the number never runs here")]
    let left = unsafe { sys::put_at_number(own.as_fd(), channel) };
    left
}
