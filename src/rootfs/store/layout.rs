//! Where everything lies in a store.

use crate::error::{Failure, errno_of};
use crate::rootfs::keeper::{FileIds, Keeper};
use rustix::io::Errno;
use std::path::PathBuf;

/// A store: one that can be written, or one whose images are used as they are.
#[derive(Debug)]
pub struct Store {
    pub(super) root: PathBuf,
    pub(super) keeper: Keeper,
    pub(super) access: Access,
}

/// What can be done with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Images come and go.
    Written,
    /// What is there is used.
    ReadOnly,
}

/// The directories of a store.
pub(super) const PARTS: [&str; 6] = ["roots", "names", "seen", "locks", "staging", "runs"];

/// The directory of the files in an image's.
pub(super) const TREE: &str = "tree";
/// The name of its record there.
pub(super) const RECORD: &str = "record.json";

impl Store {
    /// Where runs without a mount namespace have their directories, if anything can be made here.
    pub fn runs(&self) -> Option<PathBuf> {
        (self.access == Access::Written).then(|| self.root.join("runs"))
    }

    /// Why newuidmap(1) or newgidmap(1) does not map the caller's subordinate ids, once that was
    /// tried for a tree.
    pub fn refused(&self) -> Option<String> {
        self.keeper.refused()
    }

    /// The ids that its files are given now; none where every id is itself.
    pub fn ids(&self) -> Option<&FileIds> {
        self.keeper.ids.as_ref()
    }

    /// Tries whether the caller's subordinate ids can be mapped.
    ///
    /// # Errors
    /// What newuidmap(1) or newgidmap(1) said.
    pub fn try_ids(&self) -> Result<(), String> {
        self.keeper.prepare().map_err(|failure| failure.why.unwrap_or_default())
    }

    pub(super) fn image(&self, digest: &str) -> PathBuf {
        self.root.join("roots").join(digest)
    }

    pub(super) fn staging(&self, key: &str) -> PathBuf {
        self.root.join("staging").join(key)
    }

    pub(super) fn lock(&self, key: &str) -> PathBuf {
        self.root.join("locks").join(key)
    }

    pub(super) fn names_lock(&self) -> PathBuf {
        self.root.join("names.lock")
    }

    pub(super) fn failed(&self, errno: Errno) -> Failure {
        Failure::new(format!("cannot write to the store {}", self.root.display())).errno(errno)
    }

    pub(super) fn failed_io(&self, error: &std::io::Error) -> Failure {
        self.failed(errno_of(error))
    }
}
