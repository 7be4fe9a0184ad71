//! The store: one directory for each image, named by the sha256 of its archive, staged, locked and renamed, never changed after that.
//!
//! ```text
//!   roots/DIGEST/tree      the files            roots/DIGEST/record.json   what was unpacked, from what, when
//!   names/NAME             → ../roots/DIGEST    seen/DEVICE-INODE          archives that were hashed already
//!   staging/KEY/           half an image        locks/KEY                  exclusive while it is made or removed, shared while it is used
//!   runs/                  directories of runs without a mount namespace
//! ```

use crate::failure::Failure;
use crate::host::Host;
use crate::namespace::Switch;
use crate::rootfs::archive::{Archive, Hashing};
use crate::rootfs::lock::Lock;
use crate::rootfs::report::Report;
use crate::rootfs::seen::{self, Look};
use crate::rootfs::stream::Threads;
use crate::rootfs::unpack::{Unpack, Unpacked, Watch};
use crate::rootfs::writer::{Limits, Rights};
use crate::rootfs::{directory, remove, run_directory};
use rustix::fd::AsFd;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, openat, renameat_with, syncfs};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

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
    rights: Rights,
}

/// A tree of the store, which nobody removes while this is held, in this process or one that it forked.
#[derive(Debug)]
pub struct Held {
    /// The files.
    pub tree: PathBuf,
    /// The image's digest.
    pub digest: String,
    /// What was unpacked, where it was unpacked just now.
    pub unpacked: Option<Record>,
    _lock: Option<Lock>,
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
    pub report: Report,
}

/// An image of the store with all its names.
#[derive(Debug)]
pub struct Listed {
    /// The sha256 of its archive.
    pub digest: String,
    /// Its names, sorted; none for an archive that was only run.
    pub names: Vec<String>,
    /// What it is; `None` when the record cannot be read.
    pub record: Option<Record>,
    /// Whether a container runs on it.
    pub used: Switch,
}

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The name, and the image with it.
    Image,
    /// The name alone: the image has others.
    Name,
}

const PARTS: [&str; 6] = ["roots", "names", "seen", "locks", "staging", "runs"];

/// The directory of the files in an image's.
const TREE: &str = "tree";
const RECORD: &str = "record.json";

/// Whether a word can be the name of an image: one to 64 letters, digits, dots, hyphens and underscores, a letter or digit first.
pub fn is_name(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&word.len()) && word.bytes().all(plain) && word.as_bytes()[0].is_ascii_alphanumeric()
}

/// Whether a store has an image of this name.
pub fn has(root: &Path, name: &str) -> bool {
    is_name(name) && digest_of(root, name).is_some()
}

