//! The default filter: what CMD may ask the kernel, as tables. Three answers are given to what it
//! may not: EPERM where a program expects to lack a right; ENOSYS, also for every call that is not
//! named here, where it expects an older kernel and has another way; EAFNOSUPPORT and
//! EPROTONOSUPPORT for sockets, which programs forgive.
//!
//! `docs/walls.md` says the same with the reasons at length.

use super::SelfSignals;
use super::calls::Syscall;
use super::policy::{Action, Arch, Comparison, Policy, SyscallRule};
use crate::namespace::Switch;
use caps::Capability::{self, *};
use libc::{EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT};

/// What the default filter depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterOptions {
    /// The capabilities of CMD, a bit each: what belongs to them is open.
    pub capabilities: u64,
    /// Whether CMD may make user namespaces, and containers in them.
    pub nest: Switch,
    /// Whether signals to PID 1 are told to a listener.
    pub self_signals: SelfSignals,
}

/// Calls that run, whatever their arguments are.
#[rustfmt::skip]
pub const ALLOWED: &[Syscall] = &Syscall::list([
    // Files.
    "access", "chdir", "chmod", "chown", "chown32", "close", "close_range", "copy_file_range",
    "creat", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fadvise64_64",
    "arm_fadvise64_64", "fallocate", "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2",
    "fchown", "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr",
    "flock", "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64",
    "fsync", "ftruncate", "ftruncate64", "futimesat", "getcwd", "getdents", "getdents64",
    "getxattr", "getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1",
    "inotify_rm_watch", "lchown", "lchown32", "lgetxattr", "link", "linkat", "listxattr",
    "listxattrat", "llistxattr", "_llseek", "lremovexattr", "lseek", "lsetxattr", "lstat",
    "lstat64", "memfd_create", "memfd_secret", "mkdir", "mkdirat", "mknod", "mknodat",
    "name_to_handle_at", "newfstatat", "open", "openat", "openat2", "pread64", "preadv", "preadv2",
    "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readdir", "readlink", "readlinkat",
    "readv", "removexattr", "removexattrat", "rename", "renameat", "renameat2", "rmdir", "sendfile",
    "sendfile64", "setxattr", "setxattrat", "splice", "stat", "stat64", "statfs", "statfs64",
    "statx", "symlink", "symlinkat", "sync", "sync_file_range", "sync_file_range2",
    "arm_sync_file_range", "syncfs", "tee", "truncate", "truncate64", "umask", "unlink", "unlinkat",
    "utime", "utimensat", "utimensat_time64", "utimes", "write", "writev",
    // Waiting for descriptors.
    "_newselect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait",
    "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "io_cancel",
    "io_destroy", "io_getevents", "io_setup", "io_submit", "pipe", "pipe2", "poll", "ppoll",
    "ppoll_time64", "pselect6", "pselect6_time64", "select", "signalfd", "signalfd4",
    "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime",
    "timerfd_settime64",
    // Sockets, once they are made.
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
    "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg", "sendmsg",
    "sendto", "setsockopt", "shutdown",
    // Memory.
    "brk", "cachestat", "get_mempolicy", "madvise", "map_shadow_stack", "mbind", "membarrier",
    "mincore", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mremap", "mseal",
    "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect",
    "process_mrelease", "remap_file_pages", "set_mempolicy",
    // Processes and threads. execve goes on under the same filter.
    "arch_prctl", "cacheflush", "breakpoint", "execve", "execveat", "exit", "exit_group", "fork",
    "futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake",
    "get_robust_list", "get_thread_area", "get_tls", "getcpu", "getitimer", "getpgid", "getpgrp",
    "getpid", "getppid", "getpriority", "getrlimit", "getrusage", "getsid", "gettid", "ioprio_get",
    "ioprio_set", "modify_ldt", "nanosleep", "pause", "pidfd_getfd", "pidfd_open",
    "pidfd_send_signal", "prctl", "prlimit64", "process_vm_readv", "process_vm_writev", "ptrace",
    "restart_syscall", "rseq", "sched_get_priority_max", "sched_get_priority_min",
    "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr",
    "sched_setparam", "sched_setscheduler", "sched_yield", "set_robust_list", "set_thread_area",
    "set_tid_address", "set_tls", "setitimer", "setpgid", "setpriority", "setrlimit", "setsid",
    "times", "ugetrlimit", "uname", "vfork", "wait4", "waitid", "waitpid",
    // Signals, but for kill, tkill and tgkill, whose target decides.
    "alarm", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sigaction",
    "sigaltstack", "signal", "sigpending", "sigprocmask", "sigreturn", "sigsuspend",
    // Ids, and walls that a program builds around itself.
    "capget", "capset", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32",
    "getgroups", "getgroups32", "getresgid", "getresgid32", "getresuid", "getresuid32", "getuid",
    "getuid32", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "seccomp",
    "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups",
    "setgroups32", "setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32",
    "setreuid", "setreuid32", "setuid", "setuid32",
    // Message queues, shared memory and semaphores of the IPC namespace.
    "ipc", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64",
    "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd",
    "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "shmat", "shmctl", "shmdt",
    "shmget",
    // Clocks that are read; adjtimex sets one only with CAP_SYS_TIME.
    "adjtimex", "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64",
    "clock_gettime", "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "gettimeofday",
    "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64",
    "timer_settime", "timer_settime64",
    // The machine.
    "getrandom", "sysinfo",
]);

