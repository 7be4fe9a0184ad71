//! The images of a store by name: giving names, listing, removing.

use super::lock::{Lock, Use};
use super::{Held, Making, RECORD, Record, Store, seen};
use crate::failure::Failure;
use crate::namespace::Switch;
use crate::rootfs::remove;
use crate::rootfs::unpack::Unwatched;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs;
use std::path::Path;

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
    /// The tree of a name.
    ///
    /// # Errors
    /// No image of that name.
    pub fn named(&self, name: &str, making: Making) -> Result<Held, Failure> {
        let digest = digest_of(&self.root, name);
        let held = digest.map_or(Ok(None), |digest| self.held(&digest, making, &mut Unwatched))?;
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
        let lock = match Lock::take(&self.lock(digest), Use::Exclusive) {
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
            let entries = match fs::read_dir(self.root.join(part)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries.map_err(|error| self.failed_io(&error))?,
            };
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
                let lock = Lock::take(&self.lock(&digest), Use::Exclusive);
                let used = if matches!(lock, Err(Errno::WOULDBLOCK)) { Switch::Yes } else { Switch::No };
                let names = names.iter().filter(|(_, of)| *of == digest).map(|(name, _)| name.clone()).collect();
                Listed { digest, names, record, used }
            })
            .collect();
        images.sort_by(|a, b| (a.names.is_empty(), &a.names, &a.digest).cmp(&(b.names.is_empty(), &b.names, &b.digest)));
        Ok(images)
    }

    fn nameless(&self, word: &str) -> Failure {
        Failure::new(format!("no image '{word}' in the store {}", self.root.display())).remedy("rustic rootfs list")
    }
}

/// A name that another image has.
pub fn taken(name: &str) -> Failure {
    Failure::new(format!("the name '{name}' is taken by another image")).remedy(format!("rustic rootfs rm {name}"))
}

/// Digits of a digest that are shown, and that are enough to name an image.
pub const SHORT: usize = 12;
