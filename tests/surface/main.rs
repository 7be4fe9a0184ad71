//! What a hostile root finds open: a static program that tries files, calls, sockets and mounts
//! where it is started, and prints a row for each: kind, name and answer, separated by tabs. Nothing
//! outside of it is changed: files are opened and closed, calls are given arguments that they refuse
//! or that are about this process alone. An answer is the errno, or `open`; of a file that opens and has no write operation
//! `takes nothing`.
#![allow(
    unsafe_code,
    clippy::print_stdout,
    reason = "its output is its job, and what it tries has no safe wrapper"
)]

use libc::{c_int, c_long, syscall};
use std::ffi::{CStr, CString};
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

fn main() {
    written_below("/proc");
    written_below("/sys");
    for path in READ {
        row("read", path, &answer(first_byte(path)));
    }
    calls();
    sockets();
    terminals();
    fresh_mounts();
    capabilities();
}

fn row(kind: &str, name: &str, answer: &str) {
    println!("{kind}\t{name}\t{answer}");
}

/// An errno by its name; `open` for a success.
fn answer<T>(result: std::io::Result<T>) -> String {
    match result {
        Ok(_) => "open".into(),
        Err(error) => match error.raw_os_error() {
            Some(errno) => format!("{:?}", nix::errno::Errno::from_raw(errno)),
            None => error.to_string(),
        },
    }
}

fn of(result: c_long) -> String {
    answer(if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) })
}

/// The files below a directory that open for writing, but for those of processes.
fn written_below(top: &str) {
    let device = fs::metadata(top).map(|stat| stat.dev()).unwrap_or(0);
    let mut next = vec![PathBuf::from(top)];
    while let Some(dir) = next.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let of_a_process = dir == Path::new("/proc")
                && name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
            let Ok(stat) = entry.metadata() else { continue };
            if of_a_process || stat.is_symlink() {
                continue;
            }
            if stat.is_dir() {
                // cgroups and others that are mounted there are judged by themselves.
                if stat.dev() == device {
                    next.push(path);
                }
            } else if stat.is_file() {
                let file =
                    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
                if let Ok(mut file) = file {
                    row("write", &path.to_string_lossy(), taken(&mut file, stat.mode()));
                }
            }
        }
    }
}

/// What a file that has opened takes. With CAP_DAC_OVERRIDE one without a write bit opens too, and
/// the kernel has nothing behind it: a write, even of no byte, is EIO. No other file is written to.
fn taken(file: &mut fs::File, mode: u32) -> &'static str {
    let nothing = mode & 0o222 == 0
        && std::io::Write::write(file, &[])
            .is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)));
    if nothing { "takes nothing" } else { "open" }
}

/// What tells of the machine, its memory, its keys, its log.
const READ: [&str; 20] = [
    "/proc/acpi/wakeup",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/pagetypeinfo",
    "/proc/sched_debug",
    "/proc/slabinfo",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
    "/sys/dev/block",
    "/sys/firmware",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
];

/// One byte of a file, or one entry of a directory; an empty one has nothing to tell.
fn first_byte(path: &str) -> std::io::Result<()> {
    let empty = || std::io::Error::from_raw_os_error(libc::ENODATA);
    if fs::metadata(path)?.is_dir() {
        return fs::read_dir(path)?.next().ok_or_else(empty)?.map(drop);
    }
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut byte = [0];
    if file.read(&mut byte)? == 0 { Err(empty()) } else { Ok(()) }
}

