//! What the tests run inside containers where a shell cannot do it: a static program that takes its
//! task as its first argument.
#![allow(
    unsafe_code,
    clippy::print_stdout,
    reason = "its output is its job, and what it tries has no safe wrapper"
)]

use nix::mqueue::{MQ_OFlag, MqAttr, mq_open, mq_send};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::Mode;
use rustix::process::{Gid, Uid};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["true", ..] => {}
        ["sigwait"] => {
            let _ = sigterm().thread_block();
            sigwait();
        }
        // As no program should do it: POSIX wants the signal blocked before.
        ["sigwait-unblocked"] => sigwait(),
        ["signalfd"] => signalfd(),
        ["tiocsti"] => tiocsti(),
        ["read-through", fd, path] => read_through(fd, path),
        ["ready-queue"] => ready_on_the_queue(),
        ["fill-queues"] => fill_queues(),
        ["notify", text] => notify(text),
        ["notify-lingering"] => notify_lingering(),
        ["fill-in-flight"] => fill_in_flight(),
        ["state", ..] => state(),
        ["add-key"] => add_key(),
        ["session-keyring"] => session_keyring(),
        ["climb", canary] => climb(canary),
        ["forbidden-call"] => forbidden_call(),
        ["change-streams"] => (0..3).for_each(change_stream),
        ["list", paths @ ..] => paths.iter().for_each(|path| {
            let entries = std::fs::read_dir(path).map(Iterator::count);
            say(&format!(
                "{path}: {}",
                entries.map_or_else(|error| error.to_string(), |n| n.to_string())
            ));
        }),
        ["no-death-signal", rest @ ..] => {
            let _ = rustix::process::set_parent_process_death_signal(None);
            become_program(rest);
        }
        ["uid", id, rest @ ..] => {
            let number = id.parse().unwrap_or(1);
            let (uid, gid) = (Uid::from_raw(number), Gid::from_raw(number));
            if rustix::thread::set_thread_res_gid(gid, gid, gid).is_err()
                || rustix::thread::set_thread_res_uid(uid, uid, uid).is_err()
            {
                println!("uid: refused");
            }
            become_program(rest);
        }
        other => {
            println!("no such task: {other:?}");
            exit(64);
        }
    }
}

fn become_program(words: &[&str]) {
    if let [program, args @ ..] = words {
        let error = Command::new(program).args(args).exec();
        println!("{program}: {error}");
    }
    exit(65);
}

fn say(line: &str) {
    use std::io::Write;
    println!("{line}");
    let _ = std::io::stdout().flush();
}

fn sigterm() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set
}

fn sigwait() {
    say("waiting");
    let signal = sigterm().wait();
    say(&format!("got {signal:?}"));
    exit(42);
}

fn signalfd() {
    let _ = sigterm().thread_block();
    let descriptor = SignalFd::new(&sigterm());
    say("waiting");
    let signal = descriptor.and_then(|descriptor| descriptor.read_signal());
    say(&format!("got {:?}", signal.ok().flatten().map(|info| info.ssi_signo)));
    exit(43);
}

/// Types an `x` into the terminal on stdin, tty_ioctl(4).
fn tiocsti() {
    let key = b'x';
    // SAFETY: TIOCSTI reads one byte at the pointer, which outlives the call.
    let answer = unsafe { libc::ioctl(0, libc::TIOCSTI, &raw const key) };
    println!("tiocsti {answer}");
}

