//! What the first bytes of a stream say, and how it is decompressed. The format is told by content,
//! never by name.

use crate::rootfs::kinds::{self, OtherKind};
use crate::rootfs::members::Members;
use crate::rootfs::policy::{LARGEST_RATIO, LARGEST_WINDOW, RATIO_FROM, Rule};
use crate::rootfs::reader::checksum_holds;
use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read at once.
pub const BUFFER: usize = 128 << 10;

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, every member.
    Gzip,
    /// Zstandard, every frame.
    Zstd,
    /// xz, every stream.
    Xz,
    /// bzip2, every stream.
    Bzip2,
}

impl Compression {
    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "tar",
            Self::Gzip => "tar.gz",
            Self::Zstd => "tar.zst",
            Self::Xz => "tar.xz",
            Self::Bzip2 => "tar.bz2",
        }
    }
}

/// What the first bytes of a stream say.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    Tar,
    /// Nothing but the end of one.
    NoEntry,
    Compressed(Compression),
    /// By these words, or by what stands farther behind.
    Other(Option<&'static str>),
}

impl Format {
    fn of(start: &[u8]) -> Self {
        let signatures: [(&[u8], Self); 4] = [
            (&[0x1f, 0x8b], Self::Compressed(Compression::Gzip)),
            (&[0x28, 0xb5, 0x2f, 0xfd], Self::Compressed(Compression::Zstd)),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Self::Compressed(Compression::Xz)),
            (b"BZh", Self::Compressed(Compression::Bzip2)),
        ];
        // A zstd file may begin with a frame to be skipped, RFC 8878; pzstd's do.
        if matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
            return Self::Compressed(Compression::Zstd);
        }
        for (signature, format) in signatures {
            if start.starts_with(signature) {
                return format;
            }
        }
        match start.first_chunk() {
            _ if start.is_empty() => Self::Other(Some("empty")),
            // The checksum tells it also of the oldest headers, which have no magic of their own.
            Some(block) if checksum_holds(block) => Self::Tar,
            Some(block) if block[257..262] == *b"ustar" => {
                Self::Other(Some("a tar archive whose first header is damaged"))
            }
            Some(block) if *block == [0; 512] => Self::NoEntry,
            _ => Self::Other(None),
        }
    }
}

/// A tar stream, decompressed as it is read.
pub struct Plain {
    /// Its bytes, with those that told the format.
    pub stream: Box<dyn BufRead + Send>,
    /// How it was compressed.
    pub compression: Compression,
}

/// What came instead of a tar stream.
pub enum Unfit {
    /// Another kind of file; within which compression.
    Other(OtherKind, Compression),
    /// It could not be read.
    Unreadable(io::Error),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Whether an archive may have no entry: a root file system has some, a layer need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// One at least.
    Some,
    /// Perhaps none.
    Any,
}

