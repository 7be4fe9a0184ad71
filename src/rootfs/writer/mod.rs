//! The writer: entries into a directory, beneath one descriptor, by calls on a single component
//! each, and never through a symlink.

mod content;
mod metadata;
mod parent;

pub use content::{Content, Take, write_all};
pub(super) use parent::times_of;

use crate::error::Failure;
use crate::host::{Host, UserNamespace};
use crate::namespace::Switch;
use crate::rootfs::entry::{Entry, EntryKind, EntryPath, Stretch};
use crate::rootfs::policy::Rule;
use crate::rootfs::report::UnpackReport;
use caps::Capability;
use content::Spread;
use metadata::Closed;
use parent::ParentDirectory;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ftruncate, linkat, makedev, mkdirat, mknodat, openat, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid};
use std::collections::BTreeSet;
use std::path::Path;

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

/// What the one who unpacks may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackRights {
    /// Owners.
    pub owners: Owners,
    /// Device nodes.
    pub devices: Devices,
}

impl UnpackRights {
    /// Those of the caller: root keeps owners, and outside a user namespace makes device nodes.
    pub fn of(host: &Host) -> Self {
        let nodes =
            host.user_namespace == UserNamespace::Initial && host.holds(Capability::CAP_MKNOD);
        Self {
            owners: if host.uid == 0 { Owners::Kept } else { Owners::Squashed },
            devices: if nodes && host.uid == 0 { Devices::Made } else { Devices::Skipped },
        }
    }
}

/// Bytes of what a writer remembers until the end. Real archives have a handful of such entries;
/// more is an attack on memory.
const MOST_REMEMBERED: usize = 4 << 20;

/// How much an archive may hold: a small file can stand for a very large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of all files, holes included.
    pub bytes: u64,
    /// Entries, implied directories included.
    pub entries: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self { bytes: 8 << 30, entries: 1_000_000 }
    }
}

/// Makes what it is given.
pub struct TreeWriter<'a> {
    root: BorrowedFd<'a>,
    rights: UnpackRights,
    /// Who makes the files.
    own: (Uid, Gid),
    limits: UnpackLimits,
    parent: ParentDirectory<'a>,
    closed: Closed,
    /// Whether the archive has had an entry for its root.
    root_named: Switch,
    /// The places of devices that were left out, and how many bytes they take: a hard link to one
    /// is left out too.
    skipped: BTreeSet<Vec<u8>>,
    skipped_bytes: usize,
    report: UnpackReport,
}

/// Why an entry was not made.
enum WriteError {
    Errno(Errno),
    Broken(Rule),
    Content(Failure),
}

impl From<Errno> for WriteError {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Rule> for WriteError {
    fn from(rule: Rule) -> Self {
        Self::Broken(rule)
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        Self::Content(failure)
    }
}

impl WriteError {
    fn of(self, entry: &[u8]) -> Failure {
        match self {
            Self::Errno(errno) => cannot(entry, errno),
            Self::Broken(rule) => rule.of(entry),
            Self::Content(failure) => failure,
        }
    }
}

fn cannot(entry: &[u8], errno: Errno) -> Failure {
    let failure = Failure::new(format!(
        "archive entry '{}': cannot be written",
        crate::rootfs::policy::shown(entry)
    ))
    .errno(errno);
    match errno {
        Errno::NOSPC => failure.why("the file system is full: of bytes (df), or of files (df -i)"),
        Errno::DQUOT => failure.why("the quota of this user is used up"),
        _ => failure,
    }
}

impl<'a> TreeWriter<'a> {
    /// Into an empty directory, given as a descriptor that was opened to be read.
    pub fn new(root: BorrowedFd<'a>, rights: UnpackRights, limits: UnpackLimits) -> Self {
        Self {
            root,
            rights,
            own: (geteuid(), getegid()),
            limits,
            parent: ParentDirectory::new(root),
            closed: Closed::default(),
            root_named: Switch::No,
            skipped: BTreeSet::new(),
            skipped_bytes: 0,
            report: UnpackReport::default(),
        }
    }

    /// Makes one entry.
    ///
    /// # Errors
    /// An entry that breaks a rule or a limit, by name; a full disk. What was made until then stays
    /// for the caller to remove.
    pub fn write(&mut self, entry: &Entry, content: &mut impl Content) -> Result<(), Failure> {
        self.make(entry, content).map_err(|error| error.of(name_of(&entry.place)))
    }

