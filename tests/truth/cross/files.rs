//! Files, descriptors, terminals and devices of the outside.

use super::attempt::{apart, crossed, holds, mounted};
use crate::canaries::{BLOCKED, Canaries, UMASK, VARIABLE};
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(super) fn files(told: &Canaries, places: &[PathBuf]) {
    let below = told.dir.trim_start_matches('/');
    for place in places {
        for path in [
            place.join("secret"),
            place.join(below).join("secret"),
            place.join("root").join(below).join("secret"),
            place.join(format!("{}/root/{below}/secret", told.pid)),
        ] {
            if holds(&path, &told.secret) {
                crossed("root", path.display());
            }
        }
    }
    for place in places {
        let same = |stat: fs::Metadata| (stat.dev(), stat.ino()) == told.root;
        for root in [place.join("."), place.join("root/.")] {
            if place != Path::new("/") && fs::metadata(&root).is_ok_and(same) {
                crossed("root", root.display());
            }
        }
    }
    // What of the file system of the outside's root is mounted apart from the root, and is a
    // directory, or a file that was there before.
    for place in places.iter().filter(|place| **place != Path::new("/")) {
        let there = fs::metadata(place).is_ok_and(|stat| stat.dev() == told.root.0);
        let parent = place.parent().and_then(|parent| fs::metadata(parent).ok());
        if there && parent.is_some_and(|parent| parent.dev() != told.root.0) {
            crossed("root", format!("{} is mounted", place.display()));
        }
    }
    apart("climb", || {
        let up = ["/tmp", "/etc", "/bin"].into_iter().find(|dir| Path::new(dir).is_dir());
        // SAFETY: strings with NUL.
        unsafe {
            let Some(dir) = up.and_then(|dir| CString::new(dir).ok()) else { return };
            if libc::chroot(dir.as_ptr()) != 0 {
                return;
            }
            for _ in 0..32 {
                libc::chdir(c"..".as_ptr());
            }
            libc::chroot(c".".as_ptr());
        }
        if holds(&Path::new("/").join(below).join("secret"), &told.secret) {
            crossed("root", "climbing");
        }
    });
}

pub(super) fn descriptors(told: &Canaries, _: &[PathBuf]) {
    for fd in 3..200 {
        let mut bytes = [0_u8; 128];
        // SAFETY: the buffer has the length that is passed; a number that is none is refused.
        let length = unsafe { libc::pread(fd, bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        if length > 0 && bytes.starts_with(told.secret.as_bytes()) {
            crossed("fds", fd);
        }
    }
    if std::env::var(VARIABLE).is_ok_and(|value| value == told.secret) {
        crossed("fds", "a variable");
    }
    // SAFETY: a number; it is put back.
    let umask = unsafe { libc::umask(0) };
    // SAFETY: as above.
    unsafe { libc::umask(umask) };
    if umask == UMASK {
        crossed("fds", "the umask");
    }
    // SAFETY: zero is valid for a set of signals, and null asks.
    let blocked = unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set);
        libc::sigismember(&raw const set, BLOCKED) == 1
    };
    // SAFETY: a number that asks.
    let persona = unsafe { libc::personality(0xffff_ffff) };
    if blocked {
        crossed("fds", "a blocked signal");
    }
    if persona >= 0 && persona & libc::ADDR_NO_RANDOMIZE != 0 {
        crossed("fds", "the personality");
    }
    let again =
        OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK).open("/proc/self/fd/0");
    if let Ok(mut file) = again
        && file.metadata().is_ok_and(|stat| stat.is_file())
    {
        let _ = file.write_all(b"crossed");
    }
    // A device is nobody's to be changed, whoever may.
    if fs::metadata("/proc/self/fd/0").is_ok_and(|stat| stat.file_type().is_char_device()) {
        return;
    }
    // SAFETY: a number and a mode.
    unsafe { libc::fchmod(0, 0o640) };
    let _ = fs::set_permissions("/proc/self/fd/0", fs::Permissions::from_mode(0o640));
}

pub(super) fn terminals(told: &Canaries, places: &[PathBuf]) {
    let own = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let size = libc::winsize { ws_row: 9, ws_col: 999, ws_xpixel: 0, ws_ypixel: 0 };
    for fd in [2, own.as_ref().map_or(2, AsRawFd::as_raw_fd)] {
        // SAFETY: a descriptor, and a byte and a size that live through the calls.
        unsafe {
            libc::ioctl(fd, libc::TIOCSTI, c"Z".as_ptr());
            libc::ioctl(fd, libc::TIOCSWINSZ, &raw const size);
        }
    }
    let (device, inode, number) = &told.terminal;
    for place in places {
        if fs::metadata(place.join(number))
            .is_ok_and(|stat| stat.dev() == *device && stat.ino() == *inode)
        {
            crossed("terminal", place.join(number).display());
        }
    }
}

fn opens_a_disk(dir: &Path, depth: u32) -> Option<PathBuf> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten().take(500) {
        let (path, kind) = (entry.path(), entry.file_type().ok()?);
        // Memory, ports, the kernel's log, tun, fuse and kvm lead to the machine as disks do.
        let leads = [(1, 1), (1, 4), (1, 11), (10, 200), (10, 229), (10, 232)];
        let number = entry.metadata().map_or(0, |stat| stat.rdev());
        let number = (libc::major(number), libc::minor(number));
        if kind.is_block_device() || kind.is_char_device() && leads.contains(&number) {
            let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
            if opened.is_ok() {
                return Some(path);
            }
        } else if kind.is_dir()
            && depth > 0
            && let Some(found) = opens_a_disk(&path, depth - 1)
        {
            return Some(found);
        }
    }
    None
}

pub(super) fn devices(told: &Canaries, places: &[PathBuf]) {
    for place in places
        .iter()
        .filter(|place| place.ends_with("dev") || place.parent() == Some(Path::new("/")))
    {
        let deep = u32::from(place.ends_with("dev"));
        if let Some(disk) = opens_a_disk(place, deep) {
            crossed("devices", disk.display());
        }
    }
    let own = mounted("tmpfs");
    for folder in ["/tmp", "/dev", "/run", "/"].map(|dir| CString::new(dir).unwrap()) {
        // SAFETY: a string with NUL, and numbers.
        let fd = unsafe { libc::open(folder.as_ptr(), libc::O_PATH | libc::O_DIRECTORY) };
        for dir in [own.unwrap_or(-1), fd] {
            for (major, minor) in &told.disks {
                // SAFETY: a descriptor, or -1, a string with NUL, and numbers.
                let opened = unsafe {
                    let device = libc::makedev(*major, *minor);
                    let name = c"truth-node".as_ptr();
                    if libc::mknodat(dir, name, libc::S_IFBLK | 0o600, device) != 0 {
                        continue;
                    }
                    let opened = libc::openat(dir, name, libc::O_RDONLY | libc::O_NONBLOCK);
                    libc::unlinkat(dir, name, 0);
                    opened
                };
                if dir >= 0 && opened >= 0 {
                    crossed("devices", "mknod");
                }
            }
        }
    }
    if let Some(nodes) = mounted("devtmpfs")
        && let Some(disk) = opens_a_disk(&PathBuf::from(format!("/proc/self/fd/{nodes}")), 1)
    {
        crossed("devices", disk.display());
    }
}
