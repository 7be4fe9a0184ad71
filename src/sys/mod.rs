//! Every unsafe block of rustic, and only the calls that nix and rustix lack: one call each, an
//! errno when it fails.
#![allow(
    unsafe_code,
    reason = "the fence: system calls without a safe wrapper in nix or rustix stand here and \
        nowhere else"
)]

pub mod handle;
pub mod i386;
pub mod keys;
pub mod nsfs;
pub mod rights;
pub mod surface;
pub mod sysv;
pub mod vsock;

use nix::mqueue::MqdT;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};
use rustix::process::Pid;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether this process was started without a stdout. The runtime of Rust opens /dev/null in its
/// place before main, so that what is written there would be lost without an error.
pub fn stdout_is_closed() -> bool {
    STDOUT_IS_CLOSED.load(Ordering::Relaxed)
}

/// What the loader calls before the runtime looks at the standard streams, elf(5).
// SAFETY: entries of this section are pointers to functions, which is what this is.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STDOUT: extern "C" fn() = look_at_stdout;

extern "C" fn look_at_stdout() {
    // SAFETY: numbers only; nothing of the runtime is used, which is not there yet.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
    STDOUT_IS_CLOSED.store(closed, Ordering::Relaxed);
}

fn checked(result: libc::c_long) -> Result<libc::c_long> {
    if result == -1 { Err(last_errno()) } else { Ok(result) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// fork(2). `None` in the new process.
pub fn fork() -> Result<Option<Pid>> {
    // SAFETY: rustic has a single thread whenever it forks (threads of the unpacker are joined
    // before), so no lock is held by a thread that the copy lacks, and the copy may allocate.
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
pub fn clone3(flags: u64) -> Result<Option<(Pid, OwnedFd)>> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain integers, for which zero is the documented "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    // With CLONE_PARENT it is that of the caller, and must not be said.
    let is_sibling = flags & libc::CLONE_PARENT as u64 != 0;
    args.exit_signal = if is_sibling { 0 } else { libc::SIGCHLD as u64 };
    // SAFETY: without CLONE_VM the child gets a copy of everything, as with fork; the caller has
    // one thread. `args` and `pidfd` outlive the call, and the size is that of the structure
    // passed.
    let cloned = checked(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
    });
    let pid = match cloned {
        Err(Errno::NOSYS) => clone(flags, &mut pidfd)?,
        cloned => cloned?,
    };
    Ok(Pid::from_raw(pid as i32).map(|pid| {
        // SAFETY: in the parent the kernel has stored a new descriptor there, which nobody else
        // owns.
        (pid, unsafe { OwnedFd::from_raw_fd(pidfd) })
    }))
}

fn clone(namespace_flags: u64, pidfd: &mut RawFd) -> Result<libc::c_long> {
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

/// close_range(2), Linux 5.9, over every descriptor from 3 up that is not among `kept`. Whoever
/// owned one of them must be gone.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) -> Result<()> {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd() as u32).collect();
    kept.sort_unstable();
    let firsts = std::iter::once(3).chain(kept.iter().map(|fd| fd + 1));
    let lasts = kept.iter().map(|fd| fd - 1).chain(std::iter::once(u32::MAX));
    for (first, last) in firsts.zip(lasts).filter(|(first, last)| first <= last) {
        // SAFETY: numbers only. Its callers have just been forked, keep no owner of a descriptor
        // outside `kept`, and run no destructor.
        checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
    }
    Ok(())
}

/// Takes over a descriptor that was inherited through execve and is known only by its number.
pub fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller was handed this number by the process that executed it (rustic's own init)
    // and nothing else uses it.
    unsafe { OwnedFd::from_raw_fd(fd) }
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

/// A descriptor that was inherited through execve, by its number. EBADF where there is none.
///
/// For a process that ends with what it is asked for: nobody in it owns the descriptor or closes
/// it.
pub fn inherited(fd: RawFd) -> Result<BorrowedFd<'static>> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is not -1, and the call below answers EBADF where it names nothing.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_getfd(fd).map(|_| fd)
}

/// A descriptor that may be a message queue's as what mq_send(3) takes: another one is EBADF.
pub fn queue_by_number(fd: BorrowedFd<'static>) -> MqdT {
    // SAFETY: it is open as long as this process, and MqdT closes nothing by itself.
    unsafe { MqdT::from_raw_fd(fd.as_raw_fd()) }
}

/// A descriptor of a queue's file as what mq_send(3) takes: on Linux they are the same.
pub fn message_queue(fd: OwnedFd) -> MqdT {
    // SAFETY: the descriptor is owned and is passed on to the one who closes it.
    unsafe { MqdT::from_raw_fd(fd.into_raw_fd()) }
}

/// The number that no other namespace of this boot has, ioctl NS_GET_ID (Linux 6.18). ENOTTY in
/// older kernels.
pub fn namespace_id(namespace: impl AsFd) -> Result<u64> {
    /// `_IOR(0xb7, 13, __u64)` of linux/nsfs.h.
    const NS_GET_ID: libc::Ioctl = 0x8008_b70du32 as libc::Ioctl;
    let mut id = 0u64;
    // SAFETY: the request takes a pointer to 64 bits, which outlive the call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_ID, &raw mut id)
    }))?;
    Ok(id)
}

