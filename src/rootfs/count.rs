//! What a tree has, counted at the end: layers replace and remove what those below them have made.

use crate::error::Failure;
use crate::rootfs::report::UnpackReport;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use std::collections::BTreeSet;

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
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut inodes = BTreeSet::new();
    // As deep as an archive may be: a descriptor each.
    let mut below = vec![Dir::new(openat(root, c".", flags, Mode::empty())?)?];
    while let Some(dir) = below.last_mut() {
        let Some(entry) = dir.next() else {
            below.pop();
            continue;
        };
        let (name, depth) = (entry?.file_name().to_owned(), below.len());
        let is_aside = aside.is_some_and(|aside| aside.as_bytes() == name.as_bytes());
        if [c".", c".."].contains(&name.as_c_str()) || (depth == 1 && is_aside) {
            continue;
        }
        let Some(dir) = below.last() else { break };
        let stat = statat(dir.fd()?, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            counted.directories += 1;
            let next = openat(dir.fd()?, &name, flags, Mode::empty())?;
            below.push(Dir::new(next)?);
            continue;
        }
        if stat.st_nlink > 1 && !inodes.insert(stat.st_ino) {
            counted.hard_links += 1;
            continue;
        }
        match kind {
            FileType::RegularFile => {
                counted.files += 1;
                counted.bytes += stat.st_size as u64;
            }
            FileType::Symlink => counted.symlinks += 1,
            FileType::Fifo => counted.fifos += 1,
            _ => counted.devices += 1,
        }
    }
    Ok(())
}
