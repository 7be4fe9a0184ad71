//! The calls of the default filter by what opens them: a flat table for each answer that does not
//! depend on arguments.

use super::calls::Syscall;
use caps::Capability::{self, *};

/// Calls that run, whatever their arguments are.
#[rustfmt::skip]
pub(super) const ALLOWED: &[Syscall] = &Syscall::list([
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
pub(super) const WITH_A_CAPABILITY: &[(&[Capability], &[Syscall])] = &[
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
pub(super) const NAMESPACES: &[Syscall] = &Syscall::list([
    "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree",
    "open_tree_attr", "pivot_root", "setdomainname", "sethostname", "setns", "umount", "umount2",
]);

/// chroot(2), which --nest opens likewise.
pub(super) const CHROOT: &[Syscall] = &Syscall::list(["chroot"]);

/// Calls that return EPERM whatever CMD holds: obsolete ones, and those whose faults have led into
/// the kernel too often.
#[rustfmt::skip]
pub(super) const CLOSED: &[Syscall] = &Syscall::list([
    "nfsservctl", "userfaultfd", "uselib", "vm86", "vm86old", "vmsplice",
]);

/// Calls that return ENOSYS whatever CMD holds, as all do that are not named at all; these are
/// named since somebody will look for them.
///
/// - The keyrings are the user's, whatever the session keyring is, keyrings(7).
/// - io_uring makes calls that no filter sees.
#[rustfmt::skip]
pub(super) const ABSENT: &[Syscall] = &Syscall::list([
    "add_key", "io_uring_enter", "io_uring_register", "io_uring_setup", "keyctl", "request_key",
]);
