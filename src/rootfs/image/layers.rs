//! Layers, one over the other: what a layer has is written into the tree of those below it, and what
//! it says is gone is removed from them.
//!
//! Where podman and umoci treat a layer alike it is done so here; where they differ the image is
//! refused, and the entry named.

use super::blobs::Blobs;
use super::manifest::{Chosen, Layer};
use crate::error::{Failure, printable};
use crate::rootfs::entry::{Entry, EntryKind, EntryPath};
use crate::rootfs::format::{self, Entries, Unfit};
use crate::rootfs::meter::{Hashing, Meter, Metered, hexadecimal};
use crate::rootfs::policy::Rule;
use crate::rootfs::reader::{Ending, Reader};
use crate::rootfs::stream::{Threads, WatchedStream};
use crate::rootfs::watch::Watch;
use crate::rootfs::writer::{Content, TreeWriter};
use rustix::fs::FileType;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

/// What the name of a mark begins with, and that of one that hides all of a directory.
const MARK: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Bytes of names of a layer that are kept in mind.
const MOST_REMEMBERED: usize = 64 << 20;

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
    let plain = format::plain(Metered::new(blob, meter.clone()), meter.counter(), Entries::Any);
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
struct LayeredTree<'w, 'a> {
    writer: &'w mut TreeWriter<'a>,
    /// What this layer has made: the marks of a layer are about those below it.
    made: BTreeSet<Vec<u8>>,
    /// The directories in which nothing is left of those below.
    cleared: BTreeSet<Vec<u8>>,
    bytes: usize,
    /// A directory that was looked for last, and where it is behind links.
    plain_parent: Option<(Vec<u8>, Vec<u8>)>,
}

impl<'w, 'a> LayeredTree<'w, 'a> {
    fn over(writer: &'w mut TreeWriter<'a>) -> Self {
        let (made, cleared) = (BTreeSet::new(), BTreeSet::new());
        Self { writer, made, cleared, bytes: 0, plain_parent: None }
    }

    fn write(&mut self, entry: Entry, content: &mut impl Content) -> Result<(), Failure> {
        let named = entry.place.bytes().to_vec();
        let entry = self.resolved(entry)?;
        let name =
            entry.place.split().map(|(_, name)| name.as_os_str().as_encoded_bytes().to_vec());
        if let Some(name) = name.filter(|name| name.starts_with(MARK)) {
            return self.mark(&entry, &name, &named);
        }
        let before = if entry.kind == EntryKind::Directory {
            // What a layer says of a directory is all that is said of it.
            self.writer.undress(&entry.place)?;
            None
        } else if self.has_made_below(entry.place.bytes()) {
            None
        } else {
            // A layer may put something else in the place of a directory of those below it.
            self.writer.remove_directory(&entry.place)?
        };
        // A link that was there, or that is there now, leads elsewhere.
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        if !is_file || before == Some(FileType::Symlink) || self.made.contains(entry.place.bytes())
        {
            self.plain_parent = None;
        }
        self.remember(entry.place.bytes(), &named)?;
        self.writer.write(&entry, content)
    }

    fn remember(&mut self, place: &[u8], named: &[u8]) -> Result<(), Failure> {
        if self.made.insert(place.to_vec()) {
            self.bytes += place.len() + size_of::<Vec<u8>>();
        }
        if self.bytes > MOST_REMEMBERED { Err(Rule::LayerNames.of(named)) } else { Ok(()) }
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

    /// What a layer says is gone.
    fn mark(&mut self, entry: &Entry, name: &[u8], named: &[u8]) -> Result<(), Failure> {
        let refused = |rule: Rule| Err(rule.of(named));
        let Some((parent, _)) = entry.place.split() else { return refused(Rule::Mark) };
        self.plain_parent = None;
        if entry.kind == EntryKind::Directory {
            return refused(Rule::MarkKind);
        }
        if name == OPAQUE {
            return self.clear(parent, named);
        }
        let hidden = &name[MARK.len()..];
        if hidden.is_empty() || hidden == b"." || hidden == b".." || hidden.starts_with(MARK) {
            return refused(Rule::Mark);
        }
        let place = joined(parent, hidden);
        if self.has_made_below(&place) {
            return refused(Rule::MarkOfOwn);
        }
        let place = EntryPath::of(&place).map_err(|rule| rule.of(named))?;
        self.writer.remove(&place)
    }

    /// Removes what those below have in a directory.
    fn clear(&mut self, directory: &[u8], named: &[u8]) -> Result<(), Failure> {
        if self.is_cleared(directory) {
            return Ok(());
        }
        for name in self.writer.names(directory)? {
            let place = joined(directory, &name);
            if self.made.contains(&place) {
                self.clear(&place, named)?;
            } else if self.has_made_below(&place) {
                // It is of those below, and something of this layer is in it.
                return Err(Rule::OpaqueOverOwn.of(named));
            } else {
                let place = EntryPath::of(&place).map_err(|rule| rule.of(&place))?;
                self.writer.remove(&place)?;
            }
        }
        self.bytes += directory.len() + size_of::<Vec<u8>>();
        self.cleared.insert(directory.to_vec());
        if self.bytes > MOST_REMEMBERED { Err(Rule::LayerNames.of(named)) } else { Ok(()) }
    }

    /// Whether a directory was cleared, or one that it lies in.
    fn is_cleared(&self, directory: &[u8]) -> bool {
        if self.cleared.is_empty() {
            return false;
        }
        let ends = directory.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let above = ends.map(|(end, _)| &directory[..end]);
        above.chain([directory, b""]).any(|directory| self.cleared.contains(directory))
    }

    /// Whether this layer has made something there, or below it.
    fn has_made_below(&self, place: &[u8]) -> bool {
        let below = joined(place, b"");
        self.made.contains(place)
            || self.made.range(below.clone()..).next().is_some_and(|made| made.starts_with(&below))
    }
}

fn joined(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
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
    use super::super::blobs::sha256;
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
