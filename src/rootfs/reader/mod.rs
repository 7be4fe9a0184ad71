//! The strict reader: a tar stream as entries. v7, POSIX ustar and pax, GNU. What two readers could understand in two ways is refused.

mod acl;
mod header;
mod pax;
mod sparse;

use crate::failure::Failure;
use crate::rootfs::entry::{Entry, Kind, Metadata, Place, Time};
use crate::rootfs::rule::{LARGEST_EXTENSION, Rule, damaged, unreadable};
use crate::rootfs::writer::{Content, Take};
use header::{BLOCK, fits, text};
use pax::{Records, Scope};
use std::io::BufRead;
use tar::{GnuExtSparseHeader, Header};

pub use header::checksum_holds;

/// Reads entries one after the other, never more of the stream than it needs, and never more than a few MiB into memory.
pub struct Reader<R> {
    stream: R,
    /// Content of the last entry that was not read yet, and the bytes that fill up its last block.
    content: u64,
    padding: u64,
    /// What global headers said.
    globals: Records,
    /// What the top of the archive looks like, to tell another kind of archive.
    marks: Marks,
}

/// The extended headers before one entry.
#[derive(Default)]
struct Extension {
    records: Option<Records>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Extension {
    fn is_empty(&self) -> bool {
        self.records.is_none() && self.name.is_none() && self.link.is_none()
    }
}

/// A header with all that is said of it elsewhere.
struct Effective {
    /// The name as the archive has it.
    name: Vec<u8>,
    link: Vec<u8>,
    flag: u8,
    size: u64,
    records: Records,
}

impl<R: BufRead> Reader<R> {
    /// Over a stream that is decompressed already.
    pub fn new(stream: R) -> Self {
        Self { stream, content: 0, padding: 0, globals: Records::default(), marks: Marks::default() }
    }

    /// The next entry; `None` behind the last one, when the two blocks of zeros are there and nothing but zeros follows.
    ///
    /// # Errors
    /// Damage, and an entry that breaks a rule, by name.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Failure> {
        self.content(|_, _| Ok(()))?;
        let mut extension = Extension::default();
        loop {
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if block == [0; BLOCK] {
                return if extension.is_empty() { self.end().map(|()| None) } else { Err(damaged(&Rule::DanglingExtension.words())) };
            }
            if !checksum_holds(&block) {
                return Err(damaged("a header's checksum is wrong"));
            }
            let header = Header::from_byte_slice(&block);
            let flag = header.entry_type().as_byte();
            let refuse = |rule: Rule| rule.of(&header::name(header));
            if !matches!(flag, b'x' | b'g' | b'L' | b'K') {
                let effective = self.effective(header, extension)?;
                let named = effective.name.clone();
                let entry = self.entry(header, effective).map_err(|problem| problem.of(&named))?;
                if let Some(kind) = self.marks.look(&entry) {
                    return Err(Rule::Foreign(kind).of(&named));
                }
                return Ok(Some(entry));
            }
            // Before POSIX and GNU these letters meant nothing, and some readers take them for files under an older magic.
            if header.as_ustar().is_none() && header.as_gnu().is_none() {
                return Err(refuse(Rule::Kind(flag)));
            }
            let content = self.extension(header)?;
            match flag {
                b'g' => self.globals.read(&content, Scope::Global).map_err(refuse)?,
                b'x' if extension.records.is_none() => {
                    let mut records = self.globals.clone();
                    records.read(&content, Scope::Local).map_err(refuse)?;
                    extension.records = Some(records);
                }
                b'L' if extension.name.is_none() => extension.name = Some(long_name(content).map_err(refuse)?),
                b'K' if extension.link.is_none() => extension.link = Some(long_name(content).map_err(refuse)?),
                _ => return Err(refuse(Rule::RepeatedExtension)),
            }
        }
    }

