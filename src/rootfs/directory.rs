//! Unpacking into a directory of the user's: a new one appears whole or not at all, an empty one is
//! filled at the end, and of a failed unpack nothing stays. What a killed one has left is swept by
//! the next.

use crate::beneath;
use crate::error::Failure;
use crate::namespace::Switch;
use crate::rootfs::unpack::Unpacked;
use crate::rootfs::writer::times_of;
use crate::rootfs::{copy, remove, run_directory};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    CWD, Dir, FlockOperation, Gid, Mode, OFlags, RenameFlags, Stat, Uid, XattrFlags, fchmod,
    fchown, flock, fremovexattr, fsetxattr, fstat, futimens, mkdirat, openat, renameat_with, stat,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the names of unfinished unpacks begin with, in the directory that is filled or beside the
/// one that is made.
const PREFIX: &str = ".rustic-unpack-";

/// An empty directory to unpack into, with the mode of a root that the archive has no entry for.
/// New entries inherit nothing from it.
///
/// # Errors
/// EEXIST, EACCES, ENOSPC.
pub(super) fn make(path: &Path) -> rustix::io::Result<OwnedFd> {
    let dir = private(path)?;
    fchmod(&dir, Mode::from_raw_mode(0o755))?;
    Ok(dir)
}

/// A new directory for its owner alone, which has inherited neither a group nor access control
/// lists.
fn private(path: &Path) -> rustix::io::Result<OwnedFd> {
    mkdirat(CWD, path, Mode::RWXU)?;
    let dir = open(path)?;
    fchown(&dir, None, Some(getegid()))?;
    without_lists(dir.as_fd())?;
    fchmod(&dir, Mode::RWXU)?;
    Ok(dir)
}

fn without_lists(dir: BorrowedFd<'_>) -> rustix::io::Result<()> {
    ["system.posix_acl_default", "system.posix_acl_access"].into_iter().try_for_each(|list| {
        match fremovexattr(dir, list) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            result => result,
        }
    })
}

/// Fills `target` by way of a staging directory that `unpack` is given.
///
/// # Errors
/// A target that is there and no empty directory of the caller's, one that cannot be made, and what
/// `unpack` fails with; then nothing of it stays.
pub(super) fn fill(
    target: &Path,
    unpack: impl FnOnce(BorrowedFd<'_>) -> Result<Unpacked, Failure>,
) -> Result<Unpacked, Failure> {
    let failed = |errno: Errno| {
        Failure::new(format!("cannot unpack into {}", target.display())).errno(errno)
    };
    let (parent, into) = match stat(target) {
        Ok(stat) if stat.st_uid != geteuid().as_raw() && !geteuid().is_root() => {
            return Err(failed(Errno::PERM).why(format!("it belongs to uid {}", stat.st_uid)));
        }
        Ok(_) => (target.to_owned(), Some(open_to_fill(target).map_err(failed)?)),
        Err(Errno::NOENT) => (
            target
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new("."))
                .to_owned(),
            None,
        ),
        Err(errno) => return Err(failed(errno)),
    };
    sweep(&parent);
    if let Some(into) = &into
        && !names(into.as_fd()).map_err(failed)?.is_empty()
    {
        return Err(Failure::new(format!("{} is not empty", target.display()))
            .why("what is there would be mixed with the archive")
            .remedy("a new directory, or an empty one"));
    }
    let staging = Staging::make(&parent).map_err(failed)?;
    let done = unpack(staging.tree.as_fd())?;
    match into {
        None => staging.take_place(target).map_err(failed)?,
        Some(into) => staging.pour(into.as_fd(), done.root_named).map_err(failed)?,
    }
    Ok(done)
}

/// An unfinished unpack: a tree in a directory that lets nobody else in, locked while its process
/// lives, removed when it is dropped.
struct Staging {
    path: PathBuf,
    shell: OwnedFd,
    tree: OwnedFd,
}

const TREE: &CStr = c"tree";

