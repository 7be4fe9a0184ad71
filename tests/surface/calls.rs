//! System calls, an ioctl, and the capabilities in effect.

use super::answer::{of, row};
use super::child::in_a_child;
use libc::{c_long, syscall};
use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;

/// Calls that the kernel answers in its own way are open, whatever it thinks of the arguments:
/// EPERM and ENOSYS alone say that nobody listens, and EPERM may be the kernel's own.
pub(super) fn calls() {
    let bad = -1_i64;
    let null = 0_i64;
    let newuser = i64::from(libc::CLONE_NEWUSER);
    let call = |name: &str, number: c_long, arguments: [i64; 5]| {
        let [a, b, c, d, e] = arguments;
        // SAFETY: every pointer among the arguments is null or no address, and every descriptor is
        // none: the kernel refuses them without touching this process.
        row("call", name, &of(unsafe { syscall(number, a, b, c, d, e) }));
    };
    call("acct", libc::SYS_acct, [bad, 0, 0, 0, 0]);
    call("add_key", libc::SYS_add_key, [null, null, null, 0, -4]);
    call("bpf", libc::SYS_bpf, [0, null, 0, 0, 0]);
    call("clock_settime", libc::SYS_clock_settime, [0, null, 0, 0, 0]);
    call("clone3", libc::SYS_clone3, [null, 64, 0, 0, 0]);
    call("delete_module", libc::SYS_delete_module, [null, 0, 0, 0, 0]);
    call("fanotify_init", libc::SYS_fanotify_init, [-1, 0, 0, 0, 0]);
    call("finit_module", libc::SYS_finit_module, [bad, null, 0, 0, 0]);
    call("fsopen", libc::SYS_fsopen, [null, 0, 0, 0, 0]);
    call("init_module", libc::SYS_init_module, [null, 0, null, 0, 0]);
    call("io_uring_setup", libc::SYS_io_uring_setup, [1, null, 0, 0, 0]);
    call("kcmp", libc::SYS_kcmp, [1, 1, 0, bad, bad]);
    call("kexec_load", libc::SYS_kexec_load, [0, 0, null, bad, 0]);
    call("keyctl", libc::SYS_keyctl, [0, -4, 0, 0, 0]);
    call("lookup_dcookie", libc::SYS_lookup_dcookie, [0, null, 0, 0, 0]);
    call("memfd_secret", libc::SYS_memfd_secret, [bad, 0, 0, 0, 0]);
    call("mount", libc::SYS_mount, [null, null, null, 0, null]);
    call("mount_setattr", libc::SYS_mount_setattr, [bad, null, 0, null, 0]);
    call("move_mount", libc::SYS_move_mount, [bad, null, bad, null, 0]);
    call("move_pages", libc::SYS_move_pages, [0, 1, null, null, null]);
    call("open_by_handle_at", libc::SYS_open_by_handle_at, [bad, null, 0, 0, 0]);
    call("open_tree", libc::SYS_open_tree, [bad, null, bad, 0, 0]);
    call("perf_event_open", libc::SYS_perf_event_open, [null, 0, -1, -1, 0]);
    call("personality ADDR_NO_RANDOMIZE", libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0]);
    call("pivot_root", libc::SYS_pivot_root, [null, null, 0, 0, 0]);
    call("process_madvise", libc::SYS_process_madvise, [bad, null, 0, 0, 0]);
    call("ptrace", libc::SYS_ptrace, [i64::from(libc::PTRACE_CONT), 0, null, null, 0]);
    call("quotactl", libc::SYS_quotactl, [bad, null, 0, null, 0]);
    call("reboot", libc::SYS_reboot, [0, 0, 0, null, 0]);
    call("request_key", libc::SYS_request_key, [null, null, null, 0, 0]);
    call("sethostname", libc::SYS_sethostname, [null, -1, 0, 0, 0]);
    call("setns", libc::SYS_setns, [bad, 0, 0, 0, 0]);
    call("settimeofday", libc::SYS_settimeofday, [1, null, 0, 0, 0]);
    call("swapon", libc::SYS_swapon, [null, 0, 0, 0, 0]);
    call("syslog", libc::SYS_syslog, [10, null, 0, 0, 0]);
    call("umount2", libc::SYS_umount2, [null, 0, 0, 0, 0]);
    call("userfaultfd", libc::SYS_userfaultfd, [0, 0, 0, 0, 0]);
    call("vmsplice", libc::SYS_vmsplice, [bad, null, 0, 0, 0]);
    #[cfg(target_arch = "x86_64")]
    {
        call("iopl", libc::SYS_iopl, [4, 0, 0, 0, 0]);
        call("ioperm", libc::SYS_ioperm, [0xffff_ffff, 1, 1, 0, 0]);
        call("modify_ldt", libc::SYS_modify_ldt, [0x10, null, 0, 0, 0]);
    }
    let namespace = in_a_child(|| {
        // SAFETY: numbers only, in a process that ends at once.
        of(unsafe { syscall(libc::SYS_unshare, newuser) })
    });
    row("call", "unshare CLONE_NEWUSER", &namespace);
}

/// Characters typed into a terminal of its own.
pub(super) fn terminals() {
    let typed = in_a_child(|| {
        let Ok(terminal) = OpenOptions::new().read(true).write(true).open("/dev/ptmx") else {
            return "no terminal".into();
        };
        let key = b'x';
        // SAFETY: TIOCSTI reads one byte at the pointer, which outlives the call.
        of(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSTI, &raw const key) }.into())
    });
    row("ioctl", "TIOCSTI", &typed);
}

/// The capabilities in effect.
pub(super) fn capabilities() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let held = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
    for number in 0..64 {
        let named = caps::all().into_iter().find(|capability| *capability as u32 == number);
        if let Some(capability) = named.filter(|_| held & 1 << number != 0) {
            row("capability", &capability.to_string(), "open");
        }
    }
}
