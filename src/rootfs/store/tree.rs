//! The tree of an archive, whether it is in the store already or not.

use super::digest_cache::FileStamp;
use super::layout::Store;
use super::lease::LeasedTree;
use super::lock::{Lock, Use};
use super::open::Making;
use super::record::{OwnersSeen, Record};
use crate::error::Failure;
use crate::rootfs::archive::Archive;
use crate::rootfs::watch::Watch;
use crate::rootfs::writer::UnpackLimits;

/// An archive whose digest is known.
pub struct Identified {
    /// Its sha256.
    pub digest: String,
    /// How its file looked before it was read for that.
    new: Option<FileStamp>,
}

impl Store {
    /// The tree of an archive, unpacked now if it is not there yet. When several runs need it at
    /// once, one unpacks and the others wait.
    ///
    /// # Errors
    /// An archive that cannot be read or unpacked, a full disk; then nothing is left of it.
    pub fn tree(
        &self,
        archive: &Archive,
        making: Making,
        limits: UnpackLimits,
        watch: &mut dyn Watch,
    ) -> Result<LeasedTree, Failure> {
        if archive.comes_once() {
            return self.streamed(archive, limits, watch);
        }
        let Identified { digest, new } = self.identify(archive, watch)?;
        let held = match self.held(&digest, making, watch)? {
            Some(held) => self.unless_lost(held, watch)?,
            None => None,
        };
        let held = match held {
            Some(held) => held,
            None => self.unpacked(archive, &digest, limits, watch)?,
        };
        if let (Some(look), Making::Yes) = (new, making) {
            look.remember(&self.root.join("seen"), &digest);
        }
        Ok(held)
    }

    /// Removes a tree whose owners were lost where they can be kept now, so that it is unpacked
    /// anew; not one that has a name, or that is used.
    fn unless_lost(
        &self,
        held: LeasedTree,
        watch: &mut dyn Watch,
    ) -> Result<Option<LeasedTree>, Failure> {
        let ids = self.keeper.ids.as_ref();
        let is_lost = |record: &Record| record.owners_seen(ids) == OwnersSeen::Lost;
        if !held.record.as_ref().is_some_and(is_lost) || self.is_named(&held.digest)? {
            return Ok(Some(held));
        }
        let digest = held.digest.clone();
        drop(held);
        if Lock::take(&self.lock(&digest), Use::Exclusive).is_ok() {
            let _ = self.remove(&digest);
        }
        self.held(&digest, Making::Yes, watch)
    }

    /// The digest of an archive: by how its file looks, where that is known, or by reading it.
    ///
    /// # Errors
    /// An archive that cannot be read.
    pub fn identify(
        &self,
        archive: &Archive,
        watch: &mut dyn Watch,
    ) -> Result<Identified, Failure> {
        let look = match archive {
            Archive::File(path) => FileStamp::at(path),
            Archive::Builtin | Archive::Stdin | Archive::Stream(_) => None,
        };
        match look.as_ref().and_then(|look| look.digest(&self.root.join("seen"))) {
            Some(digest) => Ok(Identified { digest, new: None }),
            None => Ok(Identified { digest: archive.digest(watch)?, new: look }),
        }
    }
}