fn digest_of(root: &Path, name: &str) -> Option<String> {
    let target = fs::read_link(root.join("names").join(name)).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

impl Store {
    /// Opens the store, making it with mode 0700 where it is missing, and sweeps what an interrupted unpack has left. `None` where it
    /// cannot be made or written by this user, and was not asked for by name.
    ///
    /// # Errors
    /// A store that belongs to somebody else, and one that was asked for by name and cannot be written.
    pub fn open(root: &Path, host: &Host, by_name: Switch, making: Making) -> Result<Option<Self>, Failure> {
        let store = Self { root: root.to_owned(), rights: Rights::of(host) };
        if making == Making::No {
            // It could be made where the nearest folder that is there can be written.
            let there = root.ancestors().find(|path| path.exists());
            let writable = there.is_some_and(|path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok());
            return Ok(writable.then_some(store));
        }
        let failed = |errno: Errno| Failure::new(format!("cannot use the store {}", root.display())).errno(errno);
        let made = PARTS
            .iter()
            .try_for_each(|part| DirBuilder::new().recursive(true).mode(0o700).create(root.join(part)))
            .and_then(|()| fs::metadata(root));
        match made {
            Ok(stat) if stat.uid() != host.uid => {
                Err(failed(Errno::ACCESS).why(format!("it belongs to uid {}, and root file systems in it would be theirs", stat.uid())))
            }
            Ok(_) if rustix::fs::access(root.join("roots"), rustix::fs::Access::WRITE_OK).is_ok() => {
                store.sweep();
                Ok(Some(store))
            }
            _ if by_name == Switch::No => Ok(None),
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
    pub fn tree(&self, archive: &Archive, making: Making, limits: Limits, watch: &mut dyn Watch) -> Result<Held, Failure> {
        if *archive == Archive::Stdin {
            return self.streamed(limits, watch);
        }
        let look = match archive {
            Archive::File(path) => Look::at(path),
            _ => None,
        };
        let folder = self.root.join("seen");
        let known = look.as_ref().and_then(|look| look.digest(&folder));
        let fresh = known.is_none();
        let digest = known.map_or_else(|| archive.digest(), Ok)?;
        let mut held = self.held(&digest, making)?;
        if held.is_none() {
            held = Some(self.unpacked(archive, &digest, limits, watch)?);
        }
        if let (Some(look), true, Making::Yes) = (&look, fresh, making) {
            look.remember(&folder, &digest);
        }
        held.ok_or_else(|| self.failed(Errno::NOENT))
    }

    /// The tree of a name.
    ///
    /// # Errors
    /// No image of that name.
    pub fn named(&self, name: &str, making: Making) -> Result<Held, Failure> {
        let digest = digest_of(&self.root, name);
        let held = digest.map_or(Ok(None), |digest| self.held(&digest, making))?;
        held.ok_or_else(|| self.nameless(name))
    }

    /// The digest of the image that has a name.
    pub fn digest(&self, name: &str) -> Option<String> {
        digest_of(&self.root, name)
    }

    /// Gives an image a name.
    ///
    /// # Errors
    /// A name that another image has.
    pub fn name(&self, name: &str, held: &Held) -> Result<(), Failure> {
        let path = self.root.join("names").join(name);
        match rustix::fs::symlink(format!("../roots/{}", held.digest), &path) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) if self.digest(name).as_ref() == Some(&held.digest) => Ok(()),
            Err(Errno::EXIST) => Err(taken(name)),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    /// Takes a name away, or what its digest begins with; and with the last name the image.
    ///
    /// # Errors
    /// No such image, or one that a container runs on.
    pub fn remove(&self, word: &str) -> Result<Removed, Failure> {
        let images = self.list()?;
        let (digest, names) = match images.iter().find(|image| image.names.iter().any(|name| name == word)) {
            Some(image) if image.names.len() > 1 => {
                fs::remove_file(self.root.join("names").join(word)).map_err(|error| self.failed_io(&error))?;
                return Ok(Removed::Name);
            }
            Some(image) => (&image.digest, &image.names),
            None => {
                let mut found = images.iter().filter(|image| word.len() >= SHORT && image.digest.starts_with(word));
                match (found.next(), found.next()) {
                    (Some(image), None) => (&image.digest, &image.names),
                    (Some(_), Some(_)) => return Err(Failure::new(format!("several images have a digest that begins with '{word}'"))),
                    _ => return Err(self.nameless(word)),
                }
            }
        };
        let lock = match Lock::take(&self.lock(digest), FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                return Err(Failure::new(format!("cannot remove '{word}': a container runs on it")).remedy("end the container first"));
            }
            lock => lock.map_err(|errno| self.failed(errno))?,
        };
        for name in names {
            fs::remove_file(self.root.join("names").join(name)).map_err(|error| self.failed_io(&error))?;
        }
        seen::forget(&self.root.join("seen"), digest);
        // Out of sight at once; what is killed from here on is swept.
        let staging = self.staging(digest);
        remove::tree(&staging)
            .and_then(|()| renameat_with(CWD, self.image(digest), CWD, &staging, RenameFlags::NOREPLACE))
            .and_then(|()| remove::tree(&staging))
            .map_err(|errno| self.failed(errno))?;
        lock.remove();
        Ok(Removed::Image)
    }

    /// Every image, by name, those without a name last.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Failure> {
        let words = |part: &str| -> Result<Vec<String>, Failure> {
            let entries = fs::read_dir(self.root.join(part)).map_err(|error| self.failed_io(&error))?;
            let mut words: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            words.sort_unstable();
            Ok(words)
        };
        let names: Vec<_> =
            words("names")?.into_iter().filter_map(|name| digest_of(&self.root, &name).map(|digest| (name, digest))).collect();
        let mut images: Vec<_> = words("roots")?
            .into_iter()
            .map(|digest| {
                let record = fs::read(self.image(&digest).join(RECORD)).ok().and_then(|text| serde_json::from_slice(&text).ok());
                let lock = Lock::take(&self.lock(&digest), FlockOperation::NonBlockingLockExclusive);
                let used = if matches!(lock, Err(Errno::WOULDBLOCK)) { Switch::Yes } else { Switch::No };
                let names = names.iter().filter(|(_, of)| *of == digest).map(|(name, _)| name.clone()).collect();
                Listed { digest, names, record, used }
            })
            .collect();
        images.sort_by(|a, b| (a.names.is_empty(), &a.names, &a.digest).cmp(&(b.names.is_empty(), &b.names, &b.digest)));
        Ok(images)
    }

    /// A tree that is there, with its lock. With nothing to be made it is only named.
    fn held(&self, digest: &str, making: Making) -> Result<Option<Held>, Failure> {
        let tree = self.image(digest).join(TREE);
        if making == Making::No {
            return Ok(Some(Held { tree, digest: digest.to_owned(), unpacked: None, _lock: None }));
        }
        if !tree.is_dir() {
            return Ok(None);
        }
        let lock = Lock::take(&self.lock(digest), FlockOperation::LockShared).map_err(|errno| self.failed(errno))?;
        // Until the lock was there it could be removed.
        Ok(tree.is_dir().then(|| Held { tree, digest: digest.to_owned(), unpacked: None, _lock: Some(lock) }))
    }

    /// Unpacks an archive, unless somebody else did so while the lock was waited for.
    fn unpacked(&self, archive: &Archive, digest: &str, limits: Limits, watch: &mut dyn Watch) -> Result<Held, Failure> {
        let mut made = None;
        loop {
            let lock = Lock::take(&self.lock(digest), FlockOperation::LockExclusive).map_err(|errno| self.failed(errno))?;
            if !self.image(digest).is_dir() {
                match self.stage(archive, digest, limits, watch).and_then(|(found, record)| {
                    // What is in the store under a digest is what has that digest, also when the file was changed after it was hashed.
                    if found != digest {
                        let _ = remove::tree(&self.staging(digest));
                        return Err(archive.blame(Failure::new("it was changed while it was read")));
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
            drop(lock);
            if let Some(held) = self.held(digest, Making::Yes)? {
                return Ok(Held { unpacked: made, ..held });
            }
        }
    }

    /// Unpacks what comes on stdin, whose digest is known at the end only.
    fn streamed(&self, limits: Limits, watch: &mut dyn Watch) -> Result<Held, Failure> {
        let key = run_directory::random().map_err(|errno| self.failed(errno))?;
        let own = Lock::take(&self.lock(&key), FlockOperation::LockExclusive).map_err(|errno| self.failed(errno))?;
        let staged = self.stage(&Archive::Stdin, &key, limits, watch);
        let settled = staged.and_then(|(digest, record)| {
            let lock = Lock::take(&self.lock(&digest), FlockOperation::LockExclusive).map_err(|errno| self.failed(errno))?;
            let known = self.image(&digest).is_dir();
            if known {
                remove::tree(&self.staging(&key)).map_err(|errno| self.failed(errno))?;
            } else {
                self.settle(&key, &digest)?;
            }
            drop(lock);
            let held = self.held(&digest, Making::Yes)?.ok_or_else(|| self.failed(Errno::NOENT))?;
            Ok(Held { unpacked: (!known).then_some(record), ..held })
        });
        own.remove();
        settled
    }

    /// Unpacks into a staging directory under a lock that the caller holds; the digest of what was read.
    fn stage(&self, archive: &Archive, key: &str, limits: Limits, watch: &mut dyn Watch) -> Result<(String, Record), Failure> {
        let staging = self.staging(key);
        remove::tree(&staging).map_err(|errno| self.failed(errno))?;
        let result = self.stage_into(&staging, archive, limits, watch);
        if result.is_err() {
            let _ = remove::tree(&staging);
        }
        result
    }

    fn stage_into(&self, staging: &Path, archive: &Archive, limits: Limits, watch: &mut dyn Watch) -> Result<(String, Record), Failure> {
        DirBuilder::new().mode(0o700).create(staging).map_err(|error| self.failed_io(&error))?;
        let tree = directory::make(&staging.join(TREE)).map_err(|errno| self.failed(errno))?;
        let unpack = Unpack { rights: self.rights, limits, threads: Threads::Two, hashing: Hashing::Wanted, watch };
        let Unpacked { report, length, digest, compression } = unpack.unpack(archive, tree.as_fd())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let record =
            Record { source: archive.to_string(), format: compression.name().to_owned(), archive_bytes: length, unpacked_at: now, report };
        let text = serde_json::to_vec_pretty(&record).map_err(|error| Failure::new(format!("cannot write the record: {error}")))?;
        fs::write(staging.join(RECORD), text).map_err(|error| self.failed_io(&error))?;
        Ok((digest.unwrap_or_default(), record))
    }

    /// Moves a staged image to where it belongs, when it is on the disk: after a loss of power a tree under its digest is whole.
    fn settle(&self, key: &str, digest: &str) -> Result<(), Failure> {
        let staging = self.staging(key);
        let settled = openat(CWD, &staging, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .and_then(syncfs)
            .and_then(|()| renameat_with(CWD, &staging, CWD, self.image(digest), RenameFlags::NOREPLACE));
        settled.map_err(|errno| {
            let _ = remove::tree(&staging);
            self.failed(errno)
        })
    }

    /// Removes what killed unpacks have left: a lock that is free and stands for no image, and the staging directory that it stood for.
    fn sweep(&self) {
        for entry in fs::read_dir(self.root.join("locks")).into_iter().flatten().flatten() {
            let key = entry.file_name().to_string_lossy().into_owned();
            if self.image(&key).exists() {
                continue;
            }
            if let Ok(lock) = Lock::take(&self.lock(&key), FlockOperation::NonBlockingLockExclusive)
                && !self.image(&key).exists()
            {
                let _ = remove::tree(&self.staging(&key));
                lock.remove();
            }
        }
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

    fn nameless(&self, word: &str) -> Failure {
        Failure::new(format!("no image '{word}' in the store {}", self.root.display())).remedy("rustic rootfs list")
    }

    fn failed(&self, errno: Errno) -> Failure {
        Failure::new(format!("cannot write to the store {}", self.root.display())).errno(errno)
    }

    fn failed_io(&self, error: &std::io::Error) -> Failure {
        self.failed(Errno::from_io_error(error).unwrap_or(Errno::IO))
    }
}

/// A name that another image has.
pub fn taken(name: &str) -> Failure {
    Failure::new(format!("the name '{name}' is taken by another image")).remedy(format!("rustic rootfs rm {name}"))
}

/// Digits of a digest that are shown, and that are enough to name an image.
pub const SHORT: usize = 12;