    /// The content of the last entry that has not been read yet, piece by piece as it lies in the stream.
    fn content(&mut self, mut take: impl FnMut(u64, &[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut at = 0;
        while self.content + self.padding > 0 {
            let bytes = self.stream.fill_buf().map_err(unreadable)?;
            if bytes.is_empty() {
                return Err(damaged("it ends within a file"));
            }
            let length = if self.content > 0 {
                let length = bytes.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
                take(at, &bytes[..length])?;
                self.content -= length as u64;
                length
            } else {
                let length = bytes.len().min(self.padding as usize);
                self.padding -= length as u64;
                length
            };
            at += length as u64;
            self.stream.consume(length);
        }
        Ok(())
    }

    /// The stream, when there is nothing more to be read from it.
    pub fn into_inner(self) -> R {
        self.stream
    }

    fn fill(&mut self, block: &mut [u8; BLOCK]) -> Result<(), Failure> {
        self.stream.read_exact(block).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => damaged("it ends without the two blocks of zeros that end an archive"),
            _ => unreadable(error),
        })
    }

    /// The second block of zeros, and zeros to the end of the stream: only there does a decompressor check its sum, and what stands
    /// behind the end is lost to some readers and an archive of its own to others.
    fn end(&mut self) -> Result<(), Failure> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if block != [0; BLOCK] {
            return Err(damaged("a lone block of zeros between two entries"));
        }
        loop {
            let bytes = self.stream.fill_buf().map_err(unreadable)?;
            if bytes.is_empty() {
                return Ok(());
            }
            if bytes.iter().any(|&byte| byte != 0) {
                return Err(damaged("something stands behind its end"));
            }
            let length = bytes.len();
            self.stream.consume(length);
        }
    }

    /// The content of an extended header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, Failure> {
        let refuse = |rule: Rule| rule.of(&header::name(header));
        let size: u64 = fits(&header.as_old().size, "size").map_err(refuse)?;
        if size > LARGEST_EXTENSION {
            return Err(refuse(Rule::LargeExtension));
        }
        self.expect(size);
        let mut content = Vec::new();
        self.content(|_, bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(content)
    }

    fn expect(&mut self, size: u64) {
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    /// What a header and its extensions say together: PAX before GNU before the header itself.
    fn effective(&self, header: &Header, extension: Extension) -> Result<Effective, Failure> {
        let Extension { records, name: long_name, link: long_link } = extension;
        let mixed = records.as_ref().is_some_and(|records| {
            long_name.is_some() && (records.path.is_some() || records.sparse.name.is_some())
                || long_link.is_some() && records.linkpath.is_some()
        });
        let mut records = records.unwrap_or_else(|| self.globals.clone());
        let named = records.sparse.name.take().or_else(|| records.path.take()).or(long_name).unwrap_or_else(|| header::name(header));
        if mixed {
            return Err(Rule::MixedExtensions.of(&named));
        }
        let link = records.linkpath.take().or(long_link).unwrap_or_else(|| text(&header.as_old().linkname).to_vec());
        let size = match records.size {
            Some(size) => size,
            None => fits(&header.as_old().size, "size").map_err(|rule| rule.of(&named))?,
        };
        if i64::try_from(size).is_err() {
            return Err(Rule::Number("size").of(&named));
        }
        Ok(Effective { name: named, link, flag: header.entry_type().as_byte(), size, records })
    }

    fn entry(&mut self, header: &Header, effective: Effective) -> Result<Entry, Problem> {
        let Effective { name, link, flag, size, records } = effective;
        if name.is_empty() {
            return Err(Rule::Nameless.into());
        }
        let place = Place::of(&name)?;
        // Before POSIX a directory was a file with a slash behind its name, and some writers still tell it so.
        let kind = match flag {
            b'0' | b'\0' | b'7' if name.ends_with(b"/") => b'5',
            flag => flag,
        };
        if !matches!(kind, b'0' | b'\0' | b'7' | b'S') && size > 0 {
            // Readers differ in whether it is there: skipped by some, an entry of its own to others.
            return Err(if is_known(kind) { Rule::Content } else { Rule::Kind(kind) }.into());
        }
        let metadata = metadata(header, &records)?;
        let target = || match link.as_slice() {
            [] => Err(Rule::NoTarget),
            link if link.contains(&0) => Err(Rule::NulInName),
            link if link.len() > crate::rootfs::rule::LONGEST_PATH => Err(Rule::LongTarget),
            link => Ok(link),
        };
        let kind = match kind {
            b'5' => Kind::Directory,
            b'0' | b'\0' | b'7' => self.file(size, records)?,
            b'S' => self.gnu_sparse(header, size)?,
            b'2' => Kind::Symlink(target()?.to_vec()),
            b'1' => Kind::HardLink(Place::of(target()?).map_err(|rule| if rule == Rule::Climbs { Rule::LinkClimbs } else { rule })?),
            b'3' | b'4' => {
                let (major, minor) = header::device(header)?;
                if kind == b'3' { Kind::Character(major, minor) } else { Kind::Block(major, minor) }
            }
            b'6' => Kind::Fifo,
            other => return Err(Rule::Kind(other).into()),
        };
        if place.is_root() && kind != Kind::Directory {
            return Err(Rule::RootKind.into());
        }
        Ok(Entry { place, kind, metadata })
    }

    /// A file whose holes, if it has any, are told by PAX records.
    fn file(&mut self, stored: u64, records: Records) -> Result<Kind, Problem> {
        let sparse = records.sparse;
        let map = match (sparse.version, sparse.map) {
            ((Some(1), Some(0)), None) => {
                self.expect(stored);
                let (map, used) = self.leading_map()?;
                self.content = stored.checked_sub(used).ok_or(Rule::SparseMap)?;
                map
            }
            ((None, None), Some(map)) => {
                self.expect(stored);
                map.into()
            }
            ((None, None), None) if sparse.real_size.is_none() => {
                self.expect(stored);
                return Ok(Kind::File { size: stored, data: None });
            }
            // A file of nothing but a hole has no pairs in format 0.0.
            ((None, None), None) => sparse::Map::default(),
            _ => return Err(Rule::SparseMap.into()),
        };
        let size = sparse.real_size.ok_or(Rule::SparseMap)?;
        let data = map.checked(self.content, size)?;
        Ok(Kind::File { size, data: Some(data) })
    }

    /// The map of format 1.0 at the start of the content, and how many bytes it took.
    fn leading_map(&mut self) -> Result<(sparse::Map, u64), Problem> {
        let mut lines = sparse::Lines::default();
        let mut used = 0;
        loop {
            used += BLOCK as u64;
            if used > self.content.min(LARGEST_EXTENSION * 4) {
                return Err(Rule::SparseMap.into());
            }
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if lines.take(&block)? {
                return Ok((lines.into_map(), used));
            }
        }
    }

    /// A file whose holes are told by GNU's own header and the blocks that continue it.
    fn gnu_sparse(&mut self, header: &Header, stored: u64) -> Result<Kind, Problem> {
        let gnu = header.as_gnu().ok_or(Rule::Kind(b'S'))?;
        let mut map = sparse::Map::default();
        map.extend(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            self.fill(block.as_mut_bytes())?;
            map.extend(block.sparse())?;
            more = block.is_extended();
        }
        let size = sparse::real_size(gnu)?;
        let data = map.checked(stored, size)?;
        self.expect(stored);
        Ok(Kind::File { size, data: Some(data) })
    }
}

