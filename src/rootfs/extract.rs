//! The writer: a tar stream into a directory, every path resolved beneath one descriptor, one component at a time, never through a
//! symlink. What cannot be unpacked as it is, is an error; nothing is skipped in silence.

use crate::beneath;
use crate::failure::{Failure, printable};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Dev, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, futimens, linkat, makedev, mkdirat,
    mknodat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// What becomes of owners other than the one who unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// They are kept.
    Kept,
    /// Everything belongs to who unpacks, and is counted.
    Squashed,
}

/// What becomes of device nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// They are made.
    Made,
    /// They are left out, and counted.
    Skipped,
}

/// How much an archive may hold: a small file can stand for a very large one.
const MOST_BYTES: u64 = 8 << 30;
const MOST_ENTRIES: u64 = 1_000_000;
const DEEPEST: usize = 256;

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries of any kind.
    pub entries: u64,
    /// Device nodes that were left out.
    pub devices_skipped: u64,
    /// Entries whose owner was squashed.
    pub owners_squashed: u64,
}

/// Unpacks a tar stream into an empty directory.
///
/// # Errors
/// A stream that is cut or damaged, an entry that would leave the directory, a kind of entry that is not known, a full disk. What was
/// unpacked until then stays for the caller to remove.
pub fn unpack(mut stream: impl Read, into: BorrowedFd<'_>, owners: Owners, devices: Devices) -> Result<Tally, Failure> {
    let mut writer = Writer { root: into, owners, devices, tally: Tally::default(), bytes: 0, directories: Vec::new() };
    {
        let mut archive = tar::Archive::new(&mut stream);
        let entries = archive.entries().map_err(|error| damaged(&error))?;
        for entry in entries {
            let mut entry = entry.map_err(|error| damaged(&error))?;
            writer.entry(&mut entry)?;
        }
    }
    writer.finish_directories()?;
    // To the end of the stream: only there does gzip's checksum stand.
    io::copy(&mut stream, &mut io::sink()).map_err(|error| damaged(&error))?;
    Ok(writer.tally)
}

struct Writer<'a> {
    root: BorrowedFd<'a>,
    owners: Owners,
    devices: Devices,
    tally: Tally,
    bytes: u64,
    /// Directories get their owner, mode and time last: a mode may forbid writing, and every entry changes the time.
    directories: Vec<(PathBuf, Metadata)>,
}

#[derive(Clone, Copy)]
struct Metadata {
    uid: u64,
    gid: u64,
    mode: u32,
    mtime: i64,
}

