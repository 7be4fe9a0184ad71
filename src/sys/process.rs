//! Processes: how they begin, end, and are traced.

use super::errno::checked;
use rustix::fd::{FromRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};
use rustix::process::Pid;

/// fork(2). `None` in the new process.
///
/// # Safety
/// This process has one thread: a lock that another one holds would never be given back in the
/// copy, and what it was changing would stay half changed there.
pub unsafe fn fork() -> Result<Option<Pid>> {
    // SAFETY: with one thread the copy may do whatever the original may; the caller has seen to it.
    let pid = checked(libc::c_long::from(unsafe { libc::fork() }))?;
    Ok(Pid::from_raw(pid as i32))
}

/// clone3(2) with fork's semantics, the given flags and CLONE_PIDFD (Linux 5.3). `None` in the new
/// process; in the caller the child's pid and a descriptor for it. The flags are those of
/// namespaces, and CLONE_PARENT for a child of the caller's parent.
///
/// Where a filter around rustic answers ENOSYS, because the flags of clone3 are in memory, it is
/// clone(2). That call has no room for CLONE_NEWTIME, so this process then makes the time namespace
/// for its children.
///
/// # Safety
/// That of [`fork`].
pub unsafe fn clone3(flags: u64) -> Result<Option<(Pid, OwnedFd)>> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain integers, for which zero is the documented "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    // With CLONE_PARENT it is that of the caller, and must not be said.
    let is_sibling = flags & libc::CLONE_PARENT as u64 != 0;
    args.exit_signal = if is_sibling { 0 } else { libc::SIGCHLD as u64 };
    // SAFETY: without CLONE_VM the child gets a copy of everything, as with fork, and the caller
    // has seen to what fork asks for. `args` and `pidfd` outlive the call, and the size is that of
    // the structure passed.
    let cloned = checked(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
    });
    let pid = match cloned {
        Err(Errno::NOSYS) => {
            // SAFETY: it asks for what this function asks for.
            unsafe { clone(flags, &mut pidfd) }?
        }
        cloned => cloned?,
    };
    Ok(Pid::from_raw(pid as i32).map(|pid| {
        // SAFETY: in the parent the kernel has stored a new descriptor there, which nobody else
        // owns.
        (pid, unsafe { OwnedFd::from_raw_fd(pidfd) })
    }))
}

/// The same by clone(2).
///
/// # Safety
/// That of [`fork`].
unsafe fn clone(namespace_flags: u64, pidfd: &mut RawFd) -> Result<libc::c_long> {
    const CLONE_NEWTIME: u64 = libc::CLONE_NEWTIME as u64;
    const CLONE_NEWUSER: u64 = libc::CLONE_NEWUSER as u64;
    if namespace_flags & CLONE_NEWTIME != 0 {
        // Made before the user namespace it would belong to another one than was ordered.
        if namespace_flags & CLONE_NEWUSER != 0 {
            return Err(Errno::NOSYS);
        }
        // SAFETY: a number only; the namespace is for processes that are made from now on.
        checked(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWTIME) }))?;
    }
    let flags = namespace_flags & !CLONE_NEWTIME | (libc::CLONE_PIDFD | libc::SIGCHLD) as u64;
    let (stack, unused) = (0_usize, 0_usize);
    // SAFETY: as with clone3. Flags, stack and the place for the pidfd come first on x86_64 and on
    // aarch64 alike; a stack of 0 is the caller's, copied; the rest is not used with these flags.
    checked(unsafe {
        libc::syscall(libc::SYS_clone, flags, stack, &raw mut *pidfd, unused, unused)
    })
}

/// _exit(2): ends the process without running a destructor or flushing a buffer that belongs to its
/// parent.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit takes any integer and does not return.
    unsafe { libc::_exit(i32::from(code)) }
}

/// ptrace(PTRACE_SEIZE): becomes the tracer of a process, which is not stopped by it.
pub fn seize(pid: i32) -> Result<()> {
    // SAFETY: a number and no options; nothing of this process's memory is given.
    checked(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0usize, 0usize) }).map(drop)
}
