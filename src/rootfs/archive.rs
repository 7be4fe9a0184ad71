//! An archive: where its bytes come from, and who counts and hashes them on the way.

use crate::error::{Failure, printable, without_number};
use crate::rootfs::builtin;
use crate::rootfs::format::{self, BUFFER, Compression, Plain, Unfit};
use crate::rootfs::policy::unreadable;
use crate::rootfs::unpack::{Progress, Watch};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A tar archive, compressed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archive {
    /// The one inside the binary.
    Builtin,
    /// A file, absolute path.
    File(PathBuf),
    /// What comes on stdin, once.
    Stdin,
    /// What comes out of a fifo or another thing that is no file, once.
    Stream(PathBuf),
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("the built-in root"),
            Self::File(path) | Self::Stream(path) => {
                f.write_str(&printable(&path.to_string_lossy()))
            }
            Self::Stdin => f.write_str("stdin"),
        }
    }
}

/// An archive that is being read: its tar stream, and what is known of the bytes beneath.
pub struct Opened {
    /// The tar stream.
    pub plain: Plain,
    /// What has been read of it so far.
    pub meter: Meter,
    /// The length of the archive as it is, in bytes, where that is known.
    pub length: Option<u64>,
}

/// Counts the bytes of an archive as it is, and where it is wanted hashes them.
#[derive(Clone, Default)]
pub struct Meter {
    read: Arc<AtomicU64>,
    hash: Option<Arc<Mutex<Sha256>>>,
}

impl Meter {
    /// How many bytes were read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The sha256 of what was read, which at the end of the stream is the archive's; `None` when it
    /// was not wanted.
    pub fn digest(&self) -> Option<String> {
        self.hash.as_ref().map(|hash| {
            hexadecimal(&hash.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize())
        })
    }
}

/// Whether the bytes of an archive are hashed while they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// They are.
    Wanted,
    /// They are not.
    Unwanted,
}

struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.meter.read.fetch_add(length as u64, Ordering::Relaxed);
        if let Some(hash) = &self.meter.hash {
            hash.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..length]);
        }
        Ok(length)
    }
}

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

    /// A word for it, where there is little room.
    pub fn short_name(&self) -> String {
        match self {
            Self::File(path) | Self::Stream(path) => printable(
                &path
                    .file_name()
                    .map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()),
            ),
            other => other.to_string(),
        }
    }

    /// Whether it can be read once only.
    pub fn comes_once(&self) -> bool {
        matches!(self, Self::Stdin | Self::Stream(_))
    }

    /// The sha256 of the archive as it is, in hexadecimal digits. Reads all of it.
    ///
    /// # Errors
    /// A file that cannot be read, and what the watcher ends it with.
    pub fn digest(&self, watch: &mut dyn Watch) -> Result<String, Failure> {
        if *self == Self::Builtin {
            return Ok(builtin::DIGEST.to_owned());
        }
        let mut hash = Sha256::new();
        let (mut bytes, total) = self.bytes().map_err(|error| self.unreadable(&error))?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => return Ok(hexadecimal(&hash.finalize())),
                Ok(length) => {
                    hash.update(&buffer[..length]);
                    // Nothing of it has been unpacked yet.
                    watch.look(Progress { read: 0, length: total })?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unreadable(&error)),
            }
        }
    }

    /// Opens it, at its tar stream.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no tar archive, by what it is.
    pub fn open(&self, hashing: Hashing) -> Result<Opened, Failure> {
        let (bytes, length) = self.bytes().map_err(|error| self.unreadable(&error))?;
        let hash = (hashing == Hashing::Wanted).then(Arc::default);
        let meter = Meter { hash, ..Meter::default() };
        let metered = Metered { inner: bytes, meter: meter.clone() };
        match format::plain(metered, meter.read.clone()) {
            Ok(plain) => Ok(Opened { plain, meter, length }),
            Err(Unfit::Unreadable(error)) if error.raw_os_error().is_none() => {
                Err(self.blame(unreadable(error)))
            }
            Err(Unfit::Unreadable(error)) => Err(self.unreadable(&error)),
            Err(Unfit::Other(kind, within)) => {
                let within = if within == Compression::None {
                    String::new()
                } else {
                    format!(" inside {}", within.name().replace("tar.", ""))
                };
                Err(Failure::new(format!("{self} is {kind}{within}, not a root file system"))
                    .remedy("a tar archive, plain or compressed by gzip, zstd, xz or bzip2"))
            }
        }
    }

    /// Its bytes as they are, and how many there are.
    fn bytes(&self) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
        Ok(match self {
            Self::Builtin => (Box::new(builtin::ARCHIVE), Some(builtin::ARCHIVE.len() as u64)),
            Self::File(path) => {
                let file = File::open(path)?;
                let stat = file.metadata()?;
                (Box::new(file), stat.is_file().then_some(stat.len()))
            }
            Self::Stdin => (Box::new(io::stdin()), None),
            Self::Stream(path) => (Box::new(File::open(path)?), None),
        })
    }

    /// An unpacker's failure, with the archive named.
    #[must_use]
    pub fn blame(&self, failure: Failure) -> Failure {
        let what = format!("cannot unpack {self}: {}", failure.what);
        Failure { what, ..failure }
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        let reason = without_number(error);
        Failure::new(format!("cannot read {self}: {reason}"))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
