//! The texts of an image, which say what it is: read by name, from wherever they are.

use super::json::{lowered, misunderstood, or_nothing, parsed};
use crate::error::{Failure, printable};
use crate::rootfs::meter::hexadecimal;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// How an image is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `oci-layout`, `index.json` and blobs by digest.
    Oci,
    /// `manifest.json`, which names a config and layers.
    Docker,
}

/// An entry of manifest.json.
#[derive(Deserialize)]
pub struct Saved {
    /// The name of its config.
    pub config: String,
    /// What it is called.
    #[serde(rename = "repotags", default, deserialize_with = "or_nothing")]
    pub repo_tags: Vec<String>,
    /// The names of its layers.
    #[serde(default, deserialize_with = "or_nothing")]
    pub layers: Vec<String>,
}

/// Where texts come from.
pub trait Texts {
    /// The text of a small file.
    ///
    /// # Errors
    /// ENOENT for one that is not there; one that is too large, and more than are read in all.
    fn text(&self, name: &str) -> Result<Vec<u8>, Failure>;

    /// The text of a blob, which has its digest.
    ///
    /// # Errors
    /// Those of [`Texts::text`], and another digest.
    fn blob(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let name = digest.blob();
        let text = self.text(&name)?;
        digest.check(&sha256(&text), &format!("'{name}'"))?;
        Ok(text)
    }

    /// What manifest.json says.
    ///
    /// # Errors
    /// Those of [`Texts::text`], and what is no such list.
    fn saved(&self) -> Result<Vec<Saved>, Failure> {
        let saved: Vec<Value> = parsed(&self.text("manifest.json")?, "manifest.json")?;
        let saved = Value::Array(saved.into_iter().map(lowered).collect());
        serde_json::from_value(saved).map_err(|error| misunderstood("manifest.json", &error))
    }
}

/// A digest of sha256, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// Of `sha256:HEX`.
    ///
    /// # Errors
    /// Another algorithm, and what is no digest: it will be a part of a path.
    pub fn of(text: &str) -> Result<Self, Failure> {
        let hex = text.strip_prefix("sha256:");
        hex.and_then(Self::of_hex)
            .ok_or_else(|| Failure::new(format!("'{}' is no sha256 digest", printable(text))))
    }

    pub(super) fn of_hex(hex: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (hex.len() == 64 && hex.bytes().all(is_digit)).then(|| Self(hex.to_owned()))
    }

    /// Whether these bytes have it.
    pub(super) fn check(&self, found: &str, what: &str) -> Result<(), Failure> {
        if self.0 == found {
            return Ok(());
        }
        Err(Failure::new(format!("{what} has not the digest that is said of it"))
            .why(format!("it should be {} and is {found}", self.0)))
    }

    /// The name of its file in a layout.
    pub fn blob(&self) -> String {
        format!("blobs/sha256/{}", self.0)
    }
}

/// The digest of some bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}