fn read_through(fd: &str, path: &str) {
    // SAFETY: whether the number is a descriptor is what is asked; the call answers EBADF if not.
    let dir = unsafe { BorrowedFd::borrow_raw(fd.parse().unwrap_or(9)) };
    let opened =
        rustix::fs::openat(dir, path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
    println!("openat {:?}", opened.map(drop));
}

/// Says READY=1 on the queue that RUSTIC_READY_QUEUE names.
fn ready_on_the_queue() {
    let name = std::env::var("RUSTIC_READY_QUEUE").unwrap_or_default();
    let queue = mq_open(name.as_str(), MQ_OFlag::O_WRONLY, Mode::empty(), None);
    println!("sent {:?}", queue.and_then(|queue| mq_send(&queue, b"READY=1", 0)));
}

/// Takes every byte and every queue that it can get, and keeps them.
fn fill_queues() {
    let mut made = 0;
    let mut fill = || {
        // Large ones first, for the bytes, then the smallest, for the rest of both.
        for attributes in [MqAttr::new(0, 10, 8192, 0), MqAttr::new(0, 1, 1, 0)] {
            let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_RDWR;
            while mq_open(
                format!("/fill.{made}").as_str(),
                flags,
                Mode::S_IRUSR | Mode::S_IWUSR,
                Some(&attributes),
            )
            .is_ok()
            {
                made += 1;
            }
        }
        made
    };
    say(&format!("filled {}", fill() > 0));
    // Bytes of the same user come free wherever a queue is removed.
    loop {
        fill();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Sends a message to NOTIFY_SOCKET with a descriptor, and says whether that was closed on the
/// other side.
fn notify(text: &str) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg_addr};
    let path = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    let sent = (|| -> rustix::io::Result<usize> {
        let (kept, passed) = rustix::pipe::pipe()?;
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::DGRAM,
            None,
        )?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [passed.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let words = text.replace("\\n", "\n");
        let address = rustix::net::SocketAddrUnix::new(path.as_str())?;
        sendmsg_addr(
            &socket,
            &address,
            &[std::io::IoSlice::new(words.as_bytes())],
            &mut ancillary,
            SendFlags::empty(),
        )?;
        drop(passed);
        // End of file comes when nobody has the other end any more.
        rustix::io::read(&kept, &mut [0; 1])
    })();
    println!("barrier {sent:?}");
}

/// add_key(2) into the user keyring, which no session keyring hides.
fn add_key() {
    const KEY_SPEC_USER_KEYRING: i32 = -4;
    let words = ["user", "rustic-test", "x"].map(|word| CString::new(word).unwrap_or_default());
    // SAFETY: two strings with NUL, a payload of one byte and a special keyring number.
    let key = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            words[0].as_ptr(),
            words[1].as_ptr(),
            words[2].as_ptr(),
            1usize,
            KEY_SPEC_USER_KEYRING,
        )
    };
    println!(
        "add_key {}",
        if key == -1 { std::io::Error::last_os_error().to_string() } else { "done".into() }
    );
}

/// The serial number of the session keyring.
fn session_keyring() {
    const KEYCTL_GET_KEYRING_ID: i32 = 0;
    const KEY_SPEC_SESSION_KEYRING: i32 = -3;
    // SAFETY: numbers only.
    let id = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)
    };
    println!("session {id}");
}

/// The classic way out of a chroot: a second one, below a directory that stays open.
fn climb(canary: &str) {
    let result = (|| -> rustix::io::Result<()> {
        let _ = rustix::fs::mkdir("/climb", rustix::fs::Mode::RWXU);
        rustix::process::chroot("/climb")?;
        for _ in 0..64 {
            rustix::process::chdir("..")?;
        }
        rustix::process::chroot(".")
    })();
    println!("climb {result:?}");
    println!("sees {}", std::fs::read_to_string(canary).unwrap_or_else(|error| error.to_string()));
}

/// A filter of its own that ends the process at whatever call comes next.
fn forbidden_call() {
    let end = libc::BPF_RET | libc::BPF_K;
    let mut kill =
        libc::sock_filter { code: end as u16, jt: 0, jf: 0, k: libc::SECCOMP_RET_KILL_PROCESS };
    let program = libc::sock_fprog { len: 1, filter: &raw mut kill };
    // SAFETY: the program is one instruction that outlives the call, which copies it.
    unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    say("not forbidden");
}

/// Tries to change whatever is behind a standard stream, in every way that a descriptor gives. What
/// has come of it shows outside.
fn change_stream(fd: i32) {
    let path = CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let at = path.as_ptr();
    let (name, value) = (c"user.changed", c"x");
    // SAFETY: strings with NUL and buffers that outlive the calls; descriptors are this process's.
    unsafe {
        libc::fchmod(fd, 0o4777);
        libc::chmod(at, 0o4777);
        libc::fchown(fd, 7, 7);
        libc::chown(at, 7, 7);
        libc::futimens(fd, [libc::timespec { tv_sec: 7, tv_nsec: 0 }; 2].as_ptr());
        libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), 1, 0);
        libc::setxattr(at, name.as_ptr(), value.as_ptr().cast(), 1, 0);
        libc::fcntl(fd, libc::F_SETFL, 0);
        libc::ftruncate(fd, 0);
        libc::truncate(at, 0);
        libc::pwrite(fd, value.as_ptr().cast(), 1, 0);
        for flags in [libc::O_RDWR | libc::O_TRUNC, libc::O_RDWR, libc::O_WRONLY] {
            let again = libc::open(at, flags | libc::O_NONBLOCK);
            libc::pwrite(again, value.as_ptr().cast(), 1, 0);
            libc::fchmod(again, 0o4777);
            libc::close(again);
        }
    }
}