/// Calls that the kernel answers in its own way are open, whatever it thinks of the arguments:
/// EPERM and ENOSYS alone say that nobody listens, and EPERM may be the kernel's own.
fn calls() {
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

/// What a new process has to say; it ends without coming back.
fn in_a_child(say: impl FnOnce() -> String) -> String {
    let Ok((reader, writer)) = std::io::pipe() else { return "no pipe".into() };
    // SAFETY: this program has one thread, so the copy may do whatever it could do.
    match unsafe { libc::fork() } {
        0 => {
            drop(reader);
            let _ = std::io::Write::write_all(&mut { writer }, say().as_bytes());
            // SAFETY: ends this process and touches nothing.
            unsafe { libc::_exit(0) }
        }
        pid => {
            drop(writer);
            let mut text = String::new();
            let _ = { reader }.read_to_string(&mut text);
            // SAFETY: waits for the process made above; a status is not wanted.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            text
        }
    }
}

const FAMILIES: [(&str, c_int); 16] = [
    ("AF_UNIX", libc::AF_UNIX),
    ("AF_INET", libc::AF_INET),
    ("AF_X25", libc::AF_X25),
    ("AF_PACKET", libc::AF_PACKET),
    ("AF_RDS", libc::AF_RDS),
    ("AF_CAN", libc::AF_CAN),
    ("AF_TIPC", libc::AF_TIPC),
    ("AF_BLUETOOTH", libc::AF_BLUETOOTH),
    ("AF_ALG", libc::AF_ALG),
    ("AF_VSOCK", libc::AF_VSOCK),
    ("AF_KCM", 41),
    ("AF_QIPCRTR", 42),
    ("AF_SMC", 43),
    ("AF_XDP", libc::AF_XDP),
    ("AF_MCTP", 45),
    ("AF_INET6", libc::AF_INET6),
];

fn sockets() {
    let made = |family: c_int, kind: c_int, protocol: c_int| {
        // SAFETY: numbers only; the socket is closed again.
        let fd = unsafe { libc::socket(family, kind, protocol) };
        let said = of(fd.into());
        // SAFETY: the descriptor is this function's own, or -1, which close refuses.
        unsafe { libc::close(fd) };
        said
    };
    let kinds = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET, libc::SOCK_RAW];
    for (name, family) in FAMILIES {
        let tried: Vec<String> = kinds.iter().map(|&kind| made(family, kind, 0)).collect();
        let open = tried.iter().any(|said| said == "open");
        row("socket", name, if open { "open" } else { &tried[0] });
        #[cfg(target_arch = "x86_64")]
        {
            // A kernel without this gate ends who calls through it.
            let said = in_a_child(|| {
                let tried = kinds.iter().map(|&kind| compat::socket(family, kind));
                compat::said(tried.max().unwrap_or(-1))
            });
            row("socket", &format!("{name} by int 0x80"), &said);
        }
    }
    for protocol in 0..23 {
        let said = made(libc::AF_NETLINK, libc::SOCK_RAW, protocol);
        row("socket", &format!("AF_NETLINK {protocol}"), &said);
    }
    #[cfg(target_arch = "x86_64")]
    row("socket", "socketcall by int 0x80", &in_a_child(|| compat::said(compat::socketcall())));
}

/// Calls of i386 from a 64-bit program.
#[cfg(target_arch = "x86_64")]
mod compat {
    use std::arch::asm;

    fn call(number: i32, [a, b, c]: [i32; 3]) -> i32 {
        let answer: i32;
        // SAFETY: the gate saves every register but the result; rbx is the compiler's and is put
        // back. Only numbers are passed.
        unsafe {
            asm!("push rbx", "mov ebx, {a:e}", "int 0x80", "pop rbx", a = in(reg) a,
                 inlateout("eax") number => answer, in("ecx") b, in("edx") c,
                 lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
        }
        answer
    }

    pub(crate) fn socket(family: i32, kind: i32) -> i32 {
        let fd = call(359, [family, kind, 0]);
        if fd >= 0 {
            call(6, [fd, 0, 0]);
        }
        fd
    }

    /// SYS_SOCKET with its arguments at an address that is none.
    pub(crate) fn socketcall() -> i32 {
        call(102, [1, 0, 0])
    }

    pub(crate) fn said(answer: i32) -> String {
        let failed = std::io::Error::from_raw_os_error(-answer);
        super::answer(if answer < 0 { Err(failed) } else { Ok(()) })
    }
}

/// Characters typed into a terminal of its own.
fn terminals() {
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

/// File systems in a new user namespace: what is hidden of /proc and /sys would be seen again.
fn fresh_mounts() {
    for kind in ["proc", "sysfs", "cgroup", "cgroup2"] {
        let mounted = in_a_child(|| {
            let all = libc::CLONE_NEWUSER
                | libc::CLONE_NEWNS
                | libc::CLONE_NEWPID
                | libc::CLONE_NEWNET
                | libc::CLONE_NEWCGROUP;
            // SAFETY: numbers only.
            if unsafe { libc::unshare(all) } == -1 {
                return of(-1);
            }
            // The new pid namespace is for children.
            in_a_child(|| mount(kind))
        });
        row("mount", &format!("{kind} in a user namespace"), &mounted);
    }
}

fn mount(kind: &str) -> String {
    let (Ok(name), target) = (CString::new(kind), c"/tmp") else { return "no name".into() };
    // A hierarchy that is there can be mounted again, a new one is the host's to make.
    let options = match kind {
        "cgroup" => [c"pids", c"memory", c"cpu,cpuacct", c"none,name=systemd"].as_slice(),
        _ => &[c""],
    };
    let tried = options.iter().map(|options| mounted(&name, target, options)).collect::<Vec<_>>();
    tried.iter().find(|said| *said == "open").unwrap_or(&tried[0]).clone()
}

fn mounted(name: &CStr, target: &CStr, options: &CStr) -> String {
    // SAFETY: strings with NUL that outlive the call; the mount is of a namespace of its own.
    of(unsafe {
        libc::mount(
            name.as_ptr(),
            target.as_ptr(),
            name.as_ptr(),
            libc::MS_RDONLY,
            options.as_ptr().cast(),
        )
    }
    .into())
}

/// The capabilities in effect.
fn capabilities() {
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
