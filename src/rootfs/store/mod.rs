//! The store: one directory for each image, named by the sha256 of its archive, staged, locked and
//! renamed, never changed after that.
//!
//! ```text
//!   roots/DIGEST/tree         the files
//!   roots/DIGEST/record.json  what was unpacked, from what, when
//!   names/NAME                → ../roots/DIGEST
//!   seen/DEVICE-INODE         archives that were hashed already
//!   staging/KEY/              half an image
//!   locks/KEY                 exclusive while it is made or removed, shared while it is used
//!   runs/                     directories of runs without a mount namespace
//!   names.lock                while a name is given or taken away
//! ```

mod digest_cache;
mod lock;
mod names;
mod staging;

pub use names::{ImageMatch, Listed, Removed, SHORT, has, is_digest, is_name, taken};

use crate::error::{Failure, errno_of};
use crate::host::Host;
use crate::namespace::Switch;
use crate::rootfs::archive::Archive;
use crate::rootfs::remove;
use crate::rootfs::report::UnpackReport;
use crate::rootfs::watch::{Progress, Watch};
use crate::rootfs::writer::{UnpackLimits, UnpackRights};
use digest_cache::FileStamp;
use lock::{Lock, Use};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder};
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
    rights: UnpackRights,
}

/// A tree of the store, which nobody removes while this is held, in this process or one that it
/// forked.
#[derive(Debug)]
pub struct LeasedTree {
    /// The files.
    pub tree: PathBuf,
    /// The image's digest.
    pub digest: String,
    /// What was unpacked, where it was unpacked just now.
    pub unpacked: Option<Record>,
    _lock: Option<Lock>,
}

/// An archive whose digest is known.
pub struct Identified {
    /// Its sha256.
    pub digest: String,
    /// How its file looked before it was read for that.
    new: Option<FileStamp>,
}

/// What an image is, as its `record.json` has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Where the archive was, for people: a path, or what else it came from.
    pub source: String,
    /// How it was compressed, as in `tar.gz`.
    pub format: String,
    /// Its length in bytes.
    pub archive_bytes: u64,
    /// When it was unpacked, in seconds since 1970.
    pub unpacked_at: u64,
    /// What was made.
    pub report: UnpackReport,
}

/// Why a lock was not waited for any longer.
enum LockError {
    Errno(Errno),
    Ended(Failure),
}

impl From<Errno> for LockError {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// A symlink on the way to a store that somebody else has made, and could make anew.
fn foreign_link(root: &Path, host: &Host) -> Option<String> {
    root.ancestors().find_map(|path| {
        let stat = fs::symlink_metadata(path).ok()?;
        let foreign = stat.is_symlink() && stat.uid() != host.uid && stat.uid() != 0;
        foreign.then(|| format!("{} is a symlink of uid {}", path.display(), stat.uid()))
    })
}

const PARTS: [&str; 6] = ["roots", "names", "seen", "locks", "staging", "runs"];

/// The directory of the files in an image's.
const TREE: &str = "tree";
const RECORD: &str = "record.json";

impl Store {
    /// Opens the store, making it with mode 0700 where it is missing, and sweeps what an
    /// interrupted unpack has left. `None` where it cannot be made or written by this user, and was
    /// not asked for by name.
    ///
    /// # Errors
    /// A store that belongs to somebody else, and one that was asked for by name and cannot be
    /// written.
    pub fn open(
        root: &Path,
        host: &Host,
        by_name: Switch,
        making: Making,
    ) -> Result<Option<Self>, Failure> {
        let store = Self { root: root.to_owned(), rights: UnpackRights::of(host) };
        if making == Making::No {
            // It could be made where the nearest folder that is there can be written.
            let there = root.ancestors().find(|path| path.exists());
            let writable = there
                .is_some_and(|path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok());
            return Ok(writable.then_some(store));
        }
        let failed = |errno: Errno| {
            Failure::new(format!("cannot use the store {}", root.display())).errno(errno)
        };
        // Before anything is made: a refused store is left as it was.
        if let Some(why) = foreign_link(root, host).or_else(|| store.strange(host)) {
            // One that this user cannot write anyway is passed over, unless it was asked for.
            let writable = rustix::fs::access(root, rustix::fs::Access::WRITE_OK).is_ok();
            return match by_name {
                Switch::No if !writable => Ok(None),
                _ => Err(failed(Errno::ACCESS).why(why)),
            };
        }
        let is_missing = |part: &&&str| !root.join(part).exists();
        let missing: Vec<_> = PARTS.iter().filter(is_missing).collect();
        let made = missing.iter().try_for_each(|part| {
            DirBuilder::new().recursive(true).mode(0o700).create(root.join(part))
        });
        match made {
            // What was there has been looked at already.
            Ok(())
                if !missing.is_empty()
                    && let Some(why) = store.strange(host) =>
            {
                Err(failed(Errno::ACCESS).why(why))
            }
            Ok(_)
                if rustix::fs::access(root.join("roots"), rustix::fs::Access::WRITE_OK).is_ok() =>
            {
                store.sweep();
                Ok(Some(store))
            }
            _ if by_name == Switch::No => Ok(None),
            Ok(_) => Err(failed(Errno::ROFS)),
            Err(error) => Err(failed(errno_of(&error))),
        }
    }

