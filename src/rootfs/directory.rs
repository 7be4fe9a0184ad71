//! Unpacking into a directory of the user's: a new one appears whole or not at all, an empty one is filled at the end, and of a failed
//! unpack nothing stays. What a killed one has left is swept by the next.

use crate::failure::Failure;
use crate::rootfs::{copy, remove, run_directory};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    CWD, Dir, FlockOperation, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, UTIME_OMIT, XattrFlags, fchmod, fchown, flock,
    fremovexattr, fsetxattr, fstat, futimens, mkdirat, openat, renameat_with, stat,
};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the names of unfinished unpacks begin with, in the directory that is filled or beside the one that is made.
const PREFIX: &str = ".rustic-unpack-";

/// An empty directory to unpack into, with the mode of a root that the archive has no entry for. New entries inherit nothing from it.
///
/// # Errors
/// EEXIST, EACCES, ENOSPC.
pub(super) fn make(path: &Path) -> rustix::io::Result<OwnedFd> {
    mkdirat(CWD, path, Mode::RWXU)?;
    let dir = open(path)?;
    for list in ["system.posix_acl_default", "system.posix_acl_access"] {
        match fremovexattr(&dir, list) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    fchmod(&dir, Mode::from_raw_mode(0o755))?;
    Ok(dir)
}

/// Fills `target` by way of a staging directory that `unpack` is given.
///
/// # Errors
/// A target that is there and no empty directory, one that cannot be made, and what `unpack` fails with; then nothing of it stays.
pub(super) fn fill<T>(target: &Path, unpack: impl FnOnce(BorrowedFd<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
    let failed = |errno: Errno| Failure::new(format!("cannot unpack into {}", target.display())).errno(errno);
    let (parent, into) = match stat(target) {
        Ok(_) => (target.to_owned(), Some(open_to_fill(target).map_err(failed)?)),
        Err(Errno::NOENT) => (target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned(), None),
        Err(errno) => return Err(failed(errno)),
    };
    sweep(&parent);
    if let Some(into) = &into
        && !names(into.as_fd()).map_err(failed)?.is_empty()
    {
        return Err(Failure::new(format!("{} is not empty", target.display())).why("what is there would be mixed with the archive"));
    }
    let staging = Staging::make(&parent).map_err(failed)?;
    if let Some(into) = &into {
        // Where the archive has no entry for its root, the directory stays as it was.
        let stat = fstat(into).map_err(failed)?;
        let _ = fchown(&staging.dir, Some(rustix::fs::Uid::from_raw(stat.st_uid)), Some(rustix::fs::Gid::from_raw(stat.st_gid)));
        fchmod(&staging.dir, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(failed)?;
    }
    let done = unpack(staging.dir.as_fd())?;
    match into {
        None => staging.take_place(target).map_err(failed)?,
        Some(into) => staging.pour(into.as_fd()).map_err(failed)?,
    }
    Ok(done)
}

/// An unfinished unpack: locked while its process lives, removed when it is dropped.
struct Staging {
    path: PathBuf,
    dir: OwnedFd,
}

impl Staging {
    fn make(parent: &Path) -> rustix::io::Result<Self> {
        loop {
            let path = parent.join(format!("{PREFIX}{}", run_directory::random()?));
            let dir = make(&path)?;
            flock(&dir, FlockOperation::LockExclusive)?;
            // Between the two calls it looked abandoned, and a sweep may have taken it.
            if is_at(&dir, &path) {
                return Ok(Self { path, dir });
            }
        }
    }

    /// Takes the target's place, which nobody has taken meanwhile.
    fn take_place(self, target: &Path) -> rustix::io::Result<()> {
        renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE)
    }

    /// Moves everything up, all of it or nothing, and gives the directory what the archive says of its root.
    fn pour(self, into: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let root = fstat(&self.dir)?;
        let all = names(self.dir.as_fd())?;
        for (at, name) in all.iter().enumerate() {
            if let Err(errno) = renameat_with(&self.dir, name, into, name, RenameFlags::NOREPLACE) {
                for moved in &all[..at] {
                    let _ = renameat_with(into, moved, &self.dir, moved, RenameFlags::NOREPLACE);
                }
                return Err(errno);
            }
        }
        fchown(into, Some(rustix::fs::Uid::from_raw(root.st_uid)), Some(rustix::fs::Gid::from_raw(root.st_gid)))?;
        for (name, value) in copy::attributes(&self.dir)? {
            fsetxattr(into, name.as_slice(), &value, XattrFlags::empty())?;
        }
        fchmod(into, Mode::from_raw_mode(root.st_mode & 0o7777))?;
        // Removing the staging directory is the last that changes the time.
        drop(self);
        futimens(into, &mtime_of(&root))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Once it has become the target it is not here any more.
        let _ = remove::tree(&self.path);
    }
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn open_to_fill(path: &Path) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn is_at(dir: &OwnedFd, path: &Path) -> bool {
    let same = |a: &Stat, b: &Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
    matches!((fstat(dir), stat(path)), (Ok(held), Ok(found)) if same(&held, &found))
}

/// Removes what killed unpacks have left in a folder: what bears the prefix and nobody holds.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        if let Ok(dir) = open(&entry.path())
            && flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            let _ = remove::tree(&entry.path());
        }
    }
}

fn mtime_of(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    }
}

fn names(dir: BorrowedFd<'_>) -> rustix::io::Result<Vec<CString>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if ![c".", c".."].contains(&name.as_c_str()) {
            found.push(name);
        }
    }
    Ok(found)
}
