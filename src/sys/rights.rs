//! Calls that can never succeed in doing anything, and whose errno tells whether the right to do it
//! is there: the kernel asks for the right first and looks at the arguments, which are wrong on
//! purpose, afterwards.

use super::errno::checked;
use rustix::io::Result;

/// sethostname(2) with a length of -1: EINVAL with CAP_SYS_ADMIN over the host name, EPERM without.
pub fn set_no_hostname() -> Result<()> {
    // SAFETY: a negative length is refused before the pointer is read.
    checked(unsafe { libc::syscall(libc::SYS_sethostname, c"".as_ptr(), -1) }).map(drop)
}

/// adjtimex(2) with a tick of 0: EINVAL with CAP_SYS_TIME, EPERM without.
pub fn adjust_clock_by_nothing() -> Result<()> {
    // SAFETY: the structure is integers, for which zero is valid.
    let mut times: libc::timex = unsafe { std::mem::zeroed() };
    times.modes = libc::ADJ_TICK;
    // SAFETY: the structure outlives the call.
    checked(unsafe { libc::adjtimex(&raw mut times) }.into()).map(drop)
}

/// swapon(2) without a path: EFAULT with CAP_SYS_ADMIN over the machine, EPERM without.
pub fn swap_on_nothing() -> Result<()> {
    // SAFETY: a null path is refused with EFAULT.
    checked(unsafe { libc::syscall(libc::SYS_swapon, 0usize, 0) }).map(drop)
}

/// syslog(2), SYSLOG_ACTION_SIZE_UNREAD: how much of the kernel's log is unread with CAP_SYSLOG,
/// EPERM without, whatever kernel.dmesg_restrict says.
pub fn kernel_log_unread() -> Result<i64> {
    // SAFETY: this action reads no buffer.
    checked(unsafe { libc::syscall(libc::SYS_syslog, 9, 0usize, 0) })
}

/// syslog(2), SYSLOG_ACTION_READ_ALL: the end of the kernel's log, up to that many bytes. What is
/// read stays there.
pub fn kernel_log(length: usize) -> Result<String> {
    const SYSLOG_ACTION_READ_ALL: i32 = 3;
    let mut bytes = vec![0_u8; length];
    // SAFETY: the buffer has the length that is passed and outlives the call.
    let read = checked(unsafe {
        libc::syscall(libc::SYS_syslog, SYSLOG_ACTION_READ_ALL, bytes.as_mut_ptr(), length)
    })?;
    bytes.truncate(read as usize);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// reboot(2) with four zeros for its magic numbers: EINVAL with CAP_SYS_BOOT over the pid
/// namespace, EPERM without.
pub fn reboot_without_magic() -> Result<()> {
    // SAFETY: without the magic numbers the call does nothing, reboot(2).
    checked(unsafe { libc::syscall(libc::SYS_reboot, 0, 0, 0, 0usize) }).map(drop)
}

/// finit_module(2) on descriptor -1: EBADF with CAP_SYS_MODULE, EPERM without, ENOSYS in a kernel
/// without modules.
pub fn load_module_from_nothing() -> Result<()> {
    // SAFETY: there is no descriptor -1; the parameters are an empty string with NUL.
    checked(unsafe { libc::syscall(libc::SYS_finit_module, -1, c"".as_ptr(), 0) }).map(drop)
}
