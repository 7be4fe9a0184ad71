//! The mark of what was made: a time of modification that no clock gives.

use super::open;
use crate::error::of_nix;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::event::{Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat, Timestamps, fstat, futimens};
use rustix::io::Result;
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;

/// Seconds since 1970, even, since FAT keeps two at a time: a moment in 2013 with the letters
/// "Rust".
const MARK: Timespec = Timespec { tv_sec: 0x5275_7374, tv_nsec: 0 };

/// Whether it is as it was made.
pub(super) fn is_marked(stat: &Stat) -> bool {
    let is_so = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => true,
        FileType::RegularFile => stat.st_size == 0 && stat.st_nlink == 1,
        _ => false,
    };
    is_so && (stat.st_mtime, stat.st_mtime_nsec) == (MARK.tv_sec, 0)
}

/// What a file is like when nobody is about to mark it again: while a run makes something in a
/// directory that was made, that has no mark. Such a one was changed just now, and is locked.
///
/// # Errors
/// EBADF for an O_PATH descriptor.
pub(super) fn settled(file: impl AsFd) -> Result<Stat> {
    for _ in 0..PAUSES {
        let stat = fstat(&file)?;
        if is_marked(&stat) || !was_changed_just_now(&stat) {
            return Ok(stat);
        }
        if !is_used(&file) {
            // It may have got its mark, and lost its last user, since it was looked at.
            return fstat(&file);
        }
        pause();
    }
    fstat(file)
}

/// So often is another run waited for: ten seconds.
pub(super) const PAUSES: usize = 2_000;

/// Five milliseconds.
pub(super) fn pause() {
    const TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
    let _ = poll(&mut [], Some(&TIME));
}

/// Says that a run uses a file, as long as the descriptor is open: by a read lock of the open file
/// description, fcntl_locking(2). Who asks for it takes no lock, and so is in nobody's way.
pub(super) fn use_file(file: impl AsFd) -> Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock(libc::F_RDLCK))).map(drop).map_err(of_nix)
}

/// Whether a run uses it. Where the file system has no locks nobody says so.
fn is_used(file: impl AsFd) -> bool {
    let mut found = lock(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut found)).is_ok()
        && libc::c_int::from(found.l_type) != libc::F_UNLCK
}

/// A lock of the whole file.
fn lock(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn was_changed_just_now(stat: &Stat) -> bool {
    const SECONDS: i64 = 2;
    let now = clock_gettime(ClockId::Realtime).tv_sec;
    (now - stat.st_mtime).abs() <= SECONDS
}

/// Marks it.
///
/// # Errors
/// EPERM for another user's.
pub(super) fn mark(file: impl AsFd) -> Result<()> {
    futimens(file, &Timestamps { last_access: MARK, last_modification: MARK })
}

/// A directory that was made itself is as it was made, whatever is made in it and removed.
pub(super) fn keeping_the_mark<T>(
    parent: BorrowedFd<'_>,
    change: impl FnOnce() -> Result<T>,
) -> Result<T> {
    // One that may not be read is nobody's who would mark it.
    let whole =
        open(parent, Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).ok();
    let marked = whole.filter(|dir| settled(dir).is_ok_and(|stat| is_marked(&stat)));
    let changed = change();
    // What failed may have changed it too. Another user's cannot be marked.
    let _ = marked.map_or(Ok(()), mark);
    changed
}
