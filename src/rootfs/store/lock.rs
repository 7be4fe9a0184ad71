//! Locks of the store: a file each, flock(2), so that the kernel gives them back however their holder ends. Shared by who uses a tree,
//! exclusive for who makes or removes it.

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, stat, unlink};
use rustix::io::{Errno, Result};
use std::path::{Path, PathBuf};

/// A lock that is held until it is dropped, in this process and in those that inherit it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _held: OwnedFd,
}

impl Lock {
    /// Waits for a lock, and makes its file where it is missing.
    ///
    /// # Errors
    /// Those of open(2); EWOULDBLOCK for an operation that does not wait.
    pub(super) fn take(path: &Path, operation: FlockOperation) -> Result<Self> {
        loop {
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?;
            rustix::io::retry_on_intr(|| flock(&file, operation))?;
            // Who held it before may have removed the file: then this is a lock that nobody else can find.
            match (fstat(&file), stat(path)) {
                (Ok(held), Ok(found)) if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino) => {
                    return Ok(Self { path: path.to_owned(), _held: file });
                }
                (Err(errno), _) => return Err(errno),
                (_, Err(errno)) if errno != Errno::NOENT => return Err(errno),
                _ => {}
            }
        }
    }

    /// Gives an exclusive lock back, and removes its file: whatever it stood for is gone.
    pub(super) fn remove(self) {
        let _ = unlink(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_lock_is_taken_anew_by_who_waited_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path, FlockOperation::LockExclusive).unwrap();
        let waiter = {
            let path = path.clone();
            std::thread::spawn(move || Lock::take(&path, FlockOperation::LockExclusive).unwrap())
        };
        assert_eq!(Lock::take(&path, FlockOperation::NonBlockingLockExclusive).unwrap_err(), Errno::WOULDBLOCK);
        first.remove();
        let second = waiter.join().unwrap();
        assert!(path.exists());
        assert_eq!(Lock::take(&path, FlockOperation::NonBlockingLockShared).unwrap_err(), Errno::WOULDBLOCK);
        drop(second);
        Lock::take(&path, FlockOperation::NonBlockingLockShared).unwrap();
    }
}
