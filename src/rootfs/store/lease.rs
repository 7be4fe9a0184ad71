//! A tree that is used: its lock is held, so that nobody removes it.

use super::layout::{Access, Store, TREE};
use super::lock::{Lock, Use};
use super::open::Making;
use super::record::Record;
use crate::error::Failure;
use crate::rootfs::builtin;
use crate::rootfs::image::ImageRecord;
use crate::rootfs::watch::{Progress, Watch};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// A tree of the store, which nobody removes while this is held, in this process or one that it
/// forked.
#[derive(Debug)]
pub struct LeasedTree {
    /// The directory of its files.
    pub tree: PathBuf,
    /// The image's digest.
    pub digest: String,
    /// What was unpacked, where it was unpacked just now.
    pub unpacked: Option<Record>,
    /// What is known of it, but of the built-in root where owners are what they are.
    pub record: Option<Record>,
    pub(super) _lock: Option<Lock>,
}

impl LeasedTree {
    /// What its program is, where it was an image in layers.
    pub fn image(&self) -> Option<&ImageRecord> {
        self.record.as_ref()?.image.as_ref()
    }
}

/// Why a lock was not waited for any longer.
enum LockError {
    Errno(Errno),
    Ended(Failure),
    /// What it was for is done.
    Settled,
}

impl From<Errno> for LockError {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Store {
    /// A tree that is there, with its lock. With nothing to be made it is only named.
    pub(super) fn held(
        &self,
        digest: &str,
        making: Making,
        watch: &mut dyn Watch,
    ) -> Result<Option<LeasedTree>, Failure> {
        let tree = self.image(digest).join(TREE);
        if making == Making::No {
            return Ok(Some(LeasedTree {
                tree,
                digest: digest.to_owned(),
                unpacked: None,
                record: self.known(digest),
                _lock: None,
            }));
        }
        if !tree.is_dir() {
            return Ok(None);
        }
        let lock = match self.access {
            Access::Written => self.waited(&self.lock(digest), Use::Shared, watch)?,
            // A copy of a store may have no locks; then nobody else looks for them either.
            Access::ReadOnly => Lock::take_known(&self.lock(digest), Use::Shared)
                .or_else(|_| Lock::take_known(&tree, Use::Shared))
                .map_err(|errno| self.failed(errno))?,
        };
        lock.touch();
        // Until the lock was there it could be removed.
        Ok(tree.is_dir().then(|| LeasedTree {
            tree,
            digest: digest.to_owned(),
            unpacked: None,
            record: self.known(digest),
            _lock: Some(lock),
        }))
    }

    /// The record, where who uses the tree needs it.
    fn known(&self, digest: &str) -> Option<Record> {
        let is_plain = digest == builtin::DIGEST && self.keeper.ids.is_none();
        (!is_plain).then(|| self.record(digest)).flatten()
    }

    /// A lock, when others have given it back.
    pub(super) fn waited(
        &self,
        path: &Path,
        how: Use,
        watch: &mut dyn Watch,
    ) -> Result<Lock, Failure> {
        let look = || watch.look(Progress::default()).map_err(LockError::Ended);
        Lock::wait(path, how, look).map_err(|waiting| self.not_waited(waiting))
    }

    /// The lock to make a tree under; `None` once the tree is there: whoever has made it uses it, and
    /// keeps its lock for as long as his container lives.
    pub(super) fn lock_to_make(
        &self,
        digest: &str,
        watch: &mut dyn Watch,
    ) -> Result<Option<Lock>, Failure> {
        let look = || match self.image(digest).is_dir() {
            true => Err(LockError::Settled),
            false => watch.look(Progress::default()).map_err(LockError::Ended),
        };
        match Lock::wait(&self.lock(digest), Use::Exclusive, look) {
            Ok(lock) => Ok(Some(lock)),
            Err(LockError::Settled) => Ok(None),
            Err(waiting) => Err(self.not_waited(waiting)),
        }
    }

    fn not_waited(&self, waiting: LockError) -> Failure {
        match waiting {
            LockError::Errno(errno) => self.failed(errno),
            LockError::Ended(failure) => failure,
            LockError::Settled => self.failed(Errno::EXIST),
        }
    }
}
