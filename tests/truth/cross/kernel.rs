//! Parameters of the kernel, and the hierarchies of cgroups.

use super::attempt::{apart, crossed, mounted};
use crate::canaries::Canaries;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;

pub(super) fn cgroups(told: &Canaries, places: &[PathBuf]) {
    if !told.cgroup.is_empty() {
        for place in places {
            // A line of the table ends with the path.
            let table = fs::read_to_string(place.join("self/cgroup")).unwrap_or_default();
            if table.lines().any(|line| line.ends_with(&told.cgroup)) {
                crossed("cgroup", place.join("self/cgroup").display());
            }
        }
    }
    for place in places {
        let path = CString::new(place.to_string_lossy().into_owned()).unwrap();
        // SAFETY: zero is valid for integers; a string with NUL.
        let kind = unsafe {
            let mut stat: libc::statfs = std::mem::zeroed();
            libc::statfs(path.as_ptr(), &raw mut stat);
            stat.f_type as i64
        };
        if kind == CGROUP_SUPER_MAGIC || kind == CGROUP2_SUPER_MAGIC {
            crossed("cgroup", place.display());
        }
    }
    if mounted("cgroup2").is_some() {
        crossed("cgroup", "mount");
    }
    apart("nested", || {
        let all = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP;
        // SAFETY: numbers only.
        if unsafe { libc::unshare(all) } == 0 && mounted("cgroup2").is_some() {
            crossed("cgroup", "mount in a user namespace");
        }
    });
}

const PARAMETERS: [&str; 5] = [
    "sys/kernel/core_pattern",
    "kernel/core_pattern",
    "core_pattern",
    "sysrq-trigger",
    "mm/transparent_hugepage/enabled",
];

fn writes(path: &Path) -> bool {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).is_ok()
}

/// Files and a log that say what the outside's say.
fn told_of_the_machine(told: &Canaries, places: &[PathBuf]) {
    for place in places {
        for (file, line) in &told.facts {
            let text = fs::read_to_string(place.join(file)).unwrap_or_default();
            if text.lines().next() == Some(line) {
                crossed("kernel", format!("{} tells", place.join(file).display()));
            }
        }
    }
    // SAFETY: the kernel is asked how much there is, and writes nothing; number 10, klogctl(3).
    if unsafe { libc::klogctl(3, std::ptr::null_mut(), 0) } >= 0 {
        let mut text = vec![0_u8; 4096];
        // SAFETY: the buffer has the length that is passed.
        if unsafe { libc::klogctl(3, text.as_mut_ptr().cast(), 4096) } > 0 {
            crossed("kernel", "the log");
        }
    }
}

pub(super) fn kernel(told: &Canaries, places: &[PathBuf]) {
    let parameters = |how: &str| {
        for place in places {
            for file in PARAMETERS.iter().filter(|file| writes(&place.join(file))) {
                // Only where it is a parameter, and no file of somebody's with that name.
                if proc_or_sys(&place.join(file)) {
                    crossed("kernel", format!("{} {how}", place.join(file).display()));
                }
            }
            for file in
                ["kernel/uevent_helper", "power/state", "kernel/mm/transparent_hugepage/enabled"]
            {
                let path = place.join(file);
                if writes(&path) && proc_or_sys(&path) {
                    crossed("kernel", format!("{} {how}", path.display()));
                }
            }
        }
    };
    told_of_the_machine(told, places);
    parameters("there");
    if let Some(proc) = mounted("proc") {
        // SAFETY: a descriptor of this process, a string with NUL, and numbers.
        let fd = unsafe { libc::openat(proc, c"sys/kernel/core_pattern".as_ptr(), libc::O_WRONLY) };
        if fd >= 0 {
            crossed("kernel", "a proc of its own");
        }
    }
    apart("uncovered", || {
        // SAFETY: numbers, and strings with NUL.
        unsafe {
            if libc::unshare(libc::CLONE_NEWNS) != 0 {
                return;
            }
            let none = std::ptr::null();
            libc::mount(none, c"/".as_ptr(), none, libc::MS_PRIVATE | libc::MS_REC, none.cast());
            for place in places {
                for covered in ["sys", "sysrq-trigger", "sys/kernel"] {
                    let path = CString::new(place.join(covered).to_string_lossy().into_owned());
                    libc::umount2(path.unwrap().as_ptr(), libc::MNT_DETACH);
                }
            }
        }
        parameters("uncovered");
    });
}

const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const SYSFS_MAGIC: i64 = 0x6265_6572;

fn proc_or_sys(path: &Path) -> bool {
    let path = CString::new(path.to_string_lossy().into_owned()).unwrap();
    // SAFETY: zero is valid for integers; a string with NUL.
    unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        libc::statfs(path.as_ptr(), &raw mut stat) == 0
            && [PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&(stat.f_type as i64))
    }
}
