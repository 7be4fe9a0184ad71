//! Namespaces that are those of the outside, or can be entered, and mounts that travel there.

use super::attempt::{apart, crossed, holds};
use crate::canaries::{Canaries, NAME};
use std::ffi::CString;
use std::fs::{self};
use std::path::{Path, PathBuf};

pub(super) fn names(_: &Canaries, _: &[PathBuf]) {
    let mut name = [0_u8; 65];
    // SAFETY: the buffer has the length that is passed.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    if String::from_utf8_lossy(&name).trim_end_matches('\0') == NAME {
        crossed("uts", "gethostname");
        // SAFETY: a string and its length.
        unsafe { libc::sethostname(c"crossed".as_ptr(), 7) };
    }
}

pub(super) fn clocks(told: &Canaries, _: &[PathBuf]) {
    same(told, "time");
}

/// Whether this process is in a namespace of the outside.
fn same(told: &Canaries, one: &str) -> bool {
    let ours = told.namespaces.iter().find(|(name, _)| name == one).map(|(_, link)| link.clone());
    let entry = if one == "pid" { "pid_for_children" } else { one };
    let is = fs::read_link(format!("/proc/self/ns/{entry}"))
        .is_ok_and(|link| Some(link.to_string_lossy().into_owned()) == ours);
    if is {
        crossed(one, "namespace");
    }
    is
}

/// Enters what can be entered, through every proc that shows the process, and by its number.
pub(super) fn namespaces(told: &Canaries, places: &[PathBuf]) {
    for one in ["uts", "ipc", "net", "mnt", "pid", "cgroup", "time"] {
        let inside = fs::read_link(format!("/proc/self/ns/{one}"));
        let outside = told.namespaces.iter().find(|(name, _)| name == one).unwrap();
        if inside.is_ok_and(|link| link.to_string_lossy() == outside.1) {
            crossed(one, "namespace");
            continue;
        }
        apart(one, || {
            let by_proc = places.iter().any(|place| {
                let path = place.join(format!("{}/ns/{one}", told.pid));
                let path = CString::new(path.to_string_lossy().into_owned()).unwrap();
                // SAFETY: a string with NUL, and numbers.
                unsafe {
                    let link = libc::open(path.as_ptr(), libc::O_RDONLY);
                    link >= 0 && libc::setns(link, 0) == 0
                }
            });
            if by_proc {
                crossed(one, "setns");
                let below = Path::new("/").join(told.dir.trim_start_matches('/'));
                if one == "mnt" && holds(&below.join("secret"), &told.secret) {
                    crossed("root", "setns");
                }
            }
        });
    }
}

/// Into a mount namespace that tells no other of what is done in it.
fn private() -> bool {
    let none = std::ptr::null();
    // SAFETY: numbers, and strings with NUL.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(none, c"/".as_ptr(), none, libc::MS_PRIVATE | libc::MS_REC, none.cast())
                == 0
    }
}

fn uncover(place: &std::ffi::CStr) -> bool {
    // SAFETY: a string with NUL, and a number.
    unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) == 0 }
}

/// Takes away what covers a /proc, and looks at what was below.
pub(super) fn covered(told: &Canaries) {
    let link = |one: &str| format!("/proc/{}/ns/{one}", told.pid);
    // By its words, which everybody may read: it is a copy of the process that waits outside.
    let words = format!("outside\0{}\0", told.dir);
    let there = || {
        let line = fs::read(format!("/proc/{}/cmdline", told.pid)).unwrap_or_default();
        line.windows(words.len()).any(|part| part == words.as_bytes())
    };
    if there() || !private() {
        return;
    }
    while !there() {
        if !uncover(c"/proc") {
            return;
        }
    }
    crossed("pid", "below what covers /proc");
    for one in ["uts", "ipc", "net", "mnt", "cgroup", "time"] {
        apart(one, || {
            let path = CString::new(link(one)).unwrap();
            // SAFETY: a string with NUL, and numbers.
            let entered = unsafe { libc::setns(libc::open(path.as_ptr(), libc::O_RDONLY), 0) };
            if entered == 0 {
                crossed(one, "setns below what covers /proc");
            }
        });
    }
}

/// Takes away the root, and looks at what was below.
pub(super) fn beneath(told: &Canaries) {
    if !private() {
        return;
    }
    let below = Path::new("/").join(told.dir.trim_start_matches('/')).join("secret");
    // SAFETY: a number of this process, and flags.
    let own = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) } as i32;
    for _ in 0..8 {
        // SAFETY: a descriptor and a number.
        if unsafe { libc::setns(own, libc::CLONE_NEWNS) } != 0 {
            return;
        }
        if holds(&below, &told.secret) {
            crossed("root", "below its own root");
            return;
        }
        if !uncover(c"/") {
            return;
        }
    }
}

pub(super) fn mounts(told: &Canaries) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let ties = table.lines().flat_map(|line| line.split(" - ").next().unwrap().split(' ').skip(6));
    let groups = ties.filter_map(|tie| tie.split_once(':').map(|(_, group)| group.to_owned()));
    if groups.into_iter().any(|group| told.peers.contains(&group)) {
        crossed("mnt", "a mount is tied to the outside's");
    }
    let source = CString::new(format!("{}-mount", told.secret)).unwrap();
    for dir in ["/tmp", "/mnt", "/"].map(|dir| CString::new(dir).unwrap()) {
        // SAFETY: strings with NUL.
        let mounted = unsafe {
            let none = std::ptr::null();
            libc::mount(source.as_ptr(), dir.as_ptr(), c"tmpfs".as_ptr(), 0, none)
        };
        if mounted == 0 {
            return;
        }
    }
}
