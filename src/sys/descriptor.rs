//! Descriptors by number: inherited through execve, or all but some.

use super::errno::checked;
use nix::mqueue::MqdT;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, FdFlags, Result, fcntl_getfd, fcntl_setfd};
use std::sync::{Mutex, PoisonError};

/// close_range(2), Linux 5.9, over every descriptor from 3 up that is not among `kept`.
///
/// # Safety
/// Nothing in this process uses or closes one of the others from now on: whoever owned one is gone,
/// or never runs again, its destructor neither.
pub unsafe fn close_all_but(kept: &[BorrowedFd<'_>]) -> Result<()> {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd() as u32).collect();
    kept.sort_unstable();
    let firsts = std::iter::once(3).chain(kept.iter().map(|fd| fd + 1));
    let lasts = kept.iter().map(|fd| fd - 1).chain(std::iter::once(u32::MAX));
    for (first, last) in firsts.zip(lasts).filter(|(first, last)| first <= last) {
        // SAFETY: numbers only; the caller has seen to it that nobody misses what is closed.
        checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
    }
    Ok(())
}

/// Takes over a descriptor that was inherited through execve and is known by its number. It gets
/// FD_CLOEXEC.
///
/// EBADF for a number that names none: a standard stream, which std keeps for itself; one that is
/// not open; and one with FD_CLOEXEC, which no execve has left open. That one has an owner in this
/// process: whatever rustic opens has the flag, until it is given up for the program that is
/// executed next. So nothing is taken twice.
pub fn take_inherited(number: RawFd) -> Result<OwnedFd> {
    static TAKING: Mutex<()> = Mutex::new(());
    if number <= libc::STDERR_FILENO {
        return Err(Errno::BADF);
    }
    let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the number is not -1, and the call answers EBADF where it names nothing.
    if fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) })?.contains(FdFlags::CLOEXEC) {
        return Err(Errno::BADF);
    }
    // SAFETY: it is open, and nobody in this process owns it, as the flag says that it lacks.
    let taken = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&taken, FdFlags::CLOEXEC)?;
    Ok(taken)
}

/// A copy with close-on-exec of a descriptor that the caller of rustic has named by number.
pub fn copy_of_inherited(fd: RawFd) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the borrow ends with the call, which answers EBADF if there is no such descriptor;
    // nothing is closed.
    rustix::io::fcntl_dupfd_cloexec(unsafe { BorrowedFd::borrow_raw(fd) }, 3)
}

/// Whatever is open under a number, to be looked at. EBADF where nothing is.
///
/// # Safety
/// Nobody closes it as long as the borrow is used.
pub unsafe fn borrow_by_number<'a>(number: RawFd) -> Result<BorrowedFd<'a>> {
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is not -1, and the call below answers EBADF where it names nothing.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_getfd(fd).map(|_| fd)
}

/// dup2(2): leaves a copy of a descriptor open under a number, for the program that is executed
/// next. What had the number is closed.
///
/// # Safety
/// Nothing in this process uses or closes what had the number from now on.
pub unsafe fn put_at_number(fd: BorrowedFd<'_>, number: RawFd) -> Result<()> {
    // SAFETY: numbers only; the caller has seen to it that nobody misses what is closed.
    checked(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map(drop)
}

/// mq_send(3) with priority 0 on a descriptor that may be a queue's: another one is EBADF.
pub fn send_to_queue(fd: impl AsFd, message: &[u8]) -> Result<()> {
    let queue: libc::mqd_t = fd.as_fd().as_raw_fd();
    // SAFETY: on Linux a queue's descriptor is a file's; the message has the length that is passed
    // and outlives the call.
    checked(unsafe { libc::mq_send(queue, message.as_ptr().cast(), message.len(), 0) }.into())
        .map(drop)
}

/// A descriptor of a queue's file as what mq_send(3) takes: on Linux they are the same.
pub fn message_queue(fd: OwnedFd) -> MqdT {
    // SAFETY: the descriptor is owned and is passed on to the one who closes it.
    unsafe { MqdT::from_raw_fd(fd.into_raw_fd()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_taken_once_and_only_where_nobody_owns_it() {
        let (owned, given_up) = std::io::pipe().unwrap();
        assert_eq!(take_inherited(owned.as_raw_fd()).unwrap_err(), Errno::BADF);
        // As execve leaves one open for this process.
        fcntl_setfd(&given_up, FdFlags::empty()).unwrap();
        let number = OwnedFd::from(given_up).into_raw_fd();
        let taken = take_inherited(number).unwrap();
        assert_eq!(take_inherited(number).unwrap_err(), Errno::BADF, "it has an owner now");
        assert!(fcntl_getfd(&taken).unwrap().contains(FdFlags::CLOEXEC));
        for none in [-1, 0, 1, 2, i32::MAX] {
            assert_eq!(take_inherited(none).unwrap_err(), Errno::BADF, "{none}");
        }
    }
}
