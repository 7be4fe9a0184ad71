//! The strict reader: a tar stream as entries. v7, POSIX ustar and pax, GNU. What two readers could
//! understand in two ways is refused.

mod acl;
mod entry;
mod foreign;
mod header;
mod pax;
mod sparse;
mod values;

use crate::error::Failure;
use crate::rootfs::entry::Entry;
use crate::rootfs::policy::{LARGEST_EXTENSION, Rule, damaged, unreadable};
use crate::rootfs::writer::{Content, Take};
use foreign::Marks;
use header::{BLOCK, fits, text};
use pax::{Records, Scope};
use std::io::BufRead;
use tar::Header;

pub use header::checksum_holds;

/// Reads entries one after the other, never more of the stream than it needs, and never more than a
/// few MiB into memory.
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
        Self {
            stream,
            content: 0,
            padding: 0,
            globals: Records::default(),
            marks: Marks::default(),
        }
    }

    /// The next entry; `None` behind the last one, when the two blocks of zeros are there and
    /// nothing but zeros follows.
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
                return if extension.is_empty() {
                    self.end().map(|()| None)
                } else {
                    Err(damaged(&Rule::DanglingExtension.words()))
                };
            }
            if !checksum_holds(&block) {
                return Err(damaged("a header's checksum is wrong"));
            }
            header::settle_version(&mut block);
            let header = Header::from_byte_slice(&block);
            let flag = header.entry_type().as_byte();
            let refuse = |rule: Rule| rule.of(&header::name(header));
            if flag == b'V'
                && extension.is_empty()
                && text(&header.as_old().size).iter().all(|byte| matches!(byte, b'0' | b' '))
            {
                // The label of a GNU volume names the archive, and nothing in it.
                continue;
            }
            if !matches!(flag, b'x' | b'g' | b'L' | b'K') {
                let effective = self.effective(header, extension)?;
                let named = effective.name.clone();
                let entry = self.entry(header, effective).map_err(|problem| problem.of(&named))?;
                if let Some(kind) = self.marks.look(&entry) {
                    return Err(Rule::Foreign(kind).of(&named));
                }
                return Ok(Some(entry));
            }
            // Before POSIX and GNU these letters meant nothing, and some readers take them for
            // files under an older magic.
            if header.as_ustar().is_none() && header.as_gnu().is_none() {
                return Err(refuse(Rule::Kind(flag)));
            }
            let content = self.extension(header)?;
            match flag {
                b'g' => self.globals.read(&content, Scope::Global).map_err(refuse)?,
                b'x' if extension.records.is_none() => {
                    let mut records = self.globals.clone();
                    if let Err(rule) = records.read(&content, Scope::Local) {
                        // The header has a name of its own, which says little: what it belongs to
                        // is more use.
                        return Err(
                            rule.of(&self.name_of_next().unwrap_or_else(|| header::name(header)))
                        );
                    }
                    extension.records = Some(records);
                }
                b'L' if extension.name.is_none() => {
                    extension.name = Some(long_name(content).map_err(refuse)?)
                }
                b'K' if extension.link.is_none() => {
                    extension.link = Some(long_name(content).map_err(refuse)?)
                }
                _ => return Err(refuse(Rule::RepeatedExtension)),
            }
        }
    }

    /// The content of the last entry that has not been read yet, piece by piece as it lies in the
    /// stream.
    fn content(
        &mut self,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
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
            std::io::ErrorKind::UnexpectedEof => {
                damaged("it ends without the two blocks of zeros that end an archive")
            }
            _ => unreadable(error),
        })
    }

    /// The second block of zeros, and zeros to the end of the stream: only there does a
    /// decompressor check its sum, and what stands behind the end is lost to some readers and an
    /// archive of its own to others.
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

    /// The name in the header that comes next, for the refusal of an extended header before it.
    fn name_of_next(&mut self) -> Option<Vec<u8>> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)
            .ok()
            .filter(|()| checksum_holds(&block))
            .map(|()| header::name(Header::from_byte_slice(&block)))
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
        let named = records
            .sparse
            .name
            .take()
            .or_else(|| records.path.take())
            .or(long_name)
            .unwrap_or_else(|| header::name(header));
        if mixed {
            return Err(Rule::MixedExtensions.of(&named));
        }
        let link = records
            .linkpath
            .take()
            .or(long_link)
            .unwrap_or_else(|| text(&header.as_old().linkname).to_vec());
        let size = match records.size {
            Some(size) => size,
            None => fits(&header.as_old().size, "size").map_err(|rule| rule.of(&named))?,
        };
        if i64::try_from(size).is_err() {
            return Err(Rule::Number("size").of(&named));
        }
        Ok(Effective { name: named, link, flag: header.entry_type().as_byte(), size, records })
    }
}

impl<R: BufRead> Content for Reader<R> {
    fn each(&mut self, take: &mut Take<'_>) -> Result<(), Failure> {
        self.content(take)
    }
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

#[cfg(test)]
mod tests;
