//! Images in layers: OCI layouts, and the archives of docker save and of who writes the same.
//!
//! An archive is unpacked as it is, whatever the order of its files. Where that turns out to be an
//! image its [`blobs`] are read: the [`manifest`] says which layers there are, the [`config`] how its
//! program is run, and [`layers`] makes one tree of them.

mod blobs;
mod candidates;
mod choice;
pub mod config;
mod json;
mod layers;
mod manifest;
mod marks;
mod texts;

pub use blobs::is_root;
pub use choice::{ImageChoice, Platform};
pub use config::ImageConfig;
pub use layers::LayeredTree;
pub use manifest::{Chosen, chosen};
pub use marks::{Action, Entries, Found, is_mark};
pub use texts::{Digest, Kind, Texts, sha256};

use crate::error::{Failure, printable};
use crate::rootfs::stream::Threads;
use crate::rootfs::watch::Watch;
use crate::rootfs::writer::TreeWriter;
use blobs::Blobs;
use rustix::fd::BorrowedFd;
use serde::{Deserialize, Serialize};

/// What is known of an image beside its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// How its program is run.
    pub config: ImageConfig,
    /// The operating system and processor that it is for.
    pub platform: Platform,
    /// The name that it has in its archive.
    pub reference: Option<String>,
    /// How many layers it has.
    pub layers: u64,
}

impl ImageRecord {
    /// What a reader must know of it.
    pub fn lines(&self) -> Vec<String> {
        let name = self.reference.as_ref().map(|name| format!("{}, ", printable(name)));
        let layers = if self.layers == 1 { "layer" } else { "layers" };
        let mut lines = vec![format!(
            "image: {}{}, {} {layers}",
            name.unwrap_or_default(),
            self.platform,
            self.layers
        )];
        if !self.platform.is_unsaid() && !self.is_for_this_machine() {
            lines.push(format!("this machine is {}: its programs may not run", Platform::here()));
        }
        let ignored = self.config.ignored();
        if !ignored.is_empty() {
            lines.push(format!("ignored: {}", printable(&ignored.join(", "))));
        }
        lines
    }

    /// Whether its programs are this machine's.
    pub fn is_for_this_machine(&self) -> bool {
        let here = Platform::here();
        self.platform.os == here.os && self.platform.architecture == here.architecture
    }
}

/// The kind of image that a directory holds, not unpacked; `None` for what is none.
///
/// # Errors
/// An image of a kind that is not taken, by name, with the way out.
pub fn kind_of(directory: BorrowedFd<'_>) -> Result<Option<&'static str>, Failure> {
    Ok(Blobs::find(directory)?.map(|blobs| blobs.kind()))
}

/// The text in which an image that is not unpacked names everything else.
///
/// # Errors
/// A directory that holds none.
pub fn names_of(directory: BorrowedFd<'_>) -> Result<Vec<u8>, Failure> {
    let blobs = Blobs::find(directory)?.ok_or_else(|| Failure::new("it is no image"))?;
    blobs.names()
}

/// Makes the tree of the image that a directory holds, in layers.
///
/// # Errors
/// A digest that does not agree, a manifest that names what is not there, an image for another
/// machine among several, a layer that breaks a rule.
pub fn unpack(
    directory: BorrowedFd<'_>,
    choice: &ImageChoice,
    writer: &mut TreeWriter<'_>,
    threads: Threads,
    watch: &mut dyn Watch,
) -> Result<ImageRecord, Failure> {
    let blobs = Blobs::find(directory)?.ok_or_else(|| Failure::new("it is no image"))?;
    let image = manifest::chosen(&blobs, blobs.layout, choice)?;
    layers::apply(&blobs, &image, writer, threads, watch)?;
    Ok(ImageRecord {
        config: image.config.config.unwrap_or_default(),
        platform: image.platform,
        reference: image.reference,
        layers: image.layers.len() as u64,
    })
}
