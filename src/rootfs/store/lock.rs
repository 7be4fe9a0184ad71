//! Locks of the store: a file each, flock(2), so that the kernel gives them back however their
//! holder ends. Shared by who uses a tree, exclusive for who makes or removes it.

use rustix::fd::OwnedFd;
use rustix::fs::{
    CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, flock, fstat, futimens,
    openat, stat, unlink,
};
use rustix::io::{Errno, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A lock that is held until it is dropped, in this process and in those that inherit it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _held: OwnedFd,
}

/// How long a waiter goes between two looks: flock(2) cannot be polled, and one that blocks would
/// not hear a signal.
const PATIENCE: Duration = Duration::from_millis(20);

/// Who uses a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Many at a time.
    Shared,
    /// One, and no sharer beside it.
    Exclusive,
}

impl Use {
    const fn operation(self) -> FlockOperation {
        match self {
            Self::Shared => FlockOperation::NonBlockingLockShared,
            Self::Exclusive => FlockOperation::NonBlockingLockExclusive,
        }
    }
}

impl Lock {
    /// Waits for a lock, and makes its file where it is missing. `look` is called while it is
    /// waited for, and may end that.
    ///
    /// # Errors
    /// Those of open(2), and what `look` fails with.
    pub(super) fn wait<E: From<Errno>>(
        path: &Path,
        how: Use,
        mut look: impl FnMut() -> std::result::Result<(), E>,
    ) -> std::result::Result<Self, E> {
        loop {
            match Self::take(path, how) {
                Err(Errno::WOULDBLOCK) => look()?,
                taken => return Ok(taken?),
            }
            std::thread::sleep(PATIENCE);
        }
    }

    /// Takes a lock that is free.
    ///
    /// # Errors
    /// EWOULDBLOCK for one that is not, and those of open(2).
    pub(super) fn take(path: &Path, how: Use) -> Result<Self> {
        loop {
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?;
            rustix::io::retry_on_intr(|| flock(&file, how.operation()))?;
            // Who held it before may have removed the file: then this is a lock that nobody else
            // can find.
            match (fstat(&file), stat(path)) {
                (Ok(held), Ok(found))
                    if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino) =>
                {
                    return Ok(Self { path: path.to_owned(), _held: file });
                }
                (Err(errno), _) => return Err(errno),
                (_, Err(errno)) if errno != Errno::NOENT => return Err(errno),
                _ => {}
            }
        }
    }

    /// Takes a free lock where nothing can be made: of what is there, opened for reading.
    ///
    /// # Errors
    /// Those of [`Lock::take`], and ENOENT.
    pub(super) fn take_known(path: &Path, how: Use) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(CWD, path, flags, Mode::empty())?;
        rustix::io::retry_on_intr(|| flock(&file, how.operation()))?;
        Ok(Self { path: path.to_owned(), _held: file })
    }

    /// Says that what it stands for was used now.
    pub(super) fn touch(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ = futimens(&self._held, &Timestamps { last_access: now, last_modification: now });
    }

    /// Gives an exclusive lock back, and removes its file: whatever it stood for is gone.
    pub(super) fn remove(self) {
        let _ = unlink(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(path: &Path, how: Use) -> Lock {
        Lock::wait(path, how, || Ok::<(), Errno>(())).unwrap()
    }

    #[test]
    fn a_removed_lock_is_taken_anew_by_who_waited_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = waited(&path, Use::Exclusive);
        let waiter = {
            let path = path.clone();
            std::thread::spawn(move || waited(&path, Use::Exclusive))
        };
        assert_eq!(Lock::take(&path, Use::Exclusive).unwrap_err(), Errno::WOULDBLOCK);
        first.remove();
        let second = waiter.join().unwrap();
        assert!(path.exists());
        assert_eq!(Lock::take(&path, Use::Shared).unwrap_err(), Errno::WOULDBLOCK);
        drop(second);
        let third = Lock::take(&path, Use::Shared).unwrap();
        Lock::take(&path, Use::Shared).unwrap();
        assert_eq!(
            Lock::wait(&path, Use::Exclusive, || Err(Errno::INTR)).unwrap_err(),
            Errno::INTR,
            "a waiter can be ended"
        );
        drop(third);
    }
}
