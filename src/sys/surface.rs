//! Calls that launchers close, asked for in vain: with arguments that nobody takes, so that the
//! errno tells whether somebody listens. EPERM and ENOSYS say that nobody does.

use super::errno::checked;
use rustix::io::Errno;

/// Their names, and whether each answers here. Some give a descriptor and the last changes the
/// process that asks, which is one that ends.
pub fn answers() -> Vec<(&'static str, bool)> {
    const BAD: i64 = -1;
    let call = |name, number: libc::c_long, [a, b, c, d, e]: [i64; 5]| {
        // SAFETY: every pointer among the arguments is null or no address, and every descriptor is
        // none: the kernel refuses them without touching this process.
        let answer = checked(unsafe { libc::syscall(number, a, b, c, d, e) });
        let closed = [Errno::PERM, Errno::NOSYS, Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT];
        (name, !matches!(answer, Err(errno) if closed.contains(&errno)))
    };
    vec![
        call("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
        call("userfaultfd", libc::SYS_userfaultfd, [BAD, 0, 0, 0, 0]),
        call("bpf", libc::SYS_bpf, [0, 0, 0, 0, 0]),
        call("perf_event_open", libc::SYS_perf_event_open, [0, 0, BAD, BAD, 0]),
        call("keyctl", libc::SYS_keyctl, [0, -4, 0, 0, 0]),
        call("add_key", libc::SYS_add_key, [0, 0, 0, 0, -4]),
        call("kcmp", libc::SYS_kcmp, [BAD, BAD, 0, BAD, BAD]),
        call("fsopen", libc::SYS_fsopen, [0, 0, 0, 0, 0]),
        call("open_by_handle_at", libc::SYS_open_by_handle_at, [BAD, 0, 0, 0, 0]),
        call("fanotify_init", libc::SYS_fanotify_init, [BAD, 0, 0, 0, 0]),
        call("socket(AF_ALG)", libc::SYS_socket, [38, 5, 0, 0, 0]),
        call("socket(NETLINK_AUDIT)", libc::SYS_socket, [16, 3, 9, 0, 0]),
        call("ptrace", libc::SYS_ptrace, [BAD, 0, 0, 0, 0]),
        call("process_madvise", libc::SYS_process_madvise, [BAD, 0, 0, 0, 0]),
        call("memfd_secret", libc::SYS_memfd_secret, [BAD, 0, 0, 0, 0]),
        call(
            "unshare(CLONE_NEWUSER)",
            libc::SYS_unshare,
            [i64::from(libc::CLONE_NEWUSER), 0, 0, 0, 0],
        ),
    ]
}