impl<R: BufRead> Content for Reader<R> {
    fn each(&mut self, take: &mut Take<'_>) -> Result<(), Failure> {
        self.content(take)
    }
}

/// Why an entry is refused: a rule, to which its name is added, or a stream that cannot be read.
enum Problem {
    Broken(Rule),
    Stream(Failure),
}

impl Problem {
    fn of(self, name: &[u8]) -> Failure {
        match self {
            Self::Broken(rule) => rule.of(name),
            Self::Stream(failure) => failure,
        }
    }
}

impl From<Rule> for Problem {
    fn from(rule: Rule) -> Self {
        Self::Broken(rule)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Stream(failure)
    }
}

fn is_known(flag: u8) -> bool {
    (b'0'..=b'7').contains(&flag)
}

/// The name in a GNU `L` or `K` header: to its first NUL, and nothing else behind it.
fn long_name(content: Vec<u8>) -> Result<Vec<u8>, Rule> {
    let name = text(&content);
    match name {
        [] => Err(Rule::Nameless),
        _ if content[name.len()..].iter().any(|&byte| byte != 0) => Err(Rule::NulInName),
        name => Ok(name.to_vec()),
    }
}

fn metadata(header: &Header, records: &Records) -> Result<Metadata, Rule> {
    let old = header.as_old();
    let id = |field: &[u8], name| {
        let id: u64 = fits(field, name)?;
        u32::try_from(id).ok().filter(|&id| id != u32::MAX).ok_or(Rule::Owner(id))
    };
    let mode: u64 = fits(&old.mode, "mode")?;
    Ok(Metadata {
        uid: records.uid.map_or_else(|| id(&old.uid, "user id"), Ok)?,
        gid: records.gid.map_or_else(|| id(&old.gid, "group id"), Ok)?,
        // Some writers put the kind into the upper bits, as stat(2) has it.
        mode: (mode & 0o7777) as u32,
        mtime: match records.mtime {
            Some(mtime) => mtime,
            None => Time { seconds: fits(&old.mtime, "modification time")?, nanoseconds: 0 },
        },
        attributes: records.attributes.clone(),
        left_out: records.left_out,
    })
}

