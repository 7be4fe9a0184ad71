//! What a tree has, counted at the end: layers replace and remove what those below them have made.

use crate::beneath;
use crate::error::Failure;
use crate::rootfs::report::UnpackReport;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is there in the end, but for one name in the root, in place of what was counted on the way.
/// Before directories are closed that their owner may not enter.
///
/// # Errors
/// A directory that cannot be read.
pub(super) fn counts(root: BorrowedFd<'_>, aside: Option<&str>) -> Result<UnpackReport, Failure> {
    let mut counted = UnpackReport { directories: 1, ..UnpackReport::default() };
    let counting = walk(root, aside, &mut counted);
    counting.map_err(|errno| Failure::new("cannot count what was unpacked").errno(errno))?;
    Ok(counted)
}

fn walk(
    root: BorrowedFd<'_>,
    aside: Option<&str>,
    counted: &mut UnpackReport,
) -> Result<(), Errno> {
    let mut inodes = BTreeSet::new();
    // By their paths: there may be more levels than descriptors.
    let mut next = vec![Vec::new()];
    while let Some(path) = next.pop() {
        let is_root = path.is_empty();
        let place = if is_root { Path::new(".") } else { Path::new(OsStr::from_bytes(&path)) };
        let mut names = Dir::new(beneath::directory(root, place)?)?;
        while let Some(entry) = names.next() {
            let name = entry?.file_name().to_owned();
            let is_aside =
                is_root && aside.is_some_and(|aside| aside.as_bytes() == name.as_bytes());
            if [c".", c".."].contains(&name.as_c_str()) || is_aside {
                continue;
            }
            let stat = statat(names.fd()?, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                counted.directories += 1;
                let name = name.to_bytes();
                next.push(if is_root { name.to_vec() } else { [&path, &b"/"[..], name].concat() });
                continue;
            }
            one(&stat, &mut inodes, counted);
        }
    }
    Ok(())
}

/// What is no directory.
fn one(stat: &Stat, inodes: &mut BTreeSet<u64>, counted: &mut UnpackReport) {
    if stat.st_nlink > 1 && !inodes.insert(stat.st_ino) {
        counted.hard_links += 1;
        return;
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            counted.files += 1;
            counted.bytes += stat.st_size as u64;
        }
        FileType::Symlink => counted.symlinks += 1,
        FileType::Fifo => counted.fifos += 1,
        _ => counted.devices += 1,
    }
}
