//! The store: one directory for each image, named by the sha256 of its archive, staged, locked and renamed, never changed after that.
//!
//! ```text
//!   images/DIGEST/    the tree          images/DIGEST.lock   held while it is unpacked
//!   staging/DIGEST/   half a tree       runs/                directories of runs without a mount namespace
//! ```

use crate::failure::Failure;
use crate::rootfs::archive::Archive;
use crate::rootfs::extract::{self, Devices, Owners};
use crate::rootfs::remove;
use rustix::fd::AsFd;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, fchmod, flock, openat, renameat_with};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Whether something may be made now, or is only looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// It may.
    Yes,
    /// Nothing is made, as `--dry-run` has it.
    No,
}

/// A store that can be written.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    owners: Owners,
}

impl Store {
    /// Opens the store, making it with mode 0700 where it is missing, and sweeps what an interrupted unpack has left. `None` where it
    /// cannot be made or written by this user, and was not asked for by name.
    ///
    /// # Errors
    /// A store that belongs to somebody else, and one that was asked for by name and cannot be written.
    pub fn open(root: &Path, uid: u32, by_name: crate::namespace::Switch, making: Making) -> Result<Option<Self>, Failure> {
        let owners = if uid == 0 { Owners::Kept } else { Owners::Squashed };
        let store = Self { root: root.to_owned(), owners };
        if making == Making::No {
            // It could be made where the nearest folder that is there can be written.
            let there = root.ancestors().find(|path| path.exists());
            let writable = there.is_some_and(|path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok());
            return Ok(writable.then_some(store));
        }
        let failed = |errno: Errno| Failure::new(format!("cannot use the store {}", root.display())).errno(errno);
        let made = ["images", "staging", "runs"]
            .iter()
            .try_for_each(|part| DirBuilder::new().recursive(true).mode(0o700).create(root.join(part)))
            .and_then(|()| fs::metadata(root));
        match made {
            Ok(stat) if stat.uid() != uid => {
                Err(failed(Errno::ACCESS).why(format!("it belongs to uid {}, and root file systems in it would be theirs", stat.uid())))
            }
            Ok(_) if rustix::fs::access(root.join("images"), rustix::fs::Access::WRITE_OK).is_ok() => {
                store.sweep();
                Ok(Some(store))
            }
            _ if by_name == crate::namespace::Switch::No => Ok(None),
            Ok(_) => Err(failed(Errno::ROFS)),
            Err(error) => Err(failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
        }
    }

    /// Where runs without a mount namespace have their directories.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The tree of an archive, unpacked now if it is not there yet. When several runs need it at once, one unpacks and the others wait.
    ///
    /// # Errors
    /// An archive that cannot be read or unpacked, a full disk; then nothing is left of it.
    pub fn tree(&self, archive: &Archive, making: Making) -> Result<PathBuf, Failure> {
        let digest = archive.digest()?;
        let tree = self.root.join("images").join(&digest);
        if tree.is_dir() || making == Making::No {
            return Ok(tree);
        }
        let lock = self.lock(&digest, FlockOperation::LockExclusive).map_err(|errno| self.failed(errno))?;
        if !tree.is_dir() {
            self.unpack(archive, &digest, &tree)?;
        }
        drop(lock);
        Ok(tree)
    }

    fn unpack(&self, archive: &Archive, digest: &str, tree: &Path) -> Result<(), Failure> {
        let staging = self.staging(digest);
        remove::tree(&staging).map_err(|errno| self.failed(errno))?;
        let result = self
            .unpack_into(archive, &staging)
            .and_then(|()| renameat_with(CWD, &staging, CWD, tree, RenameFlags::NOREPLACE).map_err(|errno| self.failed(errno)));
        if result.is_err() {
            let _ = remove::tree(&staging);
        }
        result
    }

    fn unpack_into(&self, archive: &Archive, staging: &Path) -> Result<(), Failure> {
        let stream = archive.open()?;
        DirBuilder::new().mode(0o700).create(staging).map_err(|error| self.failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let dir = openat(CWD, staging, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| self.failed(errno))?;
        // An archive need not have an entry for its root.
        fchmod(&dir, Mode::from_raw_mode(0o755)).map_err(|errno| self.failed(errno))?;
        let devices = if self.owners == Owners::Kept { Devices::Made } else { Devices::Skipped };
        extract::unpack(stream, dir.as_fd(), self.owners, devices).map_err(|failure| in_archive(failure, archive))?;
        Ok(())
    }

    /// Removes what killed unpacks have left: a staging directory whose lock is free belongs to nobody.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.root.join("staging")) else { return };
        for entry in entries.flatten() {
            let digest = entry.file_name().to_string_lossy().into_owned();
            if self.lock(&digest, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let _ = remove::tree(&self.staging(&digest));
            }
        }
    }

    fn staging(&self, digest: &str) -> PathBuf {
        self.root.join("staging").join(digest)
    }

    fn lock(&self, digest: &str, operation: FlockOperation) -> rustix::io::Result<File> {
        let path = self.root.join("images").join(format!("{digest}.lock"));
        let file = openat(CWD, path, OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))?;
        flock(&file, operation)?;
        Ok(File::from(file))
    }

    fn failed(&self, errno: Errno) -> Failure {
        Failure::new(format!("cannot write to the store {}", self.root.display())).errno(errno)
    }
}

/// An unpacker's failure, with the archive named.
pub fn in_archive(failure: Failure, archive: &Archive) -> Failure {
    let what = format!("cannot unpack {archive}: {}", failure.what);
    Failure { what, ..failure }
}
