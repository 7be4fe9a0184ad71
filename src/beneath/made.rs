//! Mount targets that are made in a directory of somebody else's, and taken away again.
//!
//! What was made bears a mark: it is empty, and its time of modification is one that no clock
//! gives. Whoever puts something into it or writes to it changes that time, and then it is no
//! longer what was made. So every run knows what another one has made, also after all of them were
//! killed; and who uses it holds a shared lock on it, flock(2): only the last one takes it away.

use super::lookup::Kind;
use super::make::{as_the_owner_of, flags, make, remove_unfinished, share, unmake};
use super::mark::{PAUSES, is_marked, keeping_the_mark, pause, settled};
use super::{kept_open, open};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, flock, fstat, statat};
use rustix::io::{Errno, Result};
use std::path::{Path, PathBuf};

/// A mount target that was made, or that is shared with the run that has made it.
#[derive(Debug)]
pub struct MadeTarget {
    parent: OwnedFd,
    name: PathBuf,
    /// Itself, with the shared lock.
    file: OwnedFd,
}

/// Whether a directory is one that a run has made, once nobody is changing it.
pub fn is_made(parent: BorrowedFd<'_>, name: &Path) -> bool {
    open(parent, name, flags(Kind::Directory), Mode::empty())
        .and_then(settled)
        .is_ok_and(|stat| is_marked(&stat))
}