/// Calls that a capability opens; without it they return EPERM. Any one of those named opens them.
#[rustfmt::skip]
pub const WITH_A_CAPABILITY: &[(&[Capability], &[Syscall])] = &[
    (&[CAP_SYS_ADMIN], NAMESPACES),
    (&[CAP_SYS_ADMIN], &Syscall::list([
        "fanotify_init", "lookup_dcookie", "quotactl", "quotactl_fd", "swapoff", "swapon",
    ])),
    (&[CAP_SYS_ADMIN, CAP_BPF], &Syscall::list(["bpf"])),
    (&[CAP_SYS_ADMIN, CAP_PERFMON], &Syscall::list(["perf_event_open"])),
    (&[CAP_SYS_CHROOT], CHROOT),
    // A file by its handle, wherever in its file system it lies.
    (&[CAP_DAC_READ_SEARCH], &Syscall::list(["open_by_handle_at"])),
    (&[CAP_SYS_PTRACE], &Syscall::list(["kcmp"])),
    (&[CAP_SYS_NICE, CAP_SYS_PTRACE], &Syscall::list(["process_madvise"])),
    (&[CAP_SYS_MODULE], &Syscall::list(["delete_module", "finit_module", "init_module"])),
    (&[CAP_SYS_BOOT], &Syscall::list(["kexec_file_load", "kexec_load", "reboot"])),
    (&[CAP_SYS_TIME], &Syscall::list([
        "clock_settime", "clock_settime64", "settimeofday", "stime",
    ])),
    (&[CAP_SYS_RAWIO], &Syscall::list([
        "ioperm", "iopl", "pciconfig_iobase", "pciconfig_read", "pciconfig_write",
    ])),
    (&[CAP_SYS_NICE], &Syscall::list(["migrate_pages", "move_pages"])),
    (&[CAP_SYS_PACCT], &Syscall::list(["acct"])),
    (&[CAP_SYS_TTY_CONFIG], &Syscall::list(["vhangup"])),
    (&[CAP_SYSLOG], &Syscall::list(["syslog"])),
];

/// What makes and changes namespaces and mounts; --nest opens it too. unshare and clone stand among
/// the rules that look at arguments.
#[rustfmt::skip]
const NAMESPACES: &[Syscall] = &Syscall::list([
    "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree",
    "open_tree_attr", "pivot_root", "setdomainname", "sethostname", "setns", "umount", "umount2",
]);

/// Likewise.
const CHROOT: &[Syscall] = &Syscall::list(["chroot"]);

