//! Making an image: unpacked into a staging directory under a lock, brought to the disk, renamed to
//! where it belongs.

use super::layout::{RECORD, Store, TREE};
use super::lease::LeasedTree;
use super::lock::Use;
use super::open::Making;
use super::record::Record;
use super::tree::keyed;
use crate::error::Failure;
use crate::rootfs::archive::Archive;
use crate::rootfs::image::ImageChoice;
use crate::rootfs::meter::Hashing;
use crate::rootfs::stream::Threads;
use crate::rootfs::unpack::{Unpack, Unpacked};
use crate::rootfs::watch::Watch;
use crate::rootfs::writer::UnpackLimits;
use crate::rootfs::{directory, remove, run_directory};
use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, openat, renameat_with, syncfs};
use rustix::io::Errno;
use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

impl Store {
    /// Unpacks an archive, unless somebody else did so while the lock was waited for.
    pub(super) fn unpacked(
        &self,
        wanted: (&Archive, &ImageChoice),
        digest: &str,
        limits: UnpackLimits,
        watch: &mut dyn Watch,
    ) -> Result<LeasedTree, Failure> {
        let mut made = None;
        loop {
            let lock = self.lock_to_make(digest, watch)?;
            if let Some(lock) = lock.filter(|_| !self.image(digest).is_dir()) {
                match self.stage(wanted, digest, limits, watch).and_then(|(found, record)| {
                    // What is in the store under a digest is what has that digest, also when the
                    // file was changed after it was hashed.
                    if found != digest {
                        let _ = self.keeper.remove(&self.staging(digest));
                        return Err(wanted
                            .0
                            .blame(Failure::new("it was changed while it was read")));
                    }
                    self.settle(digest, digest).map(|()| record)
                }) {
                    Ok(record) => made = Some(record),
                    Err(failure) => {
                        lock.remove();
                        return Err(failure);
                    }
                }
            }
            if let Some(held) = self.held(digest, Making::Yes, watch)? {
                return Ok(LeasedTree { unpacked: made, ..held });
            }
        }
    }

    /// Unpacks what comes once, whose digest is known at the end only.
    pub(super) fn streamed(
        &self,
        wanted: (&Archive, &ImageChoice),
        limits: UnpackLimits,
        watch: &mut dyn Watch,
    ) -> Result<LeasedTree, Failure> {
        let key = run_directory::random().map_err(|errno| self.failed(errno))?;
        let own = self.waited(&self.lock(&key), Use::Exclusive, watch)?;
        let staged = self.stage(wanted, &key, limits, watch);
        let settled = staged.and_then(|(digest, record)| {
            let lock = self.lock_to_make(&digest, watch)?;
            let known = self.image(&digest).is_dir();
            if known {
                self.keeper.remove(&self.staging(&key)).map_err(|errno| self.failed(errno))?;
            } else {
                self.settle(&key, &digest)?;
            }
            drop(lock);
            let held =
                self.held(&digest, Making::Yes, watch)?.ok_or_else(|| self.failed(Errno::NOENT))?;
            Ok(LeasedTree { unpacked: (!known).then_some(record), ..held })
        });
        own.remove();
        settled
    }

    /// Unpacks into a staging directory under a lock that the caller holds; the digest of what was
    /// read.
    fn stage(
        &self,
        wanted: (&Archive, &ImageChoice),
        key: &str,
        limits: UnpackLimits,
        watch: &mut dyn Watch,
    ) -> Result<(String, Record), Failure> {
        let staging = self.staging(key);
        self.keeper.remove(&staging).map_err(|errno| self.not_swept(&staging, errno))?;
        let result = self.keeper.with(watch, |watch| {
            let staged = self.stage_into(&staging, wanted, limits, watch);
            if staged.is_err() {
                // Here, for who has started this may have been killed.
                let _ = remove::tree(&staging);
            }
            staged
        });
        if result.is_err() {
            let _ = self.keeper.remove(&staging);
        }
        result
    }

    fn stage_into(
        &self,
        staging: &Path,
        (archive, choice): (&Archive, &ImageChoice),
        limits: UnpackLimits,
        watch: &mut dyn Watch,
    ) -> Result<(String, Record), Failure> {
        DirBuilder::new().mode(0o700).create(staging).map_err(|error| self.failed_io(&error))?;
        let tree = directory::make(&staging.join(TREE)).map_err(|errno| self.failed(errno))?;
        let unpack = Unpack {
            rights: self.keeper.rights(),
            limits,
            threads: Threads::Two,
            hashing: Hashing::Wanted,
            renumber: None,
            choice,
            watch,
        };
        let Unpacked { report, length, digest, format, image, .. } =
            unpack.unpack(archive, tree.as_fd())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let record = Record {
            source: archive.to_string(),
            format,
            archive_bytes: length,
            unpacked_at: now,
            report,
            ids: self.keeper.ids.clone(),
            image,
        };
        let text = serde_json::to_vec_pretty(&record)
            .map_err(|error| Failure::new(format!("cannot write the record: {error}")))?;
        let mut record_file = fs::OpenOptions::new();
        let created = record_file.write(true).create_new(true).mode(0o600);
        created
            .open(staging.join(RECORD))
            .and_then(|mut file| file.write_all(&text))
            .map_err(|error| self.failed_io(&error))?;
        Ok((keyed(digest.unwrap_or_default(), choice), record))
    }

    /// What an interrupted unpack has left cannot be removed.
    fn not_swept(&self, staging: &Path, errno: Errno) -> Failure {
        let failure = Failure::new(format!("cannot remove {}", staging.display())).errno(errno);
        match self.keeper.refused() {
            Some(why) => failure
                .why(format!("an unpack with subordinate ids has left it, and {why}"))
                .remedy("the same where newuidmap works")
                .man("newuidmap(1)"),
            None => failure,
        }
    }

    /// Moves a staged image to where it belongs, when it is on the disk: after a loss of power a
    /// tree under its digest is whole.
    fn settle(&self, key: &str, digest: &str) -> Result<(), Failure> {
        let staging = self.staging(key);
        let settled = openat(
            CWD,
            &staging,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .and_then(syncfs)
        .and_then(|()| {
            renameat_with(CWD, &staging, CWD, self.image(digest), RenameFlags::NOREPLACE)
        });
        settled.map_err(|errno| {
            let _ = self.keeper.remove(&staging);
            self.failed(errno)
        })
    }
}