/// Sends NOTIFY_SOCKET a connection whose close waits for ten minutes, as its other end reads
/// nothing, then READY=1 without one.
fn notify_lingering() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg_addr};
    use std::net::{TcpListener, TcpStream};
    let path = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    let sent = (|| -> std::io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let connection = TcpStream::connect(listener.local_addr()?)?;
        let (unread, _) = listener.accept()?;
        rustix::net::sockopt::set_socket_linger(
            &connection,
            Some(std::time::Duration::from_secs(600)),
        )?;
        connection.set_nonblocking(true)?;
        while std::io::Write::write(&mut &connection, &[0; 65536]).is_ok() {}
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::DGRAM,
            None,
        )?;
        let address = rustix::net::SocketAddrUnix::new(path.as_str())?;
        let (from, to) = (socket.try_clone()?, address.clone());
        // Whoever closes last waits: rustic, or this thread.
        std::thread::spawn(move || {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let passed = [connection.as_fd()];
            ancillary.push(SendAncillaryMessage::ScmRights(&passed));
            let text = [std::io::IoSlice::new(b"STATUS=x")];
            let _ = sendmsg_addr(&from, &to, &text, &mut ancillary, SendFlags::empty());
            drop(connection);
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut nothing = SendAncillaryBuffer::default();
        let text = [std::io::IoSlice::new(b"READY=1")];
        sendmsg_addr(&socket, &address, &text, &mut nothing, SendFlags::empty())?;
        say("sent");
        // The end of stdin lets the other side go.
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new())?;
        drop(unread);
        Ok(())
    })();
    if let Err(error) = sent {
        say(&format!("not sent: {error}"));
    }
}

/// Puts as many descriptors in flight as its user may have, and keeps them there.
fn fill_in_flight() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut kept = Vec::new();
    let refused = 'filling: loop {
        let pair = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::DGRAM,
            rustix::net::SocketFlags::NONBLOCK,
            None,
        );
        let Ok(pair) = pair else { break Err(()) };
        // What is in flight lives as long as its sockets.
        kept.push(pair);
        let Some((one, _)) = kept.last() else { break Err(()) };
        loop {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let passed = [one.as_fd(); 200];
            ancillary.push(SendAncillaryMessage::ScmRights(&passed));
            let text = [std::io::IoSlice::new(b"x")];
            match sendmsg(one, &text, &mut ancillary, SendFlags::empty()) {
                Ok(_) => {}
                Err(rustix::io::Errno::TOOMANYREFS) => break 'filling Ok(()),
                Err(_) => break,
            }
        }
    };
    say(&format!("filled {refused:?}"));
    std::thread::sleep(std::time::Duration::from_secs(600));
}

/// What the kernel says of this process, its namespaces, mounts, descriptors and limits.
fn state() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    for line in read("/proc/self/status").lines() {
        let wanted =
            ["Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp:", "Sig", "Umask", "NSpid"];
        // SigQ counts the signals of all processes of the user.
        if !line.starts_with("SigQ") && wanted.iter().any(|name| line.starts_with(name)) {
            // Digits of masks are letters here, so that they are compared.
            let digits = |c: char| c.to_digit(10).map_or(c, |digit| (b'a' + digit as u8) as char);
            say(&line.chars().map(digits).collect::<String>());
        }
    }
    for line in read("/proc/self/mountinfo").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let kind = line.split(" - ").nth(1).and_then(|rest| rest.split(' ').next());
        say(&format!("{} {} {} {kind:?}", fields[4], fields[5], fields[6]));
    }
    for fd in 0..64 {
        if let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{fd}")) {
            say(&format!("descriptor {}", path.display()));
        }
    }
    let host = |entry: &str| read(entry).trim().to_owned();
    say(&format!("{} {}", host("/proc/sys/kernel/hostname"), host("/proc/self/personality")));
    say(&format!("{:?} {:?}", std::env::current_dir(), std::env::vars().collect::<Vec<_>>()));
    for entry in ["pid", "mnt", "uts", "net", "ipc", "user", "cgroup", "time"] {
        // A namespace of the machine's first ones has a number that is known, proc_ns.h.
        let link = std::fs::read_link(format!("/proc/self/ns/{entry}"));
        let text = link.map(|link| link.display().to_string()).unwrap_or_default();
        say(&format!("{entry} {}", if text.contains("[40265318") { "initial" } else { "other" }));
    }
}
