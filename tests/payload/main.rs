//! What the tests run inside containers where a shell cannot do it: a static program that takes its task as its first argument.
#![allow(unsafe_code, clippy::print_stdout, reason = "its output is its job, and what it tries has no safe wrapper")]

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use rustix::process::{Gid, Uid};
use std::ffi::CString;
use std::os::fd::BorrowedFd;
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
        ["add-key"] => add_key(),
        ["session-keyring"] => session_keyring(),
        ["climb", canary] => climb(canary),
        ["no-death-signal", rest @ ..] => {
            let _ = rustix::process::set_parent_process_death_signal(None);
            become_program(rest);
        }
        ["uid", id, rest @ ..] => {
            let number = id.parse().unwrap_or(1);
            let (uid, gid) = (Uid::from_raw(number), Gid::from_raw(number));
            if rustix::thread::set_thread_res_gid(gid, gid, gid).is_err() || rustix::thread::set_thread_res_uid(uid, uid, uid).is_err() {
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
    let opened = rustix::fs::openat(dir, path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
    println!("openat {:?}", opened.map(drop));
}

/// add_key(2) into the user keyring, which no session keyring hides.
fn add_key() {
    const KEY_SPEC_USER_KEYRING: i32 = -4;
    let words = ["user", "rustic-test", "x"].map(|word| CString::new(word).unwrap_or_default());
    // SAFETY: two strings with NUL, a payload of one byte and a special keyring number.
    let key =
        unsafe { libc::syscall(libc::SYS_add_key, words[0].as_ptr(), words[1].as_ptr(), words[2].as_ptr(), 1usize, KEY_SPEC_USER_KEYRING) };
    println!("add_key {}", if key == -1 { std::io::Error::last_os_error().to_string() } else { "done".into() });
}

/// The serial number of the session keyring.
fn session_keyring() {
    const KEYCTL_GET_KEYRING_ID: i32 = 0;
    const KEY_SPEC_SESSION_KEYRING: i32 = -3;
    // SAFETY: numbers only.
    let id = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) };
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
