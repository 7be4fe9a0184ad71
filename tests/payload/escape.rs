//! Ways out of a container, or around a wall of it.

use super::say::say;
use std::ffi::CString;
use std::os::fd::BorrowedFd;

/// Types an `x` into the terminal on stdin, tty_ioctl(4).
pub(super) fn tiocsti() {
    let key = b'x';
    // SAFETY: TIOCSTI reads one byte at the pointer, which outlives the call.
    let answer = unsafe { libc::ioctl(0, libc::TIOCSTI, &raw const key) };
    println!("tiocsti {answer}");
}

pub(super) fn read_through(fd: &str, path: &str) {
    // SAFETY: whether the number is a descriptor is what is asked; the call answers EBADF if not.
    let dir = unsafe { BorrowedFd::borrow_raw(fd.parse().unwrap_or(9)) };
    let opened =
        rustix::fs::openat(dir, path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
    println!("openat {:?}", opened.map(drop));
}

const KEY_SPEC_SESSION_KEYRING: i32 = -3;
const KEY_SPEC_USER_KEYRING: i32 = -4;

fn added(description: &str, keyring: i32) -> std::io::Result<()> {
    let words = ["user", description, "x"].map(|word| CString::new(word).unwrap_or_default());
    // SAFETY: two strings with NUL, a payload of one byte and a special keyring number.
    let key = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            words[0].as_ptr(),
            words[1].as_ptr(),
            words[2].as_ptr(),
            1usize,
            keyring,
        )
    };
    if key == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// add_key(2) into the user keyring, which no session keyring hides.
pub(super) fn add_key() {
    match added("rustic-test", KEY_SPEC_USER_KEYRING) {
        Ok(()) => println!("add_key done"),
        Err(error) => println!("add_key {error}"),
    }
}

/// Runs a program while a session keyring of this process's own has so many keys in it.
pub(super) fn among_keys(count: &str, words: &[&str]) {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    // SAFETY: no name asks for a new one without a name.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0usize) };
    for number in 0..count.parse().unwrap_or(0) {
        if let Err(error) = added(&format!("rustic-test-{number}"), KEY_SPEC_SESSION_KEYRING) {
            println!("add_key {error}");
        }
    }
    let ended = std::process::Command::new(words[0]).args(&words[1..]).status();
    std::process::exit(ended.ok().and_then(|status| status.code()).unwrap_or(64));
}

/// The serial number of the session keyring.
pub(super) fn session_keyring() {
    const KEYCTL_GET_KEYRING_ID: i32 = 0;
    // SAFETY: numbers only.
    let id = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)
    };
    println!("session {id}");
}

/// The classic way out of a chroot: a second one, below a directory that stays open.
pub(super) fn climb(canary: &str) {
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
pub(super) fn forbidden_call() {
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
