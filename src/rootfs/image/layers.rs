//! Layers, one over the other: what a layer has is written into the tree of those below it, and what
//! it says is gone is removed from them.
//!
//! Where podman and umoci treat a layer alike it is done so here; where they differ the image is
//! refused, and the entry named.

use super::blobs::Blobs;
use super::manifest::{Chosen, Layer};
use super::marks::{Action, Entries, Found, joined};
use crate::error::{Failure, printable};
use crate::rootfs::entry::{Entry, EntryKind, EntryPath};
use crate::rootfs::format::{self, Unfit};
use crate::rootfs::meter::{Hashing, Meter, Metered, hexadecimal};
use crate::rootfs::policy::Rule;
use crate::rootfs::reader::{Ending, Reader};
use crate::rootfs::stream::{Threads, WatchedStream};
use crate::rootfs::watch::Watch;
use crate::rootfs::writer::{Content, TreeWriter};
use rustix::fs::FileType;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead, Read};

/// Writes one layer after the other.
pub(super) fn apply(
    blobs: &Blobs,
    image: &Chosen,
    writer: &mut TreeWriter<'_>,
    threads: Threads,
    watch: &mut dyn Watch,
) -> Result<(), Failure> {
    for (number, layer) in image.layers.iter().enumerate() {
        one(blobs, layer, writer, threads, watch).map_err(|failure| {
            let what = format!("layer {}: {}", number + 1, failure.what);
            Failure { what, ..failure }
        })?;
    }
    Ok(())
}

fn one(
    blobs: &Blobs,
    layer: &Layer,
    writer: &mut TreeWriter<'_>,
    threads: Threads,
    watch: &mut dyn Watch,
) -> Result<(), Failure> {
    let blob = blobs.open(&layer.name)?;
    let shown = printable(&layer.name);
    let length = blob.metadata().ok().map(|stat| stat.len());
    let hashing = if layer.digest.is_some() { Hashing::Wanted } else { Hashing::Unwanted };
    let meter = Meter::new(hashing);
    let plain =
        format::plain(Metered::new(blob, meter.clone()), meter.counter(), format::Entries::Any);
    let plain = plain.map_err(|unfit| match unfit {
        Unfit::Other(kind, _) => Failure::new(format!("'{shown}' is {}, and no layer", kind.name)),
        Unfit::Unreadable(error) => crate::rootfs::policy::unreadable(error),
    })?;
    let stream = WatchedStream::new(plain.stream, threads, meter.clone(), length, watch);
    let hashed = Hashed { inner: stream, hash: Sha256::new() };
    let mut reader = Reader::new(hashed, Ending::Digested);
    let mut tree = LayeredTree::over(writer);
    while let Some(entry) = reader.next_entry()? {
        tree.write(entry, &mut reader)?;
    }
    let Hashed { inner, hash } = reader.into_inner();
    inner.finish()?;
    if let (Some(digest), Some(found)) = (&layer.digest, meter.digest()) {
        digest.check(&found, &format!("'{shown}'"))?;
    }
    layer.diff_id.check(&hexadecimal(&hash.finalize()), &format!("what is in '{shown}'"))
}

/// The tree while a layer is written into it.
pub struct LayeredTree<'w, 'a> {
    writer: &'w mut TreeWriter<'a>,
    entries: Entries,
    /// A directory that was looked for last, and where it is behind links.
    plain_parent: Option<(Vec<u8>, Vec<u8>)>,
}

impl<'w, 'a> LayeredTree<'w, 'a> {
    /// Over what those below have made.
    pub fn over(writer: &'w mut TreeWriter<'a>) -> Self {
        Self { writer, entries: Entries::default(), plain_parent: None }
    }

    /// Does what an entry of the layer asks for.
    ///
    /// # Errors
    /// A rule that it breaks, by its name; what cannot be written or removed.
    pub fn write(&mut self, entry: Entry, content: &mut impl Content) -> Result<(), Failure> {
        let named = entry.place.bytes().to_vec();
        let entry = self.resolved(entry)?;
        let action = self.entries.take(&entry).map_err(|rule| rule.of(&named))?;
        // What was a link leads elsewhere now, and what has become one.
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        let keeps_links = match action {
            Action::Remove(place) => return self.remove(&place),
            Action::Clear(directory) => {
                self.plain_parent = None;
                return self.clear(&directory, &named);
            }
            Action::WriteDirectory => {
                self.writer.undress(&entry.place)?;
                false
            }
            Action::Write => {
                let before = self.writer.remove_directory(&entry.place)?;
                is_file && before != Some(FileType::Symlink)
            }
            Action::WriteOver => false,
        };
        if !keeps_links {
            self.plain_parent = None;
        }
        self.writer.write(&entry, content)
    }

    fn remove(&mut self, place: &EntryPath) -> Result<(), Failure> {
        self.plain_parent = None;
        self.writer.remove(place)
    }

    /// The entry where it is behind the links of the tree, as it would be in a container.
    fn resolved(&mut self, entry: Entry) -> Result<Entry, Failure> {
        let place = self.place(&entry.place)?;
        let kind = match &entry.kind {
            EntryKind::HardLink(target) => EntryKind::HardLink(self.place(target)?),
            other => other.clone(),
        };
        Ok(Entry { place, kind, ..entry })
    }

    fn place(&mut self, place: &EntryPath) -> Result<EntryPath, Failure> {
        let Some((parent, name)) = place.split() else { return Ok(place.clone()) };
        if parent.is_empty() {
            return Ok(place.clone());
        }
        let real = match &self.plain_parent {
            Some((known, real)) if known == parent => real.clone(),
            _ => {
                let real = self.writer.real(parent).map_err(|rule| rule.of(place.bytes()))?;
                self.plain_parent = Some((parent.to_vec(), real.clone()));
                real
            }
        };
        let name = name.as_os_str().as_encoded_bytes();
        let whole = if real.is_empty() { name.to_vec() } else { [&real, &b"/"[..], name].concat() };
        EntryPath::of(&whole).map_err(|rule| rule.of(place.bytes()))
    }

    /// Removes what those below have in a directory.
    fn clear(&mut self, directory: &[u8], named: &[u8]) -> Result<(), Failure> {
        if self.entries.is_cleared(directory) {
            return Ok(());
        }
        for name in self.writer.names(directory)? {
            let place = joined(directory, &name);
            match self.entries.found(&place) {
                Found::Own => self.clear(&place, named)?,
                Found::Mixed => return Err(Rule::OpaqueOverOwn.of(named)),
                Found::Below => {
                    let place = EntryPath::of(&place).map_err(|rule| rule.of(&place))?;
                    self.writer.remove(&place)?;
                }
            }
        }
        self.entries.cleared(directory).map_err(|rule| rule.of(named))
    }
}

/// A stream that is hashed as it is read.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: BufRead> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Hashed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed has been filled before: nothing is read here.
        if let Ok(bytes) = self.inner.fill_buf() {
            self.hash.update(&bytes[..amount.min(bytes.len())]);
        }
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::super::texts::sha256;
    use super::*;

    #[test]
    fn a_stream_has_the_digest_of_its_bytes_however_it_is_read() {
        let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let mut hashed =
            Hashed { inner: io::BufReader::with_capacity(777, &bytes[..]), hash: Sha256::new() };
        let mut some = [0; 1000];
        hashed.read_exact(&mut some).unwrap();
        io::copy(&mut hashed, &mut io::sink()).unwrap();
        assert_eq!(hexadecimal(&hashed.hash.finalize()), sha256(&bytes));
    }
}