    /// Gives the directories what had to wait for their content, and counts.
    ///
    /// # Errors
    /// A directory that cannot be finished, by name.
    pub fn finish(mut self) -> Result<UnpackReport, Failure> {
        self.parent.leave().map_err(|errno| cannot(b".", errno))?;
        self.closed.close(self.root).map_err(|(place, errno)| {
            cannot(if place.is_empty() { b"." } else { &place }, errno)
        })?;
        Ok(self.report)
    }

    /// Whether the archive has had an entry for its root.
    pub fn root_named(&self) -> Switch {
        self.root_named
    }

    fn make(&mut self, entry: &Entry, content: &mut impl Content) -> Result<(), WriteError> {
        self.skipped.remove(entry.place.bytes());
        match &entry.kind {
            EntryKind::Directory => self.directory(entry)?,
            EntryKind::File { size, data } => self.file(entry, *size, data.as_deref(), content)?,
            EntryKind::Symlink(target) => self.symlink(entry, target)?,
            EntryKind::HardLink(target) => self.hard_link(entry, target)?,
            EntryKind::Character(major, minor) => {
                self.node(entry, FileType::CharacterDevice, makedev(*major, *minor))?
            }
            EntryKind::Block(major, minor) => {
                self.node(entry, FileType::BlockDevice, makedev(*major, *minor))?
            }
            EntryKind::Fifo => self.node(entry, FileType::Fifo, 0)?,
        }
        if self.report.entries() > self.limits.entries {
            return Err(Rule::Entries(self.limits.entries).into());
        }
        Ok(())
    }