    /// Why somebody else could put root file systems into the store.
    fn strange(&self, host: &Host) -> Option<String> {
        std::iter::once(self.root.clone())
            .chain(PARTS.iter().map(|part| self.root.join(part)))
            .find_map(|path| {
                let stat = if path == self.root {
                    fs::metadata(&path)
                } else {
                    fs::symlink_metadata(&path)
                }
                .ok()?;
                let at = path.display();
                match stat {
                    stat if stat.uid() != host.uid => Some(format!(
                        "{at} belongs to uid {}, and root file systems in it would be theirs",
                        stat.uid()
                    )),
                    stat if !stat.is_dir() => Some(format!("{at} is no directory")),
                    stat if stat.mode() & 0o022 != 0 => Some(format!(
                        "{at} can be written by others (mode {:o})",
                        stat.mode() & 0o777
                    )),
                    _ => None,
                }
            })
    }

    /// Opens a store to look at it: it may be read-only, or not there. One that can be written is
    /// swept.
    ///
    /// # Errors
    /// A store that belongs to somebody else.
    pub fn open_to_look(root: &Path, host: &Host) -> Result<Self, Failure> {
        let making = if root.exists() { Making::Yes } else { Making::No };
        let opened = Self::open(root, host, Switch::No, making)?;
        Ok(opened.unwrap_or_else(|| Self { root: root.to_owned(), rights: UnpackRights::of(host) }))
    }

    /// Where runs without a mount namespace have their directories.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

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
            Some(held) => held,
            None => self.unpacked(archive, &digest, limits, watch)?,
        };
        if let (Some(look), Making::Yes) = (new, making) {
            look.remember(&self.root.join("seen"), &digest);
        }
        Ok(held)
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
            _ => None,
        };
        match look.as_ref().and_then(|look| look.digest(&self.root.join("seen"))) {
            Some(digest) => Ok(Identified { digest, new: None }),
            None => Ok(Identified { digest: archive.digest(watch)?, new: look }),
        }
    }

    /// A tree that is there, with its lock. With nothing to be made it is only named.
    fn held(
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
                _lock: None,
            }));
        }
        if !tree.is_dir() {
            return Ok(None);
        }
        let lock = self.waited(&self.lock(digest), Use::Shared, watch)?;
        // Until the lock was there it could be removed.
        Ok(tree.is_dir().then(|| LeasedTree {
            tree,
            digest: digest.to_owned(),
            unpacked: None,
            _lock: Some(lock),
        }))
    }

    /// Removes what killed unpacks have left: a lock that is free and stands for no image, and the
    /// staging directory that it stood for.
    fn sweep(&self) {
        for entry in fs::read_dir(self.root.join("locks")).into_iter().flatten().flatten() {
            let key = entry.file_name().to_string_lossy().into_owned();
            if self.image(&key).exists() {
                continue;
            }
            if let Ok(lock) = Lock::take(&self.lock(&key), Use::Exclusive)
                && !self.image(&key).exists()
            {
                let _ = remove::tree(&self.staging(&key));
                lock.remove();
            }
        }
    }

    /// A lock, when others have given it back.
    fn waited(&self, path: &Path, how: Use, watch: &mut dyn Watch) -> Result<Lock, Failure> {
        Lock::wait(path, how, || watch.look(Progress::default()).map_err(LockError::Ended)).map_err(
            |waiting| match waiting {
                LockError::Errno(errno) => self.failed(errno),
                LockError::Ended(failure) => failure,
            },
        )
    }

    fn image(&self, digest: &str) -> PathBuf {
        self.root.join("roots").join(digest)
    }

    fn staging(&self, key: &str) -> PathBuf {
        self.root.join("staging").join(key)
    }

    fn lock(&self, key: &str) -> PathBuf {
        self.root.join("locks").join(key)
    }

    fn names_lock(&self) -> PathBuf {
        self.root.join("names.lock")
    }

    fn failed(&self, errno: Errno) -> Failure {
        Failure::new(format!("cannot write to the store {}", self.root.display())).errno(errno)
    }

    fn failed_io(&self, error: &std::io::Error) -> Failure {
        self.failed(errno_of(error))
    }
}