/// Calls that return EPERM whatever CMD holds: obsolete ones, and those whose faults have led into
/// the kernel too often.
#[rustfmt::skip]
pub const CLOSED: &[Syscall] = &Syscall::list([
    "nfsservctl", "userfaultfd", "uselib", "vm86", "vm86old", "vmsplice",
]);

/// Calls that return ENOSYS whatever CMD holds, as all do that are not named at all; these are
/// named since somebody will look for them.
///
/// - The keyrings are the user's, whatever the session keyring is, keyrings(7).
/// - io_uring makes calls that no filter sees.
#[rustfmt::skip]
pub const ABSENT: &[Syscall] = &Syscall::list([
    "add_key", "io_uring_enter", "io_uring_register", "io_uring_setup", "keyctl", "request_key",
]);

/// The capability bits of a row.
fn opens(held: u64, row: &[Capability]) -> bool {
    row.iter().any(|capability| held & capability.bitmask() != 0)
}

/// CLONE_NEW* of linux/sched.h that clone(2) takes, and all that unshare(2) takes.
const CLONE_NEW: u32 = 0x7e02_0000;
const CLONE_NEWTIME: u32 = 0x80;
const CLONE_NEWUSER: u32 = 0x1000_0000;

/// Requests of ioctl(2) that put characters into a terminal's input, tty_ioctl(4),
/// ioctl_console(2).
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;

/// Personalities that change what uname(2) says and nothing else: PER_LINUX, PER_LINUX32, each with
/// and without UNAME26; and the question for the present one, personality(2).
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, u32::MAX];

/// Families of sockets, socket(2), that everybody may have.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// Sub-calls of socketcall(2), whose arguments are in memory: SYS_SOCKET, SYS_SOCKETPAIR.
const HIDDEN_SOCKETS: [u32; 2] = [1, 8];

/// The calls whose arguments decide.
const CLONE: Syscall = Syscall::named("clone");
const CLONE3: Syscall = Syscall::named("clone3");
const UNSHARE: Syscall = Syscall::named("unshare");
const SOCKET: Syscall = Syscall::named("socket");
const SOCKETPAIR: Syscall = Syscall::named("socketpair");
const SOCKETCALL: Syscall = Syscall::named("socketcall");
const IOCTL: Syscall = Syscall::named("ioctl");
const PERSONALITY: Syscall = Syscall::named("personality");
const SIGNALS: [Syscall; 3] = Syscall::list(["kill", "tkill", "tgkill"]);

/// The default policy of this machine's architectures.
pub fn policy(order: FilterOptions) -> Policy {
    let mut rules = Rules(Vec::with_capacity(512));
    rules.all(ALLOWED, Action::Allow);
    for &(capabilities, calls) in WITH_A_CAPABILITY {
        let nested = order.nest == Switch::Yes && (calls == NAMESPACES || calls == CHROOT);
        let open = nested || opens(order.capabilities, capabilities);
        rules.all(calls, if open { Action::Allow } else { errno(EPERM) });
    }
    rules.all(CLOSED, errno(EPERM));
    rules.all(ABSENT, errno(ENOSYS));
    rules.namespaces(order);
    rules.sockets(order);
    rules.terminals();
    rules.personalities();
    rules.signals(order.self_signals);
    Policy {
        architectures: Arch::HERE.to_vec(),
        rules: rules.0,
        otherwise: errno(ENOSYS),
        // A third calling convention does not exist on these machines. If one comes, it is refused
        // rather than let through unseen.
        foreign: Action::KillProcess,
    }
}

const fn errno(number: i32) -> Action {
    Action::Errno(number as u16)
}

struct Rules(Vec<SyscallRule>);

impl Rules {
    fn add(&mut self, call: Syscall, when: Vec<Comparison>, action: Action) {
        self.0.push(SyscallRule { call, when, action });
    }

    fn all(&mut self, calls: &[Syscall], action: Action) {
        calls.iter().for_each(|&call| self.add(call, Vec::new(), action));
    }

