//! An archive: where its bytes come from, and what they are. The format is told by content, never by name.

use crate::failure::{Failure, errno_text, printable};
use crate::rootfs::builtin;
use flate2::bufread::MultiGzDecoder;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

/// A tar archive, plain or gzip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archive {
    /// The one inside the binary.
    Builtin,
    /// A file, absolute path.
    File(PathBuf),
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("the built-in root"),
            Self::File(path) => f.write_str(&printable(&path.to_string_lossy())),
        }
    }
}

/// Bytes read at once.
const BUFFER: usize = 128 * 1024;

impl Archive {
    /// The built-in root.
    ///
    /// # Errors
    /// A binary that was built without one.
    pub fn builtin() -> Result<Self, Failure> {
        if builtin::ARCHIVE.is_empty() {
            return Err(Failure::new("this binary has no built-in root file system")
                .why("it was built before scripts/build-rootfs was run")
                .remedy("scripts/build-rootfs and build again, or --rootfs TAR|DIR"));
        }
        Ok(Self::Builtin)
    }

    /// The sha256 of the archive as it is, in hexadecimal digits.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn digest(&self) -> Result<String, Failure> {
        match self {
            Self::Builtin => Ok(builtin::DIGEST.to_owned()),
            Self::File(_) => {
                let mut hash = Sha256::new();
                let mut source = self.bytes().map_err(|error| self.unreadable(&error))?;
                loop {
                    let chunk = source.fill_buf().map_err(|error| self.unreadable(&error))?;
                    if chunk.is_empty() {
                        break;
                    }
                    hash.update(chunk);
                    let length = chunk.len();
                    source.consume(length);
                }
                Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
            }
        }
    }

    /// The tar stream, unpacked from gzip where it is that.
    ///
    /// # Errors
    /// A file that cannot be read, or whose first bytes are neither gzip nor tar.
    pub fn open(&self) -> Result<Box<dyn Read>, Failure> {
        let mut bytes = self.bytes().map_err(|error| self.unreadable(&error))?;
        let start = bytes.fill_buf().map_err(|error| self.unreadable(&error))?;
        match Format::of(start) {
            Format::Gzip => {
                let mut plain = BufReader::with_capacity(BUFFER, MultiGzDecoder::new(bytes));
                let start = plain.fill_buf().map_err(|error| self.unreadable(&error))?;
                match Format::of(start) {
                    Format::Tar => Ok(Box::new(plain)),
                    other => Err(self.not_a_root(&other, " inside gzip")),
                }
            }
            Format::Tar => Ok(Box::new(bytes)),
            other => Err(self.not_a_root(&other, "")),
        }
    }

    fn bytes(&self) -> io::Result<Box<dyn BufRead>> {
        Ok(match self {
            Self::Builtin => Box::new(builtin::ARCHIVE),
            Self::File(path) => Box::new(BufReader::with_capacity(BUFFER, File::open(path)?)),
        })
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        let reason = Errno::from_io_error(error).map_or_else(|| error.to_string(), errno_text);
        Failure::new(format!("cannot read {self}: {reason}"))
    }

    fn not_a_root(&self, format: &Format, within: &str) -> Failure {
        let Format::Other(name) = format else { return Failure::new(format!("{self} is not a root file system")) };
        Failure::new(format!("{self} is {name}{within}, not a tar archive")).remedy("a tar file, plain or gzip, or a directory")
    }
}

/// What the first bytes of a stream say.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    Tar,
    Gzip,
    Other(&'static str),
}

impl Format {
    fn of(start: &[u8]) -> Self {
        let signatures: [(&[u8], Self); 5] = [
            (&[0x1f, 0x8b], Self::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Self::Other("a zstd stream")),
            (&[0xfd, b'7', b'z', b'X', b'Z'], Self::Other("an xz stream")),
            (b"BZh", Self::Other("a bzip2 stream")),
            (b"PK\x03\x04", Self::Other("a zip archive")),
        ];
        for (signature, format) in signatures {
            if start.starts_with(signature) {
                return format;
            }
        }
        match start.get(..512) {
            _ if start.is_empty() => Self::Other("empty"),
            // "ustar" of POSIX and GNU, or the older v7 header, which only its checksum tells.
            Some(header) if header.get(257..262) == Some(b"ustar") || checksum_holds(header) => Self::Tar,
            _ => Self::Other("of an unknown kind"),
        }
    }
}

/// The sum of a header's bytes with the checksum field taken as spaces, tar(5).
fn checksum_holds(header: &[u8]) -> bool {
    let field = header.get(148..156).unwrap_or_default();
    let digits: String = field.iter().map(|&byte| char::from(byte)).filter(char::is_ascii_digit).collect();
    let sum: u32 = header.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) }).sum();
    u32::from_str_radix(&digits, 8) == Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_content() {
        assert_eq!(Format::of(&[0x1f, 0x8b, 8]), Format::Gzip);
        assert_eq!(Format::of(b"PK\x03\x04rest"), Format::Other("a zip archive"));
        assert_eq!(Format::of(b""), Format::Other("empty"));
        assert_eq!(Format::of(&[b'x'; 600]), Format::Other("of an unknown kind"));
        let mut header = tar::Header::new_old();
        header.set_path("etc").unwrap();
        header.set_size(0);
        header.set_cksum();
        assert_eq!(Format::of(header.as_bytes()), Format::Tar);
    }
}
