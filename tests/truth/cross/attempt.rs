//! What every attempt needs: a process of its own, places to look at, and the word that it has
//! crossed.

use crate::canaries::Canaries;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// An attempt: what there is to be reached, and the places to look at.
pub(super) type Attempt = fn(&Canaries, &[PathBuf]);

/// Tells that a wall was crossed, and how.
pub(super) fn crossed(wall: &str, how: impl std::fmt::Display) {
    println!("crossed {wall} {how}");
}

/// In a process of its own: what one attempt does to itself is nothing to the next.
pub(super) fn apart(name: &str, attempt: impl FnOnce()) {
    // SAFETY: this program has one thread.
    match unsafe { libc::fork() } {
        0 => {
            attempt();
            let _ = std::io::stdout().flush();
            // SAFETY: ends this process and touches nothing.
            unsafe { libc::_exit(0) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: waits for the process made above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            if status != 0 {
                println!("died {name} {status}");
            }
        }
    }
}

/// Where something may be mounted: the mount table, where there is one, and folders near the root.
pub(super) fn places() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut places: Vec<PathBuf> = mounted.collect();
    let mut next = vec![(PathBuf::from("/"), 0)];
    while let Some((dir, depth)) = next.pop() {
        places.push(dir.clone());
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten().take(200);
        for entry in entries.filter(|_| depth < 2) {
            let is_number =
                entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_number {
                next.push((entry.path(), depth + 1));
            }
        }
    }
    places.sort();
    places.dedup();
    places
}

/// Whether a file has the secret near its beginning.
pub(super) fn holds(path: &Path, secret: &str) -> bool {
    let mut text = String::new();
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    file.is_ok_and(|file| file.take(4096).read_to_string(&mut text).is_ok())
        && text.contains(secret)
}

/// A new file system of a kind, mounted nowhere.
pub(super) fn mounted(kind: &str) -> Option<i32> {
    const FSCONFIG_CMD_CREATE: i32 = 6;
    let kind = CString::new(kind).unwrap();
    // SAFETY: a string with NUL, null where nothing is to be said, and numbers.
    unsafe {
        let context = libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 0);
        if context < 0 {
            return None;
        }
        let null = std::ptr::null::<libc::c_char>();
        libc::syscall(libc::SYS_fsconfig, context, FSCONFIG_CMD_CREATE, null, null, 0);
        let mount = libc::syscall(libc::SYS_fsmount, context, 0, 0);
        (mount >= 0).then_some(mount as i32)
    }
}