/// ptrace(PTRACE_SEIZE): becomes the tracer of a process, which is not stopped by it.
pub fn seize(pid: i32) -> Result<()> {
    // SAFETY: a number and no options; nothing of this process's memory is given.
    checked(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0usize, 0usize) }).map(drop)
}

/// Adds a signal to those that this thread blocks, real-time ones too.
pub fn block_signal(signal: i32) -> Result<()> {
    // SAFETY: a set is integers, and is emptied before it is used; both calls take its address.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        checked(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())
            .map(drop)
    }
}

/// Ignores a signal.
pub fn ignore_signal(signal: i32) -> Result<()> {
    // SAFETY: to ignore a signal runs no code.
    let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
    if before == libc::SIG_ERR { Err(last_errno()) } else { Ok(()) }
}

/// TIOCSTI: a byte as if it had been typed into a terminal, tty_ioctl(4).
pub fn type_into(terminal: impl AsFd, byte: u8) -> Result<()> {
    // SAFETY: the request takes a pointer to one byte, which outlives the call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSTI, &raw const byte)
    }))
    .map(drop)
}

/// seccomp(SECCOMP_SET_MODE_FILTER), seccomp(2). Needs no_new_privs or CAP_SYS_ADMIN.
pub fn set_seccomp_filter(filter: &[libc::sock_filter]) -> Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` names exactly the instructions of `filter`; the kernel copies them and
    // writes nothing.
    checked(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    })?;
    Ok(())
}

/// As [`set_seccomp_filter`], with SECCOMP_FILTER_FLAG_NEW_LISTENER (Linux 5.0): the descriptor is
/// told of calls that the filter answers with SECCOMP_RET_USER_NOTIF. The kernel gives it
/// close-on-exec.
pub fn set_seccomp_filter_with_listener(filter: &[libc::sock_filter]) -> Result<OwnedFd> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // SAFETY: as above.
    let fd = checked(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })?;
    // SAFETY: with this flag a result that is no error is a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A call that waits for an answer, see seccomp_unotify(2).
pub struct Notification {
    /// What the answer must name.
    pub id: u64,
    /// The calling thread, in the pid namespace of whoever reads.
    pub pid: u32,
    /// The calling convention, AUDIT_ARCH_*.
    pub arch: u32,
    /// The call's number in it.
    pub number: u32,
    /// The call's arguments.
    pub arguments: [u64; 6],
}

/// SECCOMP_IOCTL_NOTIF_RECV: waits for a call.
pub fn receive_notification(listener: impl AsFd) -> Result<Notification> {
    // SAFETY: the structure is plain integers, and the kernel demands that it is zero before the
    // call.
    let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the request takes a pointer to this structure, which outlives the call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notification)
    }))?;
    let data = notification.data;
    Ok(Notification {
        id: notification.id,
        pid: notification.pid,
        arch: data.arch,
        number: data.nr as u32,
        arguments: data.args,
    })
}

/// SECCOMP_IOCTL_NOTIF_SEND with SECCOMP_USER_NOTIF_FLAG_CONTINUE (Linux 5.5): the call is made as
/// if nobody had been asked.
pub fn continue_notified(listener: impl AsFd, id: u64) -> Result<()> {
    let mut answer = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: 0,
        flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
    };
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the request takes a pointer to this structure, which outlives the call.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer)
    }))?;
    Ok(())
}

/// Brings a network interface of the caller's network namespace up: SIOCGIFFLAGS and SIOCSIFFLAGS,
/// netdevice(7).
pub fn interface_up(socket: impl AsFd, name: &CStr) -> Result<()> {
    // SAFETY: ifreq is integers and bytes, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
        *to = *from as libc::c_char;
    }
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: both requests take a pointer to an ifreq, which lives on this stack; ifr_name ends
    // with NUL, as names are shorter.
    checked(libc::c_long::from(unsafe { libc::ioctl(fd, libc::SIOCGIFFLAGS, &raw mut request) }))?;
    // SAFETY: the request above filled ifru_flags, the member that both requests use.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
    // SAFETY: as above.
    checked(libc::c_long::from(unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw mut request) }))?;
    Ok(())
}

/// SIGCHLD back to its default action: where the caller ignores it, the kernel reaps children by
/// itself and their codes are lost, wait(2).
pub fn reset_sigchld() {
    // SAFETY: SIG_DFL installs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Whether this process ignores a signal, sigaction(2).
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: the structure is integers and a pointer, for which zero is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is installed, and what is there is written to `action`, which outlives the
    // call; a number that is no signal is EINVAL.
    let read = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    read == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// SIGXFSZ ignored: a write beyond RLIMIT_FSIZE then is EFBIG, which can be told and cleaned up
/// after, setrlimit(2).
pub fn ignore_sigxfsz() {
    // SAFETY: SIG_IGN installs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Every signal back to its default action, also those that the caller ignored: std ignores
/// SIGPIPE, nohup SIGHUP, and execve keeps ignored signals ignored.
///
/// # Errors
/// None that the kernel has; what a filter around rustic answers.
pub fn reset_signal_actions() -> Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL installs no code.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            match last_errno() {
                // SIGKILL, SIGSTOP and the two that libc keeps for itself.
                Errno::INVAL => {}
                errno => return Err(errno),
            }
        }
    }
    Ok(())
}
