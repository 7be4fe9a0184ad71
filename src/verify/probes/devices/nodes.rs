//! Which nodes count.

use rustix::fs::{FileType, Stat, major, minor};

/// Whether a file is a device that has nothing behind it: null, zero, full, random, urandom, tty
/// and ptmx, Documentation/admin-guide/devices.txt.
pub fn is_harmless(stat: &Stat) -> bool {
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && matches!(device, (1, 3 | 5 | 7 | 8 | 9) | (5, 0 | 2))
}

/// Whether a node is opened: a disk, and of character devices mem, port, kmsg, tun, fuse and kvm.
pub(super) fn is_opened(stat: &Stat) -> bool {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => true,
        FileType::CharacterDevice => {
            let device = (major(stat.st_rdev), minor(stat.st_rdev));
            matches!(device, (1, 1 | 4 | 11) | (10, 200 | 229 | 232))
        }
        _ => false,
    }
}
