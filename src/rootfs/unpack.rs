//! From an archive to a tree: one thread decompresses, the other reads entries and writes files.

use crate::error::Failure;
use crate::namespace::Switch;
use crate::rootfs::archive::{Archive, Opened};
use crate::rootfs::format::Compression;
use crate::rootfs::meter::Hashing;
use crate::rootfs::reader::Reader;
use crate::rootfs::renumber::Renumber;
use crate::rootfs::report::UnpackReport;
use crate::rootfs::stream::{Threads, WatchedStream};
use crate::rootfs::watch::Watch;
use crate::rootfs::writer::{TreeWriter, UnpackLimits, UnpackRights};
use rustix::fd::BorrowedFd;

/// An archive, unpacked.
#[derive(Debug)]
pub struct Unpacked {
    /// What was made.
    pub report: UnpackReport,
    /// The length of the archive, in bytes.
    pub length: u64,
    /// Its sha256, where it was wanted.
    pub digest: Option<String>,
    /// How it was compressed.
    pub compression: Compression,
    /// Whether it has an entry for its root.
    pub root_named: Switch,
}

/// How an archive is unpacked.
pub struct Unpack<'a> {
    /// What the caller may give.
    pub rights: UnpackRights,
    /// How much the archive may hold.
    pub limits: UnpackLimits,
    /// How many threads do it.
    pub threads: Threads,
    /// Whether the archive is hashed on the way.
    pub hashing: Hashing,
    /// Where owners are to have other numbers than in the archive.
    pub renumber: Option<&'a Renumber>,
    /// Who is told how far it is, and may end it.
    pub watch: &'a mut dyn Watch,
}

impl Unpack<'_> {
    /// Unpacks into an empty directory.
    ///
    /// # Errors
    /// A stream that is cut or damaged, an entry that breaks a rule, a full disk. What was unpacked
    /// until then stays for the caller to remove.
    pub fn unpack(self, archive: &Archive, into: BorrowedFd<'_>) -> Result<Unpacked, Failure> {
        let Opened { plain, meter, length } = archive.open(self.hashing)?;
        let compression = plain.compression;
        // Below that a thread costs more than it gives, and plain bytes are read as fast as they
        // are handed over. But who waits for stdin cannot be asked whether to go on.
        let pays = length.is_none_or(|length| compression != Compression::None && length > SMALL);
        let threads = if pays { self.threads } else { Threads::One };
        let mut reader = Reader::new(WatchedStream::new(
            plain.stream,
            threads,
            meter.clone(),
            length,
            self.watch,
        ));
        let mut writer = TreeWriter::new(into, self.rights, self.limits);
        writer.renumber(self.renumber);
        let written = (|| {
            while let Some(entry) = reader.next_entry()? {
                writer.write(&entry, &mut reader)?;
            }
            reader.into_inner().finish()
        })();
        let root_named = writer.root_named();
        let report =
            written.and_then(|()| writer.finish()).map_err(|failure| archive.blame(failure))?;
        Ok(Unpacked {
            report,
            length: meter.read(),
            digest: meter.digest(),
            compression,
            root_named,
        })
    }
}

/// Bytes of an archive that is unpacked by one thread.
const SMALL: u64 = 256 << 10;