impl Writer<'_> {
    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), Failure> {
        let name = PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path_bytes()));
        let refused = |rule: &str| Failure::new(format!("archive entry '{}': {rule}", shown(&name)));
        self.tally.entries += 1;
        if self.tally.entries > MOST_ENTRIES {
            return Err(refused("more than a million entries"));
        }
        let path = plain(&name).ok_or_else(|| refused("'..' in a name would lead outside"))?;
        if path.components().count() > DEEPEST {
            return Err(refused("deeper than 256 directories"));
        }
        if sparse_in_pax(entry) {
            return Err(refused("a sparse file in the format of PAX, which is not unpacked yet"));
        }
        let header = entry.header();
        let metadata = (|| -> io::Result<Metadata> {
            Ok(Metadata {
                uid: header.uid()?,
                gid: header.gid()?,
                mode: header.mode()? & 0o7777,
                mtime: i64::try_from(header.mtime()?).unwrap_or(0),
            })
        })()
        .map_err(|error| damaged(&error))?;
        let kind = header.entry_type();
        let link = entry.link_name_bytes().map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes)));
        let done = |result: rustix::io::Result<()>| result.map_err(|errno| refused("cannot be written").errno(errno));
        match kind {
            tar::EntryType::Directory => done(self.directory(&path, metadata)),
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                self.bytes += entry.size();
                if self.bytes > MOST_BYTES {
                    return Err(refused("more than 8 GiB in all"));
                }
                self.file(&path, metadata, entry).map_err(|error| match Errno::from_io_error(&error) {
                    Some(errno) => refused("cannot be written").errno(errno),
                    None => damaged(&error),
                })
            }
            tar::EntryType::Symlink => {
                let to = link.ok_or_else(|| refused("a symlink to nothing"))?;
                done(self.symlink(&path, &to, metadata))
            }
            tar::EntryType::Link => {
                let to = link.as_deref().and_then(plain).ok_or_else(|| refused("a hard link that would lead outside"))?;
                done(self.hard_link(&path, &to))
            }
            tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo => {
                let header = entry.header();
                let number = |field: io::Result<Option<u32>>| field.map(Option::unwrap_or_default).map_err(|error| damaged(&error));
                // A fifo has no numbers, and some writers leave the fields empty.
                let device = match kind {
                    tar::EntryType::Fifo => 0,
                    _ => makedev(number(header.device_major())?, number(header.device_minor())?),
                };
                done(self.node(&path, kind, device, metadata))
            }
            tar::EntryType::XGlobalHeader => Ok(()),
            _ => Err(refused("a kind of entry that is not known")),
        }
    }

    /// The directory that holds `path`, made where the archive has no entry for it, and the last component.
    fn parent<'p>(&self, path: &'p Path) -> rustix::io::Result<(OwnedFd, &'p Path)> {
        let name = path.file_name().map(Path::new).ok_or(Errno::EXIST)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let make = crate::namespace::Switch::Yes;
        let fd = beneath::target(self.root, directory, beneath::Kind::Directory, make).map_err(|trouble| trouble.errno)?;
        Ok((fd, name))
    }

    /// The place of a new entry, with whatever stood there taken away: an archive may name a path twice, and the last one counts.
    fn place<'p>(&self, path: &'p Path) -> rustix::io::Result<(OwnedFd, &'p Path)> {
        let (dir, name) = self.parent(path)?;
        match unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok((dir, name)),
            Err(errno) => Err(errno),
        }
    }

    fn directory(&mut self, path: &Path, metadata: Metadata) -> rustix::io::Result<()> {
        if path.file_name().is_some() {
            let (dir, name) = self.parent(path)?;
            match mkdirat(&dir, name, Mode::from_raw_mode(0o700)) {
                Err(Errno::EXIST) if file_type(&dir, name)? == FileType::Directory => {}
                Err(Errno::EXIST) => {
                    unlinkat(&dir, name, AtFlags::empty())?;
                    mkdirat(&dir, name, Mode::from_raw_mode(0o700))?;
                }
                result => result?,
            }
        }
        self.directories.push((path.to_owned(), metadata));
        Ok(())
    }

    fn file(&mut self, path: &Path, metadata: Metadata, content: &mut impl Read) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let mut file = File::from(beneath::open(&dir, name, flags, Mode::from_raw_mode(0o600))?);
        io::copy(content, &mut file)?;
        if self.keeps_owner(metadata) {
            fchown(&file, Some(owner(metadata.uid)?), Some(group(metadata.gid)?))?;
        }
        // After chown, which clears the set-user-ID bit, chown(2).
        fchmod(&file, Mode::from_raw_mode(metadata.mode))?;
        Ok(futimens(&file, &times(metadata))?)
    }

    fn symlink(&mut self, path: &Path, to: &Path, metadata: Metadata) -> rustix::io::Result<()> {
        let (dir, name) = self.place(path)?;
        symlinkat(to, &dir, name)?;
        self.own(&dir, name, metadata)?;
        utimensat(&dir, name, &times(metadata), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// To a file that the archive has made: the target's directory is resolved as strictly as every other path, and the link is made
    /// without following.
    fn hard_link(&mut self, path: &Path, to: &Path) -> rustix::io::Result<()> {
        let (from_dir, from_name) = self.parent(to)?;
        if file_type(&from_dir, from_name)? == FileType::Directory {
            return Err(Errno::ISDIR);
        }
        if path == to {
            return Ok(());
        }
        let (dir, name) = self.place(path)?;
        linkat(&from_dir, from_name, &dir, name, AtFlags::empty())
    }

    fn node(&mut self, path: &Path, kind: tar::EntryType, device: Dev, metadata: Metadata) -> rustix::io::Result<()> {
        let kind = match kind {
            tar::EntryType::Char => FileType::CharacterDevice,
            tar::EntryType::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        if kind != FileType::Fifo && self.devices == Devices::Skipped {
            self.tally.devices_skipped += 1;
            return Ok(());
        }
        let (dir, name) = self.place(path)?;
        mknodat(&dir, name, kind, Mode::from_raw_mode(metadata.mode), device)?;
        self.own(&dir, name, metadata)?;
        // The node was made in this directory a moment ago and nobody else writes there: chmod by name hits it, or fails on a symlink.
        rustix::fs::chmodat(&dir, name, Mode::from_raw_mode(metadata.mode), AtFlags::empty())?;
        utimensat(&dir, name, &times(metadata), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn finish_directories(&mut self) -> Result<(), Failure> {
        for (path, metadata) in std::mem::take(&mut self.directories).into_iter().rev() {
            let finish = || -> rustix::io::Result<()> {
                let find = beneath::target(self.root, &path, beneath::Kind::Directory, crate::namespace::Switch::No);
                let found = match find {
                    Ok(found) => found,
                    // A later entry has put something else in its place.
                    Err(trouble) if matches!(trouble.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                    Err(trouble) => return Err(trouble.errno),
                };
                let dir = beneath::open(&found, Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
                if self.owners == Owners::Kept {
                    fchown(&dir, Some(owner(metadata.uid)?), Some(group(metadata.gid)?))?;
                }
                fchmod(&dir, Mode::from_raw_mode(metadata.mode))?;
                futimens(&dir, &times(metadata))
            };
            finish().map_err(|errno| Failure::new(format!("archive entry '{}': cannot be finished", shown(&path))).errno(errno))?;
            self.count_squashed(metadata);
        }
        Ok(())
    }

    fn own(&mut self, dir: &OwnedFd, name: &Path, metadata: Metadata) -> rustix::io::Result<()> {
        if self.keeps_owner(metadata) {
            chownat(dir, name, Some(owner(metadata.uid)?), Some(group(metadata.gid)?), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn keeps_owner(&mut self, metadata: Metadata) -> bool {
        self.count_squashed(metadata);
        self.owners == Owners::Kept
    }

    fn count_squashed(&mut self, metadata: Metadata) {
        if self.owners == Owners::Squashed && (metadata.uid, metadata.gid) != (0, 0) {
            self.tally.owners_squashed += 1;
        }
    }
}

/// A name of an archive relative to the root: leading slashes and dots dropped, `None` where it climbs.
fn plain(name: &Path) -> Option<PathBuf> {
    name.components()
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
        .map(|part| matches!(part, Component::Normal(_)).then_some(part))
        .collect()
}

fn file_type(dir: &OwnedFd, name: &Path) -> rustix::io::Result<FileType> {
    Ok(FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
}

/// An owner as a kernel id: 2^32-1 means "unchanged" to chown, and anything above would wrap around to another user.
fn owner(id: u64) -> rustix::io::Result<Uid> {
    u32::try_from(id).ok().filter(|&id| id != u32::MAX).map(Uid::from_raw).ok_or(Errno::OVERFLOW)
}

fn group(id: u64) -> rustix::io::Result<Gid> {
    u32::try_from(id).ok().filter(|&id| id != u32::MAX).map(Gid::from_raw).ok_or(Errno::OVERFLOW)
}

fn times(metadata: Metadata) -> Timestamps {
    let time = Timespec { tv_sec: metadata.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn damaged(error: &io::Error) -> Failure {
    Failure::new(format!("the archive is damaged or cut short: {error}"))
}

/// A name for an error line, which need not be as long as the name.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy().chars().take(200).collect::<String>())
}

/// GNU's sparse files of PAX keep their map in the content: written as it is, the file would be wrong.
fn sparse_in_pax(entry: &mut tar::Entry<'_, impl Read>) -> bool {
    let extensions = entry.pax_extensions().ok().flatten();
    extensions.is_some_and(|mut list| list.any(|one| one.is_ok_and(|one| one.key_bytes().starts_with(b"GNU.sparse"))))
}
