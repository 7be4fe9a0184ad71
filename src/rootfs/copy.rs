//! A tree of the store as entries, for a run without a mount namespace: it cannot lay an overlay
//! over the tree, and must not write to it.

use crate::beneath;
use crate::error::Failure;
use crate::rootfs::entry::{Entry, EntryKind, EntryPath, Metadata, Stretch, Time};
use crate::rootfs::policy::shown;
use crate::rootfs::writer::{Content, Take, TreeWriter};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    Dir, FileType, Mode, OFlags, SeekFrom, fgetxattr, flistxattr, major, minor, openat, readlinkat,
    seek, statat,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Writes every file beneath `from`.
///
/// # Errors
/// What cannot be read or written, by name.
pub(super) fn tree(from: BorrowedFd<'_>, writer: &mut TreeWriter<'_>) -> Result<(), Failure> {
    let mut names: HashMap<u64, EntryPath> = HashMap::new();
    let mut next = vec![Vec::new()];
    while let Some(path) = next.pop() {
        let failed =
            |errno: Errno| Failure::new(format!("cannot copy '{}'", shown(&path))).errno(errno);
        let place = EntryPath::of(&path).map_err(|rule| rule.of(&path))?;
        let (entry, mut file) = entry(from, &place, &mut names).map_err(failed)?;
        if entry.kind == EntryKind::Directory {
            next.extend(children(from, &place).map_err(failed)?);
        }
        writer.write(&entry, &mut file)?;
    }
    Ok(())
}

fn children(root: BorrowedFd<'_>, place: &EntryPath) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for entry in Dir::new(beneath::directory(root, place.path())?)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            found.push(if place.is_root() {
                name.to_vec()
            } else {
                [place.bytes(), b"/", name].concat()
            });
        }
    }
    Ok(found)
}

/// The content of a file of the tree: its stretches of data.
struct Stored {
    file: Option<OwnedFd>,
    stretches: Vec<Stretch>,
}

fn entry(
    root: BorrowedFd<'_>,
    place: &EntryPath,
    names: &mut HashMap<u64, EntryPath>,
) -> rustix::io::Result<(Entry, Stored)> {
    let (directory, name) = parent_of(root, place)?;
    let stat = statat(&directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    let mut metadata = Metadata {
        uid: stat.st_uid,
        gid: stat.st_gid,
        mode: stat.st_mode & 0o7777,
        mtime: Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 },
        ..Metadata::default()
    };
    let mut stored = Stored { file: None, stretches: Vec::new() };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::Directory && stat.st_nlink > 1 {
        if let Some(first) = names.get(&stat.st_ino) {
            return Ok((
                Entry { place: place.clone(), kind: EntryKind::HardLink(first.clone()), metadata },
                stored,
            ));
        }
        names.insert(stat.st_ino, place.clone());
    }
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    let kind = match kind {
        FileType::Directory => {
            let open = openat(
                &directory,
                name,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            metadata.attributes = attributes(&open)?;
            EntryKind::Directory
        }
        FileType::RegularFile => {
            let file = beneath::open(&directory, name, OFlags::RDONLY, Mode::empty())?;
            metadata.attributes = attributes(&file)?;
            let size = stat.st_size as u64;
            stored.stretches = stretches(&file, size)?;
            stored.file = Some(file);
            let dense =
                stored.stretches.as_slice() == [Stretch { offset: 0, length: size }] || size == 0;
            EntryKind::File { size, data: (!dense).then(|| stored.stretches.clone()) }
        }
        FileType::Symlink => {
            EntryKind::Symlink(readlinkat(&directory, name, Vec::new())?.into_bytes())
        }
        FileType::CharacterDevice => EntryKind::Character(device.0, device.1),
        FileType::BlockDevice => EntryKind::Block(device.0, device.1),
        FileType::Fifo => EntryKind::Fifo,
        // Nothing of the kind comes out of an archive.
        FileType::Socket | FileType::Unknown => return Err(Errno::INVAL),
    };
    Ok((Entry { place: place.clone(), kind, metadata }, stored))
}

/// The directory that a file lies in, and the file's name there; the root lies in itself.
fn parent_of<'p>(
    root: BorrowedFd<'_>,
    place: &'p EntryPath,
) -> rustix::io::Result<(OwnedFd, &'p Path)> {
    match place.split() {
        Some((b"", name)) => Ok((beneath::directory(root, Path::new("."))?, name)),
        Some((directory, name)) => {
            Ok((beneath::directory(root, Path::new(OsStr::from_bytes(directory)))?, name))
        }
        None => {
            let directory = root.try_clone_to_owned().map_err(|_| Errno::MFILE)?;
            Ok((directory, Path::new(".")))
        }
    }
}

/// Where a file has data, lseek(2).
fn stretches(file: &OwnedFd, size: u64) -> rustix::io::Result<Vec<Stretch>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < size {
        let offset = match seek(file, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            offset => offset?,
        };
        at = seek(file, SeekFrom::Hole(offset))?.min(size);
        found.push(Stretch { offset, length: at - offset });
    }
    Ok(found)
}

/// The names of the extended attributes of an open file; none where its file system has none.
pub(super) fn attribute_names(fd: impl AsFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    // Most have few of them; XATTR_LIST_MAX of linux/limits.h.
    let mut names = vec![0; 1 << 10];
    let mut listed = flistxattr(&fd, names.as_mut_slice());
    if listed == Err(Errno::RANGE) {
        names.resize(64 << 10, 0);
        listed = flistxattr(&fd, names.as_mut_slice());
    }
    names.truncate(match listed {
        Err(Errno::OPNOTSUPP) => 0,
        length => length?,
    });
    Ok(names.split(|&byte| byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

/// The extended attributes of an open file, names and values.
pub(super) fn attributes(fd: impl AsFd) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    for name in attribute_names(&fd)? {
        let mut value = vec![0; 64 << 10];
        // What this process may not read, such as a security module's label, came from the host and
        // not from the archive.
        if let Ok(length) = fgetxattr(&fd, name.as_slice(), value.as_mut_slice()) {
            value.truncate(length);
            found.push((name, value));
        }
    }
    Ok(found)
}

impl Content for Stored {
    fn each(&mut self, take: &mut Take<'_>) -> Result<(), Failure> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut buffer = vec![0; 128 << 10];
        let mut at = 0;
        for stretch in &self.stretches {
            let mut done = 0;
            while done < stretch.length {
                let wanted =
                    usize::try_from(stretch.length - done).unwrap_or(usize::MAX).min(buffer.len());
                let length = rustix::io::retry_on_intr(|| {
                    rustix::io::pread(file, &mut buffer[..wanted], stretch.offset + done)
                })
                .map_err(|errno| Failure::new("cannot read a file of the store").errno(errno))?;
                if length == 0 {
                    return Err(Failure::new(
                        "a file of the store has become shorter while it was copied",
                    ));
                }
                take(at, &buffer[..length])?;
                at += length as u64;
                done += length as u64;
            }
        }
        Ok(())
    }
}
