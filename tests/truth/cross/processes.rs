//! Processes, queues, memory and keys of the outside.

use super::attempt::{crossed, holds};
use crate::canaries::{Canaries, KEY};
use std::ffi::CString;
use std::path::PathBuf;

pub(super) fn processes(told: &Canaries, places: &[PathBuf]) {
    for place in places {
        let comm = place.join(format!("{}/comm", told.pid));
        if holds(&comm, "truth-canary") {
            crossed("pid", comm.display());
        }
    }
    let mut bytes = vec![0_u8; told.secret.len()];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: told.address as *mut _, iov_len: bytes.len() };
    // SAFETY: one place of this process, of the length that is told; the other one is not ours.
    unsafe { libc::process_vm_readv(told.pid, &raw const local, 1, &raw const remote, 1, 0) };
    if bytes == told.secret.as_bytes() {
        crossed("pid", "memory");
    }
}

/// The kind of the file system of queues, which has no name in the C library.
const MQUEUE_MAGIC: i64 = 0x1980_0202;

pub(super) fn queues(told: &Canaries, places: &[PathBuf]) {
    let send = |queue: i32| {
        // SAFETY: a descriptor, or -1, and bytes of the length that is passed.
        unsafe { libc::mq_send(queue, c"crossed".as_ptr(), 7, 0) == 0 }
    };
    // SAFETY: a string with NUL.
    if send(unsafe { libc::mq_open(c"/truth".as_ptr(), libc::O_WRONLY | libc::O_NONBLOCK) }) {
        crossed("ipc", "mq_open");
    }
    for place in places {
        let path = CString::new(place.join("truth").to_string_lossy().into_owned()).unwrap();
        // SAFETY: a string with NUL.
        if send(unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_NONBLOCK) }) {
            crossed("ipc", place.display());
        }
        // SAFETY: zero is valid for integers; a string with NUL.
        let kind = unsafe {
            let mut stat: libc::statfs = std::mem::zeroed();
            if libc::statfs(path.as_ptr(), &raw mut stat) == 0 { stat.f_type as i64 } else { 0 }
        };
        // Through the root of a process it is the root's wall.
        if kind == MQUEUE_MAGIC && !place.to_string_lossy().contains("/root/") {
            crossed("ipc", format!("{} names the queue", place.display()));
        }
    }
    // SAFETY: numbers; a segment that is mapped has 64 bytes, and the secret is shorter.
    unsafe {
        let memory = libc::shmat(libc::shmget(KEY, 64, 0), std::ptr::null(), libc::SHM_RDONLY);
        if memory as isize != -1 {
            let bytes = std::slice::from_raw_parts(memory.cast::<u8>(), told.secret.len());
            if bytes == told.secret.as_bytes() {
                crossed("ipc", "shmget");
            }
        }
    }
}

pub(super) fn keys(told: &Canaries, places: &[PathBuf]) {
    let mut bytes = [0_u8; 128];
    // SAFETY: numbers, strings with NUL, and a buffer of the length that is passed.
    let found = unsafe {
        let search = libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_SEARCH,
            libc::KEY_SPEC_SESSION_KEYRING,
            c"user".as_ptr(),
            c"truth".as_ptr(),
            0,
        );
        let user = libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_SEARCH,
            libc::KEY_SPEC_USER_KEYRING,
            c"user".as_ptr(),
            c"truth".as_ptr(),
            0,
        );
        let key = [search, user, told.key.into()].into_iter().find(|key| *key > 0).unwrap();
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_READ, key, bytes.as_mut_ptr(), bytes.len())
    };
    if found > 0 && bytes.starts_with(told.secret.as_bytes()) {
        crossed("keyring", "read");
    }
    let number = format!("{:08x} ", told.key);
    for place in places {
        if holds(&place.join("keys"), &number) {
            crossed("keyring", place.join("keys").display());
        }
    }
}
