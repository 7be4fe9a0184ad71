//! An archive: where its bytes come from, and its tar stream.

use crate::error::{Failure, printable, without_number};
use crate::rootfs::builtin;
use crate::rootfs::format::{self, BUFFER, Compression, Entries, Plain, Unfit};
use crate::rootfs::image;
use crate::rootfs::meter::{Hashing, Meter, Metered, hexadecimal};
use crate::rootfs::policy::unreadable;
use crate::rootfs::watch::{Progress, Watch};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// A tar archive, compressed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archive {
    /// The one inside the binary.
    Builtin,
    /// A file, absolute path.
    File(PathBuf),
    /// A directory with an image that is not unpacked, absolute path.
    Layout(PathBuf),
    /// What comes on stdin, once.
    Stdin,
    /// What comes out of a fifo or another thing that is no file, once.
    Stream(PathBuf),
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("the built-in root"),
            Self::File(path) | Self::Layout(path) | Self::Stream(path) => {
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
            Self::File(path) | Self::Layout(path) | Self::Stream(path) => printable(
                &path
                    .file_name()
                    .map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()),
            ),
            Self::Builtin | Self::Stdin => self.to_string(),
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
        match self {
            Self::Builtin => return Ok(builtin::DIGEST.to_owned()),
            // By what it names: the digests of everything else are in there.
            Self::Layout(_) => {
                let text = image::names_of(self.layout()?.as_fd())?;
                return Ok(hexadecimal(&Sha256::digest(text)));
            }
            Self::File(_) | Self::Stdin | Self::Stream(_) => {}
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

    /// What a path of the caller's is.
    pub fn at(path: PathBuf) -> Self {
        if path.is_dir() { Self::Layout(path) } else { Self::File(path) }
    }

    /// The directory of an image, opened.
    ///
    /// # Errors
    /// ENOTDIR for another kind of archive.
    pub fn layout(&self) -> Result<OwnedFd, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match self {
            Self::Layout(path) => open(path, flags, Mode::empty()),
            Self::Builtin | Self::File(_) | Self::Stdin | Self::Stream(_) => Err(Errno::NOTDIR),
        };
        opened.map_err(|errno| Failure::new(format!("cannot read {self}")).errno(errno))
    }

    /// Opens it, at its tar stream.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no tar archive, by what it is.
    pub fn open(&self, hashing: Hashing) -> Result<Opened, Failure> {
        let (bytes, length) = self.bytes().map_err(|error| self.unreadable(&error))?;
        let meter = Meter::new(hashing);
        let metered = Metered::new(bytes, meter.clone());
        match format::plain(metered, meter.counter(), Entries::Some) {
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
                let name = kind.name;
                let failure =
                    Failure::new(format!("{self} is {name}{within}, not a root file system"));
                Err(failure.remedy(match (kind.way, self) {
                    (Some(way), _) if !within.is_empty() => format!("decompress it; then {way}"),
                    (Some(way), Self::File(path)) => {
                        way.replace("FILE", &printable(&path.to_string_lossy()))
                    }
                    (Some(way), _) => way.to_owned(),
                    (None, _) => {
                        "a tar archive, plain or compressed by gzip, zstd, xz or bzip2".to_owned()
                    }
                }))
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
            Self::Layout(path) | Self::Stream(path) => (Box::new(File::open(path)?), None),
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