impl MadeTarget {
    /// Makes it, or shares it with who has made it. `None` for what was there and is no run's.
    ///
    /// As root it is made with the rights of the directory's owner, and is his: through whatever
    /// place a race has led to, nothing happens that he could not do himself.
    ///
    /// # Errors
    /// EROFS, EACCES; EBUSY where somebody has held an exclusive lock on it for ten seconds.
    pub fn claim(parent: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<Option<Self>> {
        for _ in 0..PAUSES {
            match Self::try_claim(parent, name, kind) {
                // Made by another run meanwhile, just being taken away by one, or locked by it.
                Err(Errno::EXIST | Errno::NOENT | Errno::AGAIN) => pause(),
                claimed => return claimed,
            }
        }
        Err(Errno::BUSY)
    }

    fn try_claim(parent: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<Option<Self>> {
        let file = match open(parent, name, flags(kind), Mode::empty()) {
            Err(Errno::NOENT) => {
                as_the_owner_of(parent, || keeping_the_mark(parent, || make(parent, name, kind)))?
            }
            // Not of this kind, or nothing that can be opened: no run has made it.
            Err(Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::NXIO) => return Ok(None),
            found => found?,
        };
        if !is_marked(&settled(&file)?) {
            return Ok(None);
        }
        share(&file)?;
        let parent = kept_open(parent)?;
        let claimed = Self { parent, name: name.to_owned(), file };
        // Between the look and the lock it may have been taken away.
        if claimed.is_there() { Ok(Some(claimed)) } else { Err(Errno::NOENT) }
    }

    /// The same that another process of this run has claimed, with that one's lock. By its name
    /// what is mounted on it by now would be found.
    pub fn claimed(parent: OwnedFd, name: PathBuf, file: OwnedFd) -> Self {
        Self { parent, name, file }
    }

    /// Another descriptor of it, with the same lock.
    ///
    /// # Errors
    /// EMFILE.
    pub fn file(&self) -> Result<OwnedFd> {
        kept_open(self.file.as_fd())
    }

    /// Whether another one is the same file.
    pub fn is_same(&self, other: &Self) -> bool {
        match (fstat(&self.file), fstat(&other.file)) {
            (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
            _ => false,
        }
    }

    /// Whether the name still is this very file.
    fn is_there(&self) -> bool {
        let now = statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        match (fstat(&self.file), now) {
            (Ok(own), Ok(now)) => (own.st_dev, own.st_ino) == (now.st_dev, now.st_ino),
            _ => false,
        }
    }

    /// Takes it away, if no other run uses it, and it is as it was made. To do so again changes
    /// nothing.
    ///
    /// # Errors
    /// EACCES, EROFS.
    pub fn remove(&self) -> Result<()> {
        // The own lock becomes an exclusive one, or is given up: then another run is the last.
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN) => return Ok(()),
            // A file system without locks: then nobody else has one either.
            Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(errno) => return Err(errno),
        }
        let stat = fstat(&self.file)?;
        if !is_marked(&stat) || !self.is_there() {
            return Ok(());
        }
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            _ => Kind::File,
        };
        let parent = self.parent.as_fd();
        let removed = as_the_owner_of(parent, || {
            keeping_the_mark(parent, || match unmake(parent, &self.name, kind) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    remove_unfinished(self.file.as_fd())?;
                    unmake(parent, &self.name, kind)
                }
                removed => removed,
            })
        });
        match removed {
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            removed => removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::mark::mark;
    use std::fs::{self, File};

    struct Dir(tempfile::TempDir, File);

    impl Dir {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = File::open(dir.path()).unwrap();
            Self(dir, file)
        }

        fn claim(&self, name: &str, kind: Kind) -> Option<MadeTarget> {
            MadeTarget::claim(self.1.as_fd(), Path::new(name), kind).unwrap()
        }

        fn has(&self, name: &str) -> bool {
            self.0.path().join(name).exists()
        }
    }

    #[test]
    fn the_last_one_takes_it_away() {
        for kind in [Kind::Directory, Kind::File] {
            let dir = Dir::new();
            let first = dir.claim("x", kind).unwrap();
            let second = dir.claim("x", kind).unwrap();
            first.remove().unwrap();
            assert!(dir.has("x"));
            second.remove().unwrap();
            assert!(!dir.has("x"));
            second.remove().unwrap();
        }
    }

    #[test]
    fn what_was_left_by_a_run_that_was_killed_is_the_next_ones() {
        let dir = Dir::new();
        drop(dir.claim("x", Kind::Directory).unwrap());
        dir.claim("x", Kind::Directory).unwrap().remove().unwrap();
        assert!(!dir.has("x"));
    }

    #[test]
    fn what_is_the_users_own_stays() {
        let dir = Dir::new();
        fs::create_dir(dir.0.path().join("mine")).unwrap();
        fs::write(dir.0.path().join("empty"), "").unwrap();
        assert!(dir.claim("mine", Kind::Directory).is_none());
        assert!(dir.claim("empty", Kind::File).is_none());
        // What was put into it, or in its place, too.
        let made = dir.claim("x", Kind::Directory).unwrap();
        fs::write(dir.0.path().join("x/y"), "").unwrap();
        made.remove().unwrap();
        assert!(dir.has("x/y"));
        let made = dir.claim("f", Kind::File).unwrap();
        fs::remove_file(dir.0.path().join("f")).unwrap();
        fs::write(dir.0.path().join("f"), "").unwrap();
        made.remove().unwrap();
        assert!(dir.has("f"));
        let made = dir.claim("g", Kind::File).unwrap();
        fs::write(dir.0.path().join("g"), "content").unwrap();
        made.remove().unwrap();
        assert!(dir.has("g"));
    }

    #[test]
    fn one_that_was_made_in_another_leaves_the_other_as_it_was_made() {
        let dir = Dir::new();
        let outer = dir.claim("a", Kind::Directory).unwrap();
        let within = Dir(tempfile::tempdir().unwrap(), File::open(dir.0.path().join("a")).unwrap());
        let inner = within.claim("b", Kind::File).unwrap();
        assert!(dir.has("a/b"));
        // In the wrong order the outer one is not empty yet.
        outer.remove().unwrap();
        assert!(dir.has("a/b"));
        inner.remove().unwrap();
        outer.remove().unwrap();
        assert!(!dir.has("a"));
    }

    #[test]
    fn what_a_killed_run_has_not_finished_is_removed() {
        let dir = Dir::new();
        let path = |name: &str| dir.0.path().join(name);
        for unfinished in [".rustic-aaaaaaaaaaaaaaaa", ".rustic-bbbbbbbbbbbbbbbb"] {
            fs::create_dir(path(unfinished)).unwrap();
        }
        fs::write(path(".rustic-cccccccccccccccc"), "").unwrap();
        // With content, with another name, or with somebody who is at it: it is not to go.
        fs::write(path(".rustic-bbbbbbbbbbbbbbbb/mine"), "").unwrap();
        fs::write(path(".rustic-dddddddddddddddd"), "mine").unwrap();
        fs::write(path(".rustic-short"), "").unwrap();
        fs::write(path(".rustic-eeeeeeeeeeeeeeee"), "").unwrap();
        let used = File::open(path(".rustic-eeeeeeeeeeeeeeee")).unwrap();
        flock(&used, FlockOperation::NonBlockingLockShared).unwrap();
        let made = dir.claim("x", Kind::Directory).unwrap();
        for (letter, stays) in [('a', false), ('b', true), ('c', false), ('d', true), ('e', true)] {
            let name = format!(".rustic-{}", letter.to_string().repeat(16));
            assert_eq!(dir.has(&name), stays, "{name}");
        }
        assert!(dir.has(".rustic-short"));
        // In what is taken away itself, too.
        fs::create_dir(path("x/.rustic-aaaaaaaaaaaaaaaa")).unwrap();
        mark(&made.file).unwrap();
        made.remove().unwrap();
        assert!(!dir.has("x"));
    }

    #[test]
    fn who_asks_whether_it_was_made_is_in_nobodys_way() {
        let dir = Dir::new();
        let path = dir.0.path().join("x");
        fs::create_dir(&path).unwrap();
        let end = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !end.load(std::sync::atomic::Ordering::Relaxed) {
                    assert!(!is_made(dir.1.as_fd(), Path::new("x")));
                }
            });
            for _ in 0..2_000 {
                let own = File::open(&path).unwrap();
                flock(&own, FlockOperation::NonBlockingLockShared).unwrap();
            }
            end.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