    /// clone3 returns ENOSYS where flags matter, since they cannot be seen.
    fn namespaces(&mut self, order: FilterOptions) {
        if order.nest == Switch::Yes {
            return self.all(&[CLONE, CLONE3, UNSHARE], Action::Allow);
        }
        let closed = if opens(order.capabilities, &[CAP_SYS_ADMIN]) {
            [CLONE_NEWUSER, CLONE_NEWUSER]
        } else {
            [CLONE_NEW, CLONE_NEW | CLONE_NEWTIME]
        };
        self.add(CLONE3, Vec::new(), errno(ENOSYS));
        for (call, flags) in [CLONE, UNSHARE].into_iter().zip(closed) {
            self.add(call, vec![Comparison::low(0, flags, 0)], Action::Allow);
            self.add(call, Vec::new(), errno(EPERM));
        }
    }

    fn sockets(&mut self, order: FilterOptions) {
        let held = order.capabilities;
        let family = |family: i32| Comparison::low(0, u32::MAX, family as u32);
        let protocol = |protocol: i32| Comparison::low(2, u32::MAX, protocol as u32);
        for call in [SOCKET, SOCKETPAIR] {
            for one in FAMILIES {
                self.add(call, vec![family(one)], Action::Allow);
            }
        }
        // Who lacks the right for packets is told so by the kernel too.
        let may = opens(held, &[CAP_NET_RAW]) || order.nest == Switch::Yes;
        let packets = if may { Action::Allow } else { errno(EPERM) };
        self.add(SOCKET, vec![family(libc::AF_PACKET)], packets);
        if opens(held, &[CAP_NET_RAW]) {
            self.add(SOCKET, vec![family(libc::AF_XDP)], Action::Allow);
        }
        if opens(held, &[CAP_NET_ADMIN]) {
            self.add(SOCKET, vec![family(libc::AF_NETLINK)], Action::Allow);
        }
        for audit in [CAP_AUDIT_CONTROL, CAP_AUDIT_READ, CAP_AUDIT_WRITE] {
            if opens(held, &[audit]) {
                let audit = protocol(libc::NETLINK_AUDIT);
                self.add(SOCKET, vec![family(libc::AF_NETLINK), audit], Action::Allow);
            }
        }
        for one in [libc::NETLINK_ROUTE, libc::NETLINK_SOCK_DIAG] {
            self.add(SOCKET, vec![family(libc::AF_NETLINK), protocol(one)], Action::Allow);
        }
        self.add(SOCKET, vec![family(libc::AF_NETLINK)], errno(EPROTONOSUPPORT));
        self.add(SOCKET, Vec::new(), errno(EAFNOSUPPORT));
        self.add(SOCKETPAIR, Vec::new(), errno(EAFNOSUPPORT));
        for hidden in HIDDEN_SOCKETS {
            let sub_call = Comparison::low(0, u32::MAX, hidden);
            self.add(SOCKETCALL, vec![sub_call], errno(ENOSYS));
        }
        self.add(SOCKETCALL, Vec::new(), Action::Allow);
    }

    fn terminals(&mut self) {
        for request in [TIOCSTI, TIOCLINUX] {
            self.add(IOCTL, vec![Comparison::low(1, u32::MAX, request)], errno(EPERM));
        }
        self.add(IOCTL, Vec::new(), Action::Allow);
    }

    fn personalities(&mut self) {
        for one in PERSONALITIES {
            self.add(PERSONALITY, vec![Comparison::low(0, u32::MAX, one)], Action::Allow);
        }
        self.add(PERSONALITY, Vec::new(), errno(EPERM));
    }

    /// The target comes first. Only what is sent to PID 1 is told.
    fn signals(&mut self, self_signals: SelfSignals) {
        for call in SIGNALS {
            if self_signals == SelfSignals::Told {
                self.add(call, vec![Comparison::low(0, u32::MAX, 1)], Action::Notify);
            }
            self.add(call, Vec::new(), Action::Allow);
        }
    }
}
