//! The tree of an archive, whether it is in the store already or not.

use super::digest_cache::FileStamp;
use super::layout::Store;
use super::lease::LeasedTree;
use super::lock::{Lock, Use};
use super::open::Making;
use super::record::{OwnersSeen, Record};
use crate::error::Failure;
use crate::rootfs::archive::Archive;
use crate::rootfs::image::ImageChoice;
use crate::rootfs::meter::hexadecimal;
use crate::rootfs::watch::Watch;
use crate::rootfs::writer::UnpackLimits;
use sha2::{Digest, Sha256};

/// The digest that a tree is kept under: of the archive, and where one of its images was chosen of
/// the choice too.
pub(super) fn keyed(digest: String, choice: &ImageChoice) -> String {
    if choice.is_default() {
        return digest;
    }
    let choice = serde_json::to_string(choice).unwrap_or_default();
    hexadecimal(&Sha256::digest(format!("{digest} {choice}")))
}

/// An archive whose digest is known.
pub struct Identified {
    /// Its sha256.
    pub digest: String,
    /// How its file looked before it was read for that, and the digest of all of it.
    new: Option<(FileStamp, String)>,
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
        choice: &ImageChoice,
        making: Making,
        limits: UnpackLimits,
        watch: &mut dyn Watch,
    ) -> Result<LeasedTree, Failure> {
        if archive.comes_once() {
            return self.streamed((archive, choice), limits, watch);
        }
        let Identified { digest, new } = self.identify(archive, choice, watch)?;
        let held = match self.held(&digest, making, watch)? {
            Some(held) => self.unless_lost(held, watch)?,
            None => None,
        };
        let held = match held {
            Some(held) => held,
            None => self.unpacked((archive, choice), &digest, limits, watch)?,
        };
        if let (Some((look, whole)), Making::Yes) = (new, making) {
            look.remember(&self.root.join("seen"), &whole);
        }
        Ok(held)
    }

    /// The tree of an archive, where it is there: nothing is unpacked.
    ///
    /// # Errors
    /// An archive that cannot be read.
    pub fn known_tree(
        &self,
        archive: &Archive,
        choice: &ImageChoice,
        watch: &mut dyn Watch,
    ) -> Result<Option<LeasedTree>, Failure> {
        if archive.comes_once() {
            return Ok(None);
        }
        let digest = self.identify(archive, choice, watch)?.digest;
        self.held(&digest, Making::Yes, watch)
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
        choice: &ImageChoice,
        watch: &mut dyn Watch,
    ) -> Result<Identified, Failure> {
        let look = match archive {
            Archive::File(path) => FileStamp::at(path),
            Archive::Builtin | Archive::Layout(_) | Archive::Stdin | Archive::Stream(_) => None,
        };
        match look.as_ref().and_then(|look| look.digest(&self.root.join("seen"))) {
            Some(digest) => Ok(Identified { digest: keyed(digest, choice), new: None }),
            None => {
                let whole = archive.digest(watch)?;
                let new = look.map(|look| (look, whole.clone()));
                Ok(Identified { digest: keyed(whole, choice), new })
            }
        }
    }
}
