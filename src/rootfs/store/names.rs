//! The images of a store by name: giving names, listing.

use super::layout::{RECORD, Store};
use super::lease::LeasedTree;
use super::lock::{Lock, Use};
use super::open::Making;
use super::record::Record;
use crate::error::Failure;
use crate::namespace::Switch;
use crate::rootfs::watch::Unwatched;
use rustix::io::Errno;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

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
    /// When it was used last, in seconds since 1970; `None` where that is not known.
    pub last_used: Option<u64>,
}

/// Whose name an image may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// Nobody's.
    FreeOnly,
    /// Another image's too, which then has one less.
    FromOthers,
}

/// An image that was looked for.
pub struct ImageMatch {
    /// Its digest.
    pub digest: String,
    /// How many names it would keep.
    pub(super) others: usize,
    /// The names that go with it.
    pub(super) names: Vec<String>,
}

/// Whether a word can be the name of an image: one to 64 letters, digits, dots, hyphens and
/// underscores, a letter or digit first. One that could be the beginning of a digest is none.
pub fn is_name(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&word.len())
        && word.bytes().all(plain)
        && word.as_bytes()[0].is_ascii_alphanumeric()
        && !is_digest(word)
}

/// Whether a word can be what a digest begins with, twelve digits or more of it.
pub fn is_digest(word: &str) -> bool {
    (SHORT..=64).contains(&word.len())
        && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a store has an image of this name, or of a digest that begins so.
pub fn has(root: &Path, word: &str) -> bool {
    match is_digest(word) {
        true => fs::read_dir(root.join("roots")).is_ok_and(|mut entries| {
            entries.any(|entry| {
                entry.is_ok_and(|entry| {
                    entry.file_name().as_encoded_bytes().starts_with(word.as_bytes())
                })
            })
        }),
        false => is_name(word) && digest_of(root, word).is_some(),
    }
}

/// The digest of the image that a name stands for; a name whose image is gone stands for nothing.
fn digest_of(root: &Path, name: &str) -> Option<String> {
    let target = fs::read_link(root.join("names").join(name)).ok()?;
    let digest = target.file_name()?.to_str()?;
    root.join("roots").join(digest).exists().then(|| digest.to_owned())
}

impl Store {
    /// The tree of a name, or of what a digest begins with.
    ///
    /// # Errors
    /// No such image.
    pub fn named(&self, word: &str, making: Making) -> Result<LeasedTree, Failure> {
        let digest = if is_digest(word) {
            self.find(word)?.digest
        } else {
            self.digest(word).ok_or_else(|| self.nameless(word))?
        };
        self.held(&digest, making, &mut Unwatched)?.ok_or_else(|| self.nameless(word))
    }

    /// The digest of the image that has a name.
    pub fn digest(&self, name: &str) -> Option<String> {
        digest_of(&self.root, name)
    }

    /// Gives an image a name.
    ///
    /// # Errors
    /// A name that another image has, unless it is to be taken from that.
    pub fn name(&self, name: &str, digest: &str, taking: Taking) -> Result<(), Failure> {
        let _names = self.waited(&self.names_lock(), Use::Exclusive, &mut Unwatched)?;
        match (self.digest(name), taking) {
            (Some(of), _) if of == digest => return Ok(()),
            (Some(_), Taking::FreeOnly) => return Err(taken(name)),
            (Some(_), Taking::FromOthers) | (None, _) => {}
        }
        self.put_name(name, digest)
    }

    /// Gives an image another name in place of one, or its first one.
    ///
    /// # Errors
    /// No such image, a name that another image has.
    pub fn rename(&self, word: &str, name: &str) -> Result<(), Failure> {
        // Before a store is looked for that is not there.
        self.find(word)?;
        let _names = self.waited(&self.names_lock(), Use::Exclusive, &mut Unwatched)?;
        let found = self.find(word)?;
        match self.digest(name) {
            Some(of) if of != found.digest => return Err(taken(name)),
            Some(_) if word == name => return Ok(()),
            Some(_) | None => {}
        }
        self.put_name(name, &found.digest)?;
        if is_digest(word) { Ok(()) } else { self.unname(word) }
    }

    /// The name appears whole, or another image's keeps standing: after a loss of power too.
    fn put_name(&self, name: &str, digest: &str) -> Result<(), Failure> {
        let folder = self.root.join("names");
        // No name begins with a dot.
        let aside = folder.join(".new");
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed_io(&error)),
            _ => {}
        }
        rustix::fs::symlink(format!("../roots/{digest}"), &aside)
            .and_then(|()| rustix::fs::rename(&aside, folder.join(name)))
            .map_err(|errno| {
                let _ = fs::remove_file(&aside);
                self.failed(errno)
            })?;
        self.sync_names()
    }

    /// What was said of names outlives a loss of power.
    fn sync_names(&self) -> Result<(), Failure> {
        let folder = fs::File::open(self.root.join("names"));
        folder.and_then(|folder| folder.sync_all()).map_err(|error| self.failed_io(&error))
    }

    /// The image that a word stands for, a name or what a digest begins with.
    ///
    /// # Errors
    /// A word that stands for no image, or a beginning that several digests have.
    pub fn find(&self, word: &str) -> Result<ImageMatch, Failure> {
        let images = self.images()?;
        if let Some((digest, names)) =
            images.iter().find(|(_, names)| names.iter().any(|name| name == word))
        {
            return Ok(ImageMatch {
                digest: digest.clone(),
                others: names.len() - 1,
                names: vec![word.to_owned()],
            });
        }
        let mut found =
            images.into_iter().filter(|(digest, _)| is_digest(word) && digest.starts_with(word));
        match (found.next(), found.next()) {
            // With the image all its names go.
            (Some((digest, names)), None) => Ok(ImageMatch { digest, others: 0, names }),
            (Some(_), Some(_)) => {
                Err(Failure::new(format!("several images have a digest that begins with '{word}'")))
            }
            _ => Err(self.nameless(word)),
        }
    }

    /// Whether an image has a name.
    pub(super) fn is_named(&self, digest: &str) -> Result<bool, Failure> {
        let images = self.images()?;
        Ok(images.iter().any(|(found, names)| found == digest && !names.is_empty()))
    }

    pub(super) fn unname(&self, name: &str) -> Result<(), Failure> {
        let removed = fs::remove_file(self.root.join("names").join(name));
        removed.map_err(|error| self.failed_io(&error))?;
        self.sync_names()
    }

    /// When a tree was used last: its lock is touched then.
    pub(super) fn last_used(&self, digest: &str) -> Option<u64> {
        let touched = fs::metadata(self.lock(digest)).ok()?.modified().ok()?;
        touched.duration_since(UNIX_EPOCH).ok().map(|age| age.as_secs())
    }

    /// Every image, by name, those without a name last.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Failure> {
        // Held, so that no two at once take each other's look at a lock for a use of it; a store
        // that cannot be written is looked at as it is.
        let _names = self.waited(&self.names_lock(), Use::Exclusive, &mut Unwatched).ok();
        let listed = self.images()?.into_iter().map(|(digest, names)| {
            let record = self.record(&digest);
            let lock = Lock::take_known(&self.lock(&digest), Use::Exclusive);
            let used =
                if matches!(lock, Err(Errno::WOULDBLOCK)) { Switch::Yes } else { Switch::No };
            let last_used = self.last_used(&digest);
            Listed { digest, names, record, used, last_used }
        });
        Ok(listed.collect())
    }

    /// What is known of an image; `None` when its record cannot be read.
    pub fn record(&self, digest: &str) -> Option<Record> {
        fs::read(self.image(digest).join(RECORD))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
    }

    /// Every image by its digest with its names, sorted by name, those without one last.
    fn images(&self) -> Result<Vec<(String, Vec<String>)>, Failure> {
        let words = |part: &str| -> Result<Vec<String>, Failure> {
            let entries = match fs::read_dir(self.root.join(part)) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries.map_err(|error| self.failed_io(&error))?,
            };
            let mut words: Vec<_> = entries
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .filter(|word| !word.starts_with('.'))
                .collect();
            words.sort_unstable();
            Ok(words)
        };
        let names: Vec<_> = words("names")?
            .into_iter()
            .filter_map(|name| self.digest(&name).map(|digest| (name, digest)))
            .collect();
        let named = |digest: &String| {
            names
                .iter()
                .filter(|(_, of)| of == digest)
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        let mut images: Vec<_> =
            words("roots")?.into_iter().map(|digest| (named(&digest), digest)).collect();
        images.sort_by(|a, b| (a.0.is_empty(), a).cmp(&(b.0.is_empty(), b)));
        Ok(images.into_iter().map(|(names, digest)| (digest, names)).collect())
    }

    pub(super) fn nameless(&self, word: &str) -> Failure {
        Failure::new(format!("no image '{word}' in the store {}", self.root.display()))
            .remedy("rustic rootfs list shows what is there")
    }
}

/// A name that another image has.
pub fn taken(name: &str) -> Failure {
    Failure::new(format!("the name '{name}' is taken by another image"))
        .remedy(format!("rustic rootfs rm {name}, or import --replace"))
}

/// Digits of a digest that are shown, and that are enough to name an image.
pub const SHORT: usize = 12;