impl Staging {
    fn make(parent: &Path) -> rustix::io::Result<Self> {
        loop {
            let path = parent.join(format!("{PREFIX}{}", run_directory::random()?));
            let shell = private(&path)?;
            flock(&shell, FlockOperation::LockExclusive)?;
            // Between the two calls it looked abandoned, and a sweep may have taken it.
            if is_at(&shell, &path) {
                return match make(&path.join("tree")) {
                    Ok(tree) => Ok(Self { path, shell, tree }),
                    Err(errno) => {
                        let _ = remove::tree(&path);
                        Err(errno)
                    }
                };
            }
        }
    }

    /// The tree takes the target's place, which nobody has taken meanwhile.
    fn take_place(&self, target: &Path) -> rustix::io::Result<()> {
        let name = CString::new(target.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
        moved(self.shell.as_fd(), TREE, CWD, &name)
    }

    /// Moves everything up, all of it or nothing, and gives the directory what the archive says of
    /// its root.
    fn pour(self, into: BorrowedFd<'_>, root_named: Switch) -> rustix::io::Result<()> {
        let root = fstat(&self.tree)?;
        // It may be closed already, and nothing could be moved out of it.
        fchmod(&self.tree, Mode::RWXU)?;
        let mut up = Vec::new();
        let poured = names(self.tree.as_fd()).and_then(|all| {
            for name in all {
                moved(self.tree.as_fd(), &name, into, &name)?;
                up.push(name);
            }
            if root_named == Switch::No {
                Ok(())
            } else {
                dress(into, &root, &copy::attributes(&self.tree)?)
            }
        });
        if poured.is_err() {
            for name in up {
                let _ = moved(into, &name, self.tree.as_fd(), &name);
            }
            return poured;
        }
        // Removing the staging directory is the last that changes the time.
        drop(self);
        if root_named == Switch::No { Ok(()) } else { futimens(into, &times_of(&root)) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = remove::tree(&self.path);
    }
}

/// Gives a directory the owner, attributes and mode of another.
fn dress(
    dir: BorrowedFd<'_>,
    like: &Stat,
    attributes: &[(Vec<u8>, Vec<u8>)],
) -> rustix::io::Result<()> {
    let stat = fstat(dir)?;
    if (stat.st_uid, stat.st_gid) != (like.st_uid, like.st_gid) {
        fchown(dir, Some(Uid::from_raw(like.st_uid)), Some(Gid::from_raw(like.st_gid)))?;
    }
    without_lists(dir)?;
    fchmod(dir, Mode::from_raw_mode(like.st_mode & 0o7777))?;
    attributes
        .iter()
        .try_for_each(|(name, value)| fsetxattr(dir, name.as_slice(), value, XattrFlags::empty()))
}

/// Renames; a directory that moves to another must be writable itself, for its "..", and gets its
/// mode back.
fn moved(
    from: BorrowedFd<'_>,
    old: &CStr,
    to: BorrowedFd<'_>,
    new: &CStr,
) -> rustix::io::Result<()> {
    let rename = || renameat_with(from, old, to, new, RenameFlags::NOREPLACE);
    match rename() {
        Err(Errno::ACCESS) => {}
        result => return result,
    }
    let node = openat(from, old, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let mode = Mode::from_raw_mode(fstat(&node)?.st_mode & 0o7777);
    beneath::chmod(&node, mode | Mode::WUSR)?;
    let result = rename();
    beneath::chmod(&node, mode)?;
    result
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    openat(
        CWD,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn open_to_fill(path: &Path) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn is_at(dir: &OwnedFd, path: &Path) -> bool {
    let same = |a: &Stat, b: &Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
    matches!((fstat(dir), stat(path)), (Ok(held), Ok(found)) if same(&held, &found))
}

/// Removes what killed unpacks of this user's have left in a folder: what bears the prefix, lets
/// nobody else in, and is not held. Another user's may be a trap.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let Ok(dir) = open(&entry.path()) else { continue };
        let own = fstat(&dir)
            .is_ok_and(|stat| stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o077 == 0);
        if own && flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = remove::tree(&entry.path());
        }
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
