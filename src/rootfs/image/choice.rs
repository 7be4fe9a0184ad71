//! Which image of several is meant.

use super::json::or_nothing;
use crate::error::{Failure, printable};
use crate::rootfs::entry::{Entry, EntryKind};
use crate::rootfs::policy::Rule;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An operating system and a processor, as Go names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// As in `linux`; empty where it is not said.
    #[serde(deserialize_with = "or_nothing")]
    pub os: String,
    /// As in `amd64`; empty where it is not said.
    #[serde(deserialize_with = "or_nothing")]
    pub architecture: String,
    /// As in `v8`.
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's.
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self { os: "linux".into(), architecture: architecture.into(), variant: None }
    }

    /// Of `OS/ARCH` or `OS/ARCH/VARIANT`.
    pub fn of(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let [os, architecture, rest @ ..] = parts.as_slice() else { return None };
        if rest.len() > 1 || parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        let variant = rest.first().map(|variant| (*variant).to_owned());
        Some(Self { os: (*os).to_owned(), architecture: (*architecture).to_owned(), variant })
    }

    /// How well an image of the other one is meant, 0 best; `None` where it is not. A variant counts
    /// where it is said, and otherwise the usual one comes first: others may need what a processor
    /// has not.
    pub(super) fn fit(&self, other: &Self) -> Option<(u8, String)> {
        let is_same = (&self.os, &self.architecture) == (&other.os, &other.architecture);
        let variant = other.told_variant();
        let is_usual = variant == other.usual_variant();
        match &self.variant {
            _ if !is_same => None,
            Some(_) => (self.told_variant() == variant).then(|| (0, String::new())),
            None if is_usual => Some((0, String::new())),
            None => Some((1, variant.unwrap_or_default().to_owned())),
        }
    }

    fn usual_variant(&self) -> Option<&'static str> {
        match self.architecture.as_str() {
            "arm64" => Some("v8"),
            "arm" => Some("v7"),
            _ => None,
        }
    }

    /// The variant, or the one that is meant without a word.
    fn told_variant(&self) -> Option<&str> {
        let said = self.variant.as_deref().filter(|variant| !variant.is_empty());
        said.or(self.usual_variant())
    }

    /// Whether nothing is said of it.
    pub(super) fn is_unsaid(&self) -> bool {
        self.os.is_empty() && self.architecture.is_empty()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unsaid() {
            return f.write_str("of no platform");
        }
        write!(f, "{}/{}", printable(&self.os), printable(&self.architecture))?;
        match self.variant.as_deref() {
            None | Some("") => Ok(()),
            Some(variant) => write!(f, "/{}", printable(variant)),
        }
    }
}

/// Which of several images is wanted, and where in an archive its root is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageChoice {
    /// The platform; this machine's where none is said.
    pub platform: Option<Platform>,
    /// Its name in the archive.
    pub reference: Option<String>,
    /// The directory that is taken for the root, without a slash at either end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
}

impl ImageChoice {
    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// An entry where it is in the directory that is the root; `None` for what lies outside.
    ///
    /// # Errors
    /// A hard link to what lies outside; what is no directory.
    pub fn below(&self, entry: Entry) -> Result<Option<Entry>, Failure> {
        let Some(sub) = &self.sub else { return Ok(Some(entry)) };
        let Some(place) = entry.place.below(sub.as_bytes()) else { return Ok(None) };
        let kind = match entry.kind {
            EntryKind::HardLink(target) => match target.below(sub.as_bytes()) {
                Some(target) => EntryKind::HardLink(target),
                None => {
                    let outside = Rule::LinkOutside(target.bytes().to_vec());
                    return Err(outside.of(entry.place.bytes()));
                }
            },
            other => other,
        };
        if place.is_root() && kind != EntryKind::Directory {
            return Err(Failure::new(format!("'{}' in it is no directory", printable(sub))));
        }
        Ok(Some(Entry { place, kind, ..entry }))
    }
}