/// Decompresses a stream whose bytes `read` counts as they come.
///
/// # Errors
/// A file that cannot be read, or is neither tar nor a compressed tar.
pub fn plain(
    bytes: impl Read + Send + 'static,
    read: Arc<AtomicU64>,
    entries: Entries,
) -> Result<Plain, Unfit> {
    let (start, bytes) = peek(bytes, HEADER)?;
    let compression = match Format::of(&start) {
        Format::NoEntry => {
            return match without_entry(bytes, entries)? {
                Ok(stream) => Ok(Plain { stream, compression: Compression::None }),
                Err(kind) => Err(Unfit::Other(kind, Compression::None)),
            };
        }
        Format::Tar => {
            return Ok(Plain { stream: Box::new(bytes), compression: Compression::None });
        }
        Format::Other(name) => {
            let kind = name.map_or_else(|| told(bytes), |name| Ok(OtherKind::plain(name)))?;
            return Err(Unfit::Other(kind, Compression::None));
        }
        Format::Compressed(compression) => compression,
    };
    let decoder: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(bytes),
        Compression::Gzip => Box::new(Members::<_, GzDecoder<_>>::new(bytes)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(bytes)?;
            decoder.window_log_max(LARGEST_WINDOW.ilog2())?;
            Box::new(Windowed(decoder))
        }
        // In KiB, and for the decoder's own tables a little more than the window.
        Compression::Xz => Box::new(Windowed(XzReader::new_mem_limit(
            bytes,
            true,
            (LARGEST_WINDOW >> 10) as u32 + 1024,
        ))),
        Compression::Bzip2 => Box::new(Members::<_, BzDecoder<_>>::new(bytes)),
    };
    let (start, stream) = peek(Measured { inner: decoder, read, written: 0 }, HEADER)?;
    match Format::of(&start) {
        Format::Other(_) if start.is_empty() && entries == Entries::Any => {
            Ok(Plain { stream: Box::new(stream), compression })
        }
        Format::NoEntry => match without_entry(stream, entries)? {
            Ok(stream) => Ok(Plain { stream, compression }),
            Err(kind) => Err(Unfit::Other(kind, compression)),
        },
        Format::Tar => Ok(Plain { stream: Box::new(stream), compression }),
        Format::Compressed(_) => {
            Err(Unfit::Other(OtherKind::plain("compressed twice"), compression))
        }
        Format::Other(name) => {
            let kind = name.map_or_else(|| told(stream), |name| Ok(OtherKind::plain(name)))?;
            Err(Unfit::Other(kind, compression))
        }
    }
}

/// What begins with zeros: a tar archive without an entry where that will do, or another kind of file.
fn without_entry(
    stream: impl Read + Send + 'static,
    entries: Entries,
) -> io::Result<Result<Box<dyn BufRead + Send>, OtherKind>> {
    let (start, stream) = peek(stream, kinds::FARTHEST)?;
    let is_empty = start.iter().all(|&byte| byte == 0);
    Ok(match entries {
        Entries::Any if is_empty => Ok(Box::new(stream)),
        Entries::Any | Entries::Some => Err(kinds::of_start(&start)),
    })
}

/// What a stream is that is no tar archive.
fn told(stream: impl Read) -> io::Result<OtherKind> {
    Ok(kinds::of_start(&peek(stream, kinds::FARTHEST)?.0))
}

/// Bytes of a tar header.
const HEADER: usize = 512;

/// A stream with its first bytes put back.
type Whole<R> = BufReader<io::Chain<Cursor<Vec<u8>>, R>>;

/// So many of the first bytes, where there are so many, and the stream with them still in it: a pipe
/// may give them in small pieces.
fn peek<R: Read>(mut stream: R, length: usize) -> io::Result<(Vec<u8>, Whole<R>)> {
    let mut start = Vec::with_capacity(length);
    (&mut stream).take(length as u64).read_to_end(&mut start)?;
    Ok((start.clone(), BufReader::with_capacity(BUFFER, Cursor::new(start).chain(stream))))
}

/// A decoder that refuses a window by an error of its own, which gets our words.
struct Windowed<R>(R);

impl<R: Read> Read for Windowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let too_large = error.kind() == io::ErrorKind::OutOfMemory
                || error.to_string().contains("requires too much memory");
            if too_large { io::Error::other(Rule::Window) } else { error }
        })
    }
}

/// Holds what comes out against what went in.
struct Measured<R> {
    inner: R,
    read: Arc<AtomicU64>,
    written: u64,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.written += length as u64;
        if self.written > RATIO_FROM
            && self.written / LARGEST_RATIO > self.read.load(Ordering::Relaxed)
        {
            return Err(io::Error::other(Rule::Ratio));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_content() {
        assert_eq!(Format::of(&[0x1f, 0x8b, 8]), Format::Compressed(Compression::Gzip));
        assert_eq!(Format::of(b"PK\x03\x04rest"), Format::Other(None));
        assert_eq!(Format::of(b""), Format::Other(Some("empty")));
        assert_eq!(Format::of(&[b'x'; 600]), Format::Other(None));
        let mut header = tar::Header::new_old();
        header.set_path("etc").unwrap();
        header.set_size(0);
        header.set_cksum();
        assert_eq!(Format::of(header.as_bytes()), Format::Tar);
    }
}