    /// The directory of a new entry, made where the archive has no entry for it, and the entry's
    /// name there.
    fn parent_of<'p>(
        &mut self,
        place: &'p EntryPath,
    ) -> Result<(BorrowedFd<'_>, &'p Path), WriteError> {
        let (directory, name) = place.split().ok_or(Rule::RootKind)?;
        let limits = self.limits;
        let made = self.parent.enter(directory).map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => WriteError::Broken(Rule::NotBeneath),
            errno => errno.into(),
        })?;
        self.report.directories += made;
        if self.report.entries() > limits.entries {
            return Err(Rule::Entries(limits.entries).into());
        }
        Ok((self.parent.fd(), name))
    }

    fn directory(&mut self, entry: &Entry) -> Result<(), WriteError> {
        if entry.place.is_root() {
            self.parent.forget();
            self.closed.reopen(&entry.place);
            self.report.directories += u64::from(self.root_named == Switch::No);
            self.root_named = Switch::Yes;
            let root = self.root;
            return self.dress(root, entry, FileType::Directory);
        }
        let (dir, name) = self.parent_of(&entry.place)?;
        let make = |dir: BorrowedFd<'_>| mkdirat(dir, name, Mode::RWXU);
        let known = match make(dir) {
            Err(Errno::EXIST) if kind_of(dir, name)? == FileType::Directory => true,
            Err(Errno::EXIST) => {
                clear(dir, name)?;
                make(dir)?;
                false
            }
            result => result.map(|()| false)?,
        };
        let made = openat(
            dir,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        if known {
            self.closed.reopen(&entry.place);
        } else {
            self.report.directories += 1;
        }
        self.dress(made.as_fd(), entry, FileType::Directory)
    }

    fn file(
        &mut self,
        entry: &Entry,
        size: u64,
        data: Option<&[Stretch]>,
        content: &mut impl Content,
    ) -> Result<(), WriteError> {
        self.report.bytes = self.report.bytes.saturating_add(size);
        if self.report.bytes > self.limits.bytes {
            return Err(Rule::Bytes(self.limits.bytes).into());
        }
        let (dir, name) = self.parent_of(&entry.place)?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = placed(dir, name, || openat(dir, name, flags, Mode::RUSR | Mode::WUSR))?;
        // A full disk is the entry's error, a cut stream the archive's.
        let mut stopped = None;
        let mut stop = |errno| {
            stopped = Some(errno);
            Failure::new("")
        };
        let read = match data {
            None => content.each(&mut |_, bytes| write_all(&file, bytes).map_err(&mut stop)),
            Some(stretches) => {
                let mut spread = Spread::over(stretches);
                content
                    .each(&mut |at, bytes| spread.write(&file, at, bytes).map_err(&mut stop))
                    .and_then(|()| ftruncate(&file, size).map_err(&mut stop))
            }
        };
        match (read, stopped) {
            (Ok(()), _) => {}
            (Err(_), Some(errno)) => return Err(errno.into()),
            (Err(failure), None) => return Err(failure.into()),
        }
        self.report.files += 1;
        self.dress(file.as_fd(), entry, FileType::RegularFile)
    }

    fn symlink(&mut self, entry: &Entry, target: &[u8]) -> Result<(), WriteError> {
        let (dir, name) = self.parent_of(&entry.place)?;
        placed(dir, name, || symlinkat(target, dir, name))?;
        self.report.symlinks += 1;
        self.dress_by_name(entry, name)
    }

    /// To a file that came earlier: the directory of the target is resolved as strictly as every
    /// other path, and the link is made without following.
    fn hard_link(&mut self, entry: &Entry, target: &EntryPath) -> Result<(), WriteError> {
        if self.skipped.contains(target.bytes()) {
            return self.skip(entry);
        }
        let missing = || Rule::LinkMissing(target.bytes().to_vec());
        let (from, old) =
            target.split().ok_or_else(|| Rule::LinkToDirectory(target.bytes().to_vec()))?;
        let from = self.parent.find(from).map_err(|errno| match errno {
            Errno::NOENT => WriteError::Broken(missing()),
            Errno::LOOP | Errno::NOTDIR => Rule::NotBeneath.into(),
            errno => errno.into(),
        })?;
        match kind_of(from.as_fd(), old) {
            Ok(FileType::Directory) => {
                return Err(Rule::LinkToDirectory(target.bytes().to_vec()).into());
            }
            Ok(_) => {}
            Err(Errno::NOENT) => return Err(missing().into()),
            Err(errno) => return Err(errno.into()),
        }
        self.report.hard_links += 1;
        if entry.place == *target {
            return Ok(());
        }
        let (dir, name) = self.parent_of(&entry.place)?;
        placed(dir, name, || linkat(&from, old, dir, name, AtFlags::empty()))
    }

    /// Leaves a device out, and with it whatever had its name before.
    fn skip(&mut self, entry: &Entry) -> Result<(), WriteError> {
        let (dir, name) = self.parent_of(&entry.place)?;
        clear(dir, name)?;
        self.report.devices_skipped += 1;
        self.skipped_bytes += entry.place.bytes().len() + size_of::<Vec<u8>>();
        self.skipped.insert(entry.place.bytes().to_vec());
        if self.skipped_bytes > MOST_REMEMBERED { Err(Rule::Closed.into()) } else { Ok(()) }
    }

    fn node(
        &mut self,
        entry: &Entry,
        kind: FileType,
        device: rustix::fs::Dev,
    ) -> Result<(), WriteError> {
        if kind != FileType::Fifo && self.rights.devices == Devices::Skipped {
            return self.skip(entry);
        }
        let (dir, name) = self.parent_of(&entry.place)?;
        placed(dir, name, || mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device))?;
        match kind {
            FileType::Fifo => self.report.fifos += 1,
            _ => self.report.devices += 1,
        }
        self.dress_by_name(entry, name)
    }
}

/// Makes something in a place, with whatever stood there taken away first: an archive may name a
/// path twice, and the last one counts.
fn placed<T>(
    dir: BorrowedFd<'_>,
    name: &Path,
    make: impl Fn() -> rustix::io::Result<T>,
) -> Result<T, WriteError> {
    match make() {
        Err(Errno::EXIST) => {
            clear(dir, name)?;
            Ok(make()?)
        }
        result => Ok(result?),
    }
}

/// Takes away what stands in a place, unless it is a directory. Never opened, never cut: it may be
/// a fifo, or a name of another file.
fn clear(dir: BorrowedFd<'_>, name: &Path) -> Result<(), WriteError> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(_) if kind_of(dir, name).is_ok_and(|kind| kind == FileType::Directory) => {
            Err(Rule::ReplacesDirectory.into())
        }
        Err(errno) => Err(errno.into()),
    }
}

fn kind_of(dir: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<FileType> {
    Ok(FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
}

/// For an error line: the root has no name of its own.
fn name_of(place: &EntryPath) -> &[u8] {
    if place.is_root() { b"." } else { place.bytes() }
}