/// Archives of images that are no root file system: they hold one, layer by layer, and unpacked as they are they would make nonsense.
#[derive(Default)]
struct Marks {
    manifest: Option<()>,
    layer: Option<()>,
}

impl Marks {
    /// What the archive is, once that is plain.
    fn look(&mut self, entry: &Entry) -> Option<&'static str> {
        let name = entry.place.bytes();
        match &entry.kind {
            Kind::File { .. } if name == b"oci-layout" => return Some("an OCI image layout"),
            Kind::File { .. } if name == b"manifest.json" => self.manifest = Some(()),
            Kind::File { .. } | Kind::Symlink(_)
                if name.ends_with(b"/layer.tar") && name.iter().filter(|&&byte| byte == b'/').count() == 1 =>
            {
                self.layer = Some(());
            }
            _ => {}
        }
        self.manifest.and(self.layer).map(|()| "an archive of docker save")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::io::Read;

    /// What one reader makes of an entry: name, kind, length, mode, owner, time, link target, content.
    type Seen = (Vec<u8>, u8, u64, u32, u64, u64, i64, Vec<u8>, Vec<u8>);

    fn ours(bytes: &[u8]) -> Result<Vec<Seen>, Failure> {
        let mut reader = Reader::new(bytes);
        let mut seen = Vec::new();
        while let Some(Entry { place, kind, metadata }) = reader.next_entry()? {
            let mut content = Vec::new();
            reader.content(|_, bytes| {
                content.extend_from_slice(bytes);
                Ok(())
            })?;
            let (flag, size, link) = match kind {
                Kind::File { size, .. } => (b'0', size, vec![]),
                Kind::Directory => (b'5', 0, vec![]),
                Kind::Symlink(target) => (b'2', 0, target),
                Kind::HardLink(target) => (b'1', 0, target.bytes().to_vec()),
                Kind::Character(..) => (b'3', 0, vec![]),
                Kind::Block(..) => (b'4', 0, vec![]),
                Kind::Fifo => (b'6', 0, vec![]),
            };
            let Metadata { uid, gid, mode, mtime, .. } = metadata;
            seen.push((place.bytes().to_vec(), flag, size, mode, uid.into(), gid.into(), mtime.seconds, link, content));
        }
        Ok(seen)
    }

