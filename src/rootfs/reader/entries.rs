//! Entry after entry: the headers of a stream, the extended ones before each, the content behind
//! it, and the end.

use super::extension::{Extension, long_name};
use super::header::{self, BLOCK, checksum_holds, fits, text};
use super::pax::{Records, Scope};
use crate::error::Failure;
use crate::rootfs::entry::Entry;
use crate::rootfs::format::Compression;
use crate::rootfs::policy::{LARGEST_EXTENSION, LONGEST_PATH, Rule, damaged, unreadable};
use crate::rootfs::writer::{Content, Take};
use std::io::{BufRead, Read};
use tar::Header;

/// Reads entries one after the other, never more of the stream than it needs, and never more than a
/// few MiB into memory.
pub struct Reader<R> {
    stream: R,
    /// Content of the last entry that was not read yet, and the bytes that fill up its last block.
    pub(super) content: u64,
    padding: u64,
    /// The name of the last entry, where its header has a length though nothing follows.
    pub(super) sized: Option<Vec<u8>>,
    /// Whether a header of the PAX format has come.
    pub(super) has_pax: bool,
    /// What global headers said.
    globals: Records,
    ending: Ending,
}

/// How an archive may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With two blocks of zeros, and nothing but zeros behind them: nothing else says that it is
    /// whole.
    Marked,
    /// Or behind any entry: the stream that it came from has a checksum, which held.
    AtAnEntry,
    /// The same, or with an index as pixz writes it into an xz stream.
    Indexed,
    /// As it will, whatever stands behind the zeros: it has a digest, which is compared.
    Digested,
}

impl Ending {
    /// What a stream needs that was compressed in a way: every other than none has a checksum or a
    /// mark at its own end.
    pub fn of(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::Marked,
            Compression::Xz => Self::Indexed,
            Compression::Gzip | Compression::Zstd | Compression::Bzip2 => Self::AtAnEntry,
        }
    }
}

impl<R: BufRead> Reader<R> {
    /// Over a stream that is decompressed already.
    pub fn new(stream: R, ending: Ending) -> Self {
        Self {
            stream,
            content: 0,
            padding: 0,
            sized: None,
            has_pax: false,
            globals: Records::default(),
            ending,
        }
    }

    /// The next entry; `None` behind the last one, when the end is one that is taken.
    ///
    /// # Errors
    /// Damage, and an entry that breaks a rule, by name.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Failure> {
        self.content(|_, _| Ok(()))?;
        let mut extension = Extension::default();
        loop {
            let mut block = [0; BLOCK];
            if extension.is_empty()
                && self.ending != Ending::Marked
                && self.stream.fill_buf().map_err(unreadable)?.is_empty()
            {
                return Ok(None);
            }
            self.fill(&mut block)?;
            if block == [0; BLOCK] {
                return if extension.is_empty() {
                    self.end().map(|()| None)
                } else {
                    Err(damaged(&Rule::DanglingExtension.words()))
                };
            }
            if !checksum_holds(&block) {
                return Err(match self.sized.take() {
                    Some(name) => Rule::Content.of(&name),
                    None => damaged("a header's checksum is wrong"),
                });
            }
            self.sized = None;
            header::settle_version(&mut block);
            let header = Header::from_byte_slice(&block);
            if extension.is_empty() && is_volume_label(header) {
                continue;
            }
            if !matches!(header.entry_type().as_byte(), b'x' | b'g' | b'L' | b'K') {
                return self.entry_behind(extension, header).map(Some);
            }
            self.extend(&mut extension, header)?;
        }
    }

    /// The entry of a header, with what the extended headers before it say.
    fn entry_behind(&mut self, extension: Extension, header: &Header) -> Result<Entry, Failure> {
        let effective = extension.effective(header, &self.globals)?;
        let named = effective.name.clone();
        self.entry(header, effective).map_err(|problem| problem.of(&named))
    }

    /// Reads an extended header.
    fn extend(&mut self, extension: &mut Extension, header: &Header) -> Result<(), Failure> {
        let flag = header.entry_type().as_byte();
        let refuse = |rule: Rule| rule.of(&header::name(header));
        // Before POSIX and GNU these letters meant nothing, and some readers take them for files
        // under an older magic.
        if header.as_ustar().is_none() && header.as_gnu().is_none() {
            return Err(refuse(Rule::Kind(flag)));
        }
        let content = self.extension(header)?;
        self.has_pax |= matches!(flag, b'x' | b'g');
        match flag {
            b'g' => self.globals.read(&content, Scope::Global).map_err(refuse)?,
            b'x' if extension.records.is_none() => {
                let mut records = self.globals.clone();
                if let Err(rule) = records.read(&content, Scope::Local) {
                    // The header has a name of its own, which says little: what it belongs to is
                    // more use.
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
        Ok(())
    }

    /// The content of the last entry that has not been read yet, piece by piece as it lies in the
    /// stream.
    pub(super) fn content(
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

    pub(super) fn fill(&mut self, block: &mut [u8; BLOCK]) -> Result<(), Failure> {
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
        let is_over =
            self.ending != Ending::Marked && self.stream.fill_buf().map_err(unreadable)?.is_empty();
        if !is_over {
            self.fill(&mut block)?;
        }
        if block != [0; BLOCK] {
            return Err(damaged("a lone block of zeros between two entries"));
        }
        loop {
            let bytes = self.stream.fill_buf().map_err(unreadable)?;
            if bytes.is_empty() {
                return Ok(());
            }
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            let length = if self.ending == Ending::Digested { bytes.len() } else { zeros };
            if length == 0 {
                return match self.ending == Ending::Indexed && self.index().is_some() {
                    true => Ok(()),
                    false => Err(damaged("something stands behind its end")),
                };
            }
            self.stream.consume(length);
        }
    }

    /// The index of pixz: its magic number, then a name to a NUL and where its entry is, 8 bytes, for
    /// each, and an empty name at the end. `None` for anything else.
    fn index(&mut self) -> Option<()> {
        const MAGIC: [u8; 8] = 0xdbae_14d6_2e32_4ca6_u64.to_le_bytes();
        let mut number = [0; 8];
        self.stream.read_exact(&mut number).ok().filter(|()| number == MAGIC)?;
        loop {
            let mut name = Vec::new();
            let most = LONGEST_PATH as u64 + 2;
            (&mut self.stream).take(most).read_until(0, &mut name).ok()?;
            name.pop().filter(|&end| end == 0)?;
            self.stream.read_exact(&mut number).ok()?;
            if name.is_empty() {
                return self.stream.fill_buf().ok()?.is_empty().then_some(());
            }
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

    pub(super) fn expect(&mut self, size: u64) {
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }
}

impl<R: BufRead> Content for Reader<R> {
    fn each(&mut self, take: &mut Take<'_>) -> Result<(), Failure> {
        self.content(take)
    }
}

/// The label of a GNU volume, which names the archive, and nothing in it.
fn is_volume_label(header: &Header) -> bool {
    header.entry_type().as_byte() == b'V'
        && text(&header.as_old().size).iter().all(|byte| matches!(byte, b'0' | b' '))
}
