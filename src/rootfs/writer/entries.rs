//! Entries into a directory, one after the other: each in its parent directory, which is made where
//! the archive has no entry for it.

use super::closed::Closed;
use super::component::{clear, kind_of, placed};
use super::content::{Content, Spread, write_all};
use super::failure::{WriteError, cannot};
use super::limits::UnpackLimits;
use super::named_lists::NamedLists;
use super::parent::ParentDirectory;
use super::rights::UnpackRights;
use crate::error::Failure;
use crate::namespace::Switch;
use crate::rootfs::entry::{Entry, EntryKind, EntryPath, Stretch};
use crate::rootfs::policy::Rule;
use crate::rootfs::renumber::{Renumber, Renumbered};
use crate::rootfs::report::UnpackReport;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ftruncate, linkat, makedev, mkdirat, openat, symlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid};
use std::collections::BTreeSet;
use std::path::Path;

/// Makes files of entries, beneath one directory.
pub struct TreeWriter<'a> {
    pub(super) root: BorrowedFd<'a>,
    /// The name in the root that is none of the tree's: what layers are read from.
    pub(super) kept_aside: Option<Vec<u8>>,
    pub(super) rights: UnpackRights,
    /// Who makes the files.
    pub(super) own: (Uid, Gid),
    limits: UnpackLimits,
    pub(super) parent: ParentDirectory<'a>,
    pub(super) closed: Closed,
    /// Whether the archive has had an entry for its root.
    root_named: Switch,
    /// The places of devices that were left out, and how many bytes they take: a hard link to one
    /// is left out too.
    pub(super) skipped: BTreeSet<Vec<u8>>,
    pub(super) skipped_bytes: usize,
    pub(super) report: UnpackReport,
    pub(super) renumber: Option<&'a Renumber>,
    pub(super) named_lists: NamedLists,
}

impl<'a> TreeWriter<'a> {
    /// Into an empty directory, given as a descriptor that was opened to be read.
    pub fn new(root: BorrowedFd<'a>, rights: UnpackRights, limits: UnpackLimits) -> Self {
        Self {
            root,
            kept_aside: None,
            rights,
            own: (geteuid(), getegid()),
            limits,
            parent: ParentDirectory::new(root),
            closed: Closed::default(),
            root_named: Switch::No,
            skipped: BTreeSet::new(),
            skipped_bytes: 0,
            report: UnpackReport::default(),
            renumber: None,
            named_lists: NamedLists::default(),
        }
    }

    /// Gives owners other numbers than those that the entries have.
    pub fn renumber(&mut self, renumber: Option<&'a Renumber>) {
        self.renumber = renumber;
        if let Some((uid, gid)) = renumber.map(|renumber| renumber.root) {
            self.parent.made_for(Uid::from_raw(uid), Gid::from_raw(gid));
        }
    }

    /// Makes one entry.
    ///
    /// # Errors
    /// An entry that breaks a rule or a limit, by name; a full disk. What was made until then stays
    /// for the caller to remove.
    pub fn write(&mut self, entry: &Entry, content: &mut impl Content) -> Result<(), Failure> {
        let renumbered = self.renumber.map(|renumber| {
            let mut entry = entry.clone();
            let lost = renumber.apply(&mut entry.metadata) == Renumbered::Lost;
            self.report.owners_unmapped += u64::from(lost);
            entry
        });
        let entry = renumbered.as_ref().unwrap_or(entry);
        self.make(entry, content).map_err(|error| error.of(name_of(&entry.place)))
    }

    /// Gives the directories what had to wait for their content, and counts.
    ///
    /// # Errors
    /// One that cannot be finished, by name.
    pub fn finish(mut self) -> Result<UnpackReport, Failure> {
        self.parent.leave().map_err(|errno| cannot(b".", errno))?;
        self.settle_named_lists()?;
        let lists = self.closed.close(self.root).map_err(|(place, errno)| {
            cannot(if place.is_empty() { b"." } else { &place }, errno)
        })?;
        self.report.attributes -= lists;
        self.report.not_held(lists);
        Ok(self.report)
    }

    /// How many entries there have been.
    pub fn entries(&self) -> u64 {
        self.report.entries()
    }

    /// Whether the archive has had an entry for its root.
    pub fn root_named(&self) -> Switch {
        self.root_named
    }

    fn make(&mut self, entry: &Entry, content: &mut impl Content) -> Result<(), WriteError> {
        if entry.place.depth() as u64 > self.limits.depth {
            return Err(Rule::Deep(self.limits.depth).into());
        }
        self.skipped.remove(entry.place.bytes());
        if !matches!(&entry.kind, EntryKind::HardLink(target) if *target == entry.place) {
            self.named_lists.forget(&entry.place);
        }
        // It may take the place of an empty directory.
        if entry.kind != EntryKind::Directory {
            self.closed.reopen(&entry.place);
        }
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
    pub(super) fn parent_of<'p>(
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
        placed(dir, name, || linkat(&from, old, dir, name, AtFlags::empty()))?;
        self.named_lists.link(target, &entry.place);
        Ok(())
    }
}

/// For an error line: the root has no name of its own.
fn name_of(place: &EntryPath) -> &[u8] {
    if place.is_root() { b"." } else { place.bytes() }
}