    /// The same by the tar crate's own iterator.
    fn theirs(bytes: &[u8]) -> std::io::Result<Vec<Seen>> {
        // GNU's long names are C strings; the tar crate cuts off one NUL.
        let plain = |name: &[u8]| Place::of(text(name)).map(|place| place.bytes().to_vec()).unwrap_or_default();
        let mut archive = tar::Archive::new(bytes);
        let mut seen = Vec::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let header = entry.header().clone();
            let flag = match header.entry_type().as_byte() {
                b'\0' | b'7' => b'0',
                flag => flag,
            };
            let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
            let link = match flag {
                b'1' => plain(&link),
                b'2' => text(&link).to_vec(),
                _ => vec![],
            };
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            let name = plain(&entry.path_bytes());
            let mode = header.mode()? & 0o7777;
            seen.push((name, flag, entry.size(), mode, header.uid()?, header.gid()?, header.mtime()? as i64, link, content));
        }
        Ok(seen)
    }

    /// An archive of any entries, in POSIX's or GNU's format, with names that may need an extended header.
    fn archives() -> impl Strategy<Value = Vec<u8>> {
        let name = vec("[a-z\u{e4}. \\\\]{1,60}", 1..6)
            .prop_map(|parts| parts.join("/"))
            .prop_filter("a plain name", |name| name.split('/').all(|part| !matches!(part, "." | "..")) && name.len() < 250);
        let entry = (name, 0..7_u8, vec(any::<u8>(), 0..1500), 0..0o7777_u32, 0..2_000_000_u64, 0..u64::from(u32::MAX), any::<bool>());
        vec(entry, 1..8).prop_map(|entries| {
            let mut builder = tar::Builder::new(Vec::new());
            for (name, kind, content, mode, id, mtime, posix) in entries {
                let mut header = if posix { Header::new_ustar() } else { Header::new_gnu() };
                header.set_entry_type(tar::EntryType::new(b'0' + kind));
                header.set_mode(mode);
                header.set_uid(id);
                header.set_gid(id / 3);
                header.set_mtime(mtime);
                header.set_size(0);
                let added = match kind {
                    0 => {
                        header.set_size(content.len() as u64);
                        builder.append_data(&mut header, &name, content.as_slice())
                    }
                    1 | 2 => builder.append_link(&mut header, &name, name.replace('a', "bb")),
                    _ => builder.append_data(&mut header, &name, std::io::empty()),
                };
                // What POSIX's fields cannot hold is left out.
                let _ = added;
            }
            builder.into_inner().unwrap()
        })
    }

    proptest! {
        #[test]
        fn what_the_tar_crate_writes_is_read_as_the_tar_crate_reads_it(bytes in archives()) {
            prop_assert_eq!(ours(&bytes).map_err(|failure| failure.to_string()), Ok(theirs(&bytes).unwrap()));
        }

        /// Whatever is changed in a header whose checksum is then made to fit: it is refused, or both see the same.
        #[test]
        fn what_is_not_refused_is_read_as_the_tar_crate_reads_it(bytes in archives(), changes in vec((0..512_usize, any::<u8>()), 1..4), which in any::<prop::sample::Index>()) {
            let mut bytes = bytes;
            let block = which.index(bytes.len() / 512) * 512;
            for (at, byte) in changes {
                bytes[block + at] = byte;
            }
            let mut header = Header::from_byte_slice(&bytes[block..block + 512]).clone();
            header.set_cksum();
            bytes[block..block + 512].copy_from_slice(header.as_bytes());
            if let (Ok(ours), Ok(theirs)) = (ours(&bytes), theirs(&bytes)) {
                let differing = ours.iter().zip(&theirs).find(|(a, b)| a != b);
                prop_assert!(ours == theirs, "{} and {} entries: {differing:?}", ours.len(), theirs.len());
            }
        }

        #[test]
        fn any_bytes_end_in_entries_or_a_refusal(bytes in vec(any::<u8>(), 0..4000)) {
            let _ = ours(&bytes);
        }
    }
}
