//! What an inode says of a file besides its content: owner, attributes, mode, times, in the order
//! in which none undoes another.

use super::closed::{ACCESS, DEFAULT, Postponed};
use super::entries::TreeWriter;
use super::failure::WriteError;
use super::named_lists::LIST;
use super::rights::{Owners, SetIds};
use crate::beneath;
use crate::rootfs::entry::{Entry, EntryKind, Metadata, Time};
use crate::rootfs::policy::Rule;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod,
    fchown, fremovexattr, fsetxattr, fstat, fstatvfs, futimens, openat, statat, utimensat,
};
use rustix::io::{Errno, Result};
use std::path::Path;

/// The attributes that have numbers of users and groups in them.
const NUMBERED: [&[u8]; 3] = [ACCESS, DEFAULT, CAPABILITY];
pub(super) const CAPABILITY: &[u8] = b"security.capability";

/// And what has no name space here.
const OF_OTHERS: &str = "of other systems' attributes";

/// What becomes of an extended attribute.
enum XattrDecision {
    Kept,
    /// It is counted under this name.
    LeftOut(&'static str),
}

/// An overlay reads marks in its lower layer (`trusted.overlay.*`, and `user.overlay.*` in a user
/// namespace): an image must not set them. The labels of security modules belong to the host's
/// policy. A plain user can give neither capabilities nor other ids.
fn fate(name: &[u8], owners: Owners) -> XattrDecision {
    match (name, owners) {
        (name, _) if name.starts_with(b"user.overlay.") => XattrDecision::LeftOut("user.overlay.*"),
        (name, _) if name.starts_with(b"user.") => XattrDecision::Kept,
        (b"security.capability" | ACCESS | DEFAULT, Owners::Kept | Owners::KeptWhereMapped) => {
            XattrDecision::Kept
        }
        (b"security.capability", Owners::Squashed) => XattrDecision::LeftOut("security.capability"),
        (ACCESS | DEFAULT, Owners::Squashed) => XattrDecision::LeftOut(LIST),
        (name, _) if name.starts_with(b"trusted.") => XattrDecision::LeftOut("trusted.*"),
        (name, _) if name.starts_with(b"security.") => XattrDecision::LeftOut("security.*"),
        (name, _) if name.starts_with(b"system.") => XattrDecision::LeftOut("system.*"),
        // macOS's, those of a file system: Linux has no such name space.
        _ => XattrDecision::LeftOut(OF_OTHERS),
    }
}

impl TreeWriter<'_> {
    /// Gives an open file or directory its metadata. The owner first, since chown clears the
    /// set-user-ID bits and security.capability; attributes before the mode, which may forbid to
    /// set them; an access control list after the mode, which is a part of it.
    pub(super) fn dress(
        &mut self,
        fd: BorrowedFd<'_>,
        entry: &Entry,
        kind: FileType,
    ) -> std::result::Result<(), WriteError> {
        let metadata = &entry.metadata;
        // A directory may have been there before its entry came.
        let given = match self.owner(metadata) {
            Some((uid, gid))
                if kind == FileType::Directory || !self.is_born_with_owner(metadata) =>
            {
                fchown(fd, Some(uid), Some(gid))
            }
            _ => Ok(()),
        };
        let mode = self.count_owner(metadata, kind, given)?;
        let attributes = self.kept(fd, metadata);
        let mut set = 0;
        for (name, value) in attributes.iter().filter(|(name, _)| ![ACCESS, DEFAULT].contains(name))
        {
            set += self.report.set(held(fd, fsetxattr(fd, *name, value, XattrFlags::empty())))?;
        }
        let list = |name: &[u8]| {
            attributes.iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_vec())
        };
        let mut lists = [list(ACCESS), list(DEFAULT)];
        if kind != FileType::Directory && lists[1].take().is_some() {
            self.report.not_held(1);
        }
        if kind == FileType::Directory && (lists[1].is_some() || !mode.contains(Mode::RWXU)) {
            fchmod(fd, mode | Mode::RWXU)?;
            set += lists.iter().flatten().count() as u64;
            self.closed.wait(&entry.place, Postponed { mode, lists })?;
        } else {
            fchmod(fd, mode)?;
            if let Some(list) = &lists[0] {
                let given = held(fd, fsetxattr(fd, ACCESS, list, XattrFlags::empty()));
                set += match given {
                    Err(Errno::INVAL) => return Err(Rule::Acl.into()),
                    given => self.report.set(given)?,
                };
            }
        }
        // Without a word chmod(2) leaves the set-group-ID bit out for who is not in the group.
        if mode.intersects(Mode::SUID | Mode::SGID)
            && !Mode::from_raw_mode(fstat(fd)?.st_mode).contains(mode & (Mode::SUID | Mode::SGID))
        {
            return Err(Rule::SetId.into());
        }
        self.report.attributes += set;
        self.named_lists.take(entry, fd, self.rights.owners, &mut self.report)?;
        futimens(fd, &times(metadata.mtime))?;
        if beyond_every_file_system(metadata.mtime) && time_of(&fstat(fd)?) != metadata.mtime {
            return Err(Rule::Time.into());
        }
        Ok(())
    }

    /// Gives a symlink, a fifo or a device its metadata: opening a fifo would wait for its other
    /// end, and a device would do who knows what.
    pub(super) fn dress_by_name(
        &mut self,
        entry: &Entry,
        name: &Path,
    ) -> std::result::Result<(), WriteError> {
        let metadata = &entry.metadata;
        let attributes = self.wanted(metadata);
        let owner = self.owner(metadata).filter(|_| !self.is_born_with_owner(metadata));
        let given = owner.map_or(Ok(()), |(uid, gid)| {
            chownat(self.parent.fd(), name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        });
        let mode = self.count_owner(metadata, FileType::Unknown, given)?;
        let dir = self.parent.fd();
        if !matches!(entry.kind, EntryKind::Symlink(_)) {
            let node = openat(
                dir,
                name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            if FileType::from_raw_mode(fstat(&node)?.st_mode) == FileType::Symlink {
                return Err(Errno::LOOP.into());
            }
            beneath::chmod(&node, mode)?;
            // Of fifos and devices, which have lists but nothing of users'.
            for (name, value) in &attributes {
                let given = beneath::set_attribute(&node, name, value);
                // xattr(7): of users only files and directories have some.
                let given = if given == Err(Errno::PERM) { Err(Errno::OPNOTSUPP) } else { given };
                self.report.attributes += self.report.set(given)?;
            }
            let (owners, report) = (self.rights.owners, &mut self.report);
            self.named_lists.take(entry, node.as_fd(), owners, report)?;
        } else {
            let lists = metadata.named_lists.len();
            self.report.not_held((attributes.len() + lists) as u64);
        }
        utimensat(dir, name, &times(metadata.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
        let held = !beyond_every_file_system(metadata.mtime)
            || time_of(&statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?) == metadata.mtime;
        if held { Ok(()) } else { Err(Rule::Time.into()) }
    }

    /// The owner that an entry is to get, where that need not be who unpacks.
    fn owner(&self, metadata: &Metadata) -> Option<(Uid, Gid)> {
        let owner = (Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid));
        (self.rights.owners != Owners::Squashed).then_some(owner)
    }

    /// Counts what has become of the owner of an entry; the mode that it may have.
    fn count_owner(
        &mut self,
        metadata: &Metadata,
        kind: FileType,
        given: Result<()>,
    ) -> Result<Mode> {
        let mode = Mode::from_raw_mode(metadata.mode);
        let others = u64::from((metadata.uid, metadata.gid) != (0, 0));
        match (self.rights.owners, given) {
            (Owners::Squashed, _) => {
                self.report.owners_squashed += others;
                let set_ids = Mode::SUID | Mode::SGID;
                let is_program = kind != FileType::Directory && mode.intersects(set_ids);
                if self.rights.set_ids == SetIds::Dropped && is_program {
                    self.report.set_ids_dropped += 1;
                    return Ok(mode - set_ids);
                }
            }
            // chown(2) with an id that the user namespace does not map.
            (Owners::KeptWhereMapped, Err(Errno::INVAL)) => {
                self.report.owners_unmapped += 1;
                return Ok(mode - (Mode::SUID | Mode::SGID));
            }
            (Owners::Kept | Owners::KeptWhereMapped, given) => {
                given?;
                self.report.other_owners += others;
            }
        }
        Ok(mode)
    }

    /// Whether what was made just now has its owner already.
    fn is_born_with_owner(&self, metadata: &Metadata) -> bool {
        let own = (self.own.0.as_raw(), self.own.1.as_raw());
        (metadata.uid, metadata.gid) == own && self.parent.group() == Some(own.1)
    }

    /// The attributes of an open file that are to be set, and can be.
    fn kept<'e>(
        &mut self,
        fd: BorrowedFd<'_>,
        metadata: &'e Metadata,
    ) -> Vec<(&'e [u8], &'e [u8])> {
        let mut kept = self.wanted(metadata);
        if self.rights.owners == Owners::KeptWhereMapped {
            let lists = kept.extract_if(.., |(name, list)| {
                NUMBERED.contains(name) && names_unmapped(fd, name, list)
            });
            for (name, _) in lists {
                let family = if name == CAPABILITY { "security.capability" } else { LIST };
                *self.report.attributes_left_out.entry(family.into()).or_default() += 1;
            }
        }
        kept
    }

    /// The attributes that are to be set; the others are counted.
    fn wanted<'e>(&mut self, metadata: &'e Metadata) -> Vec<(&'e [u8], &'e [u8])> {
        let mut kept = Vec::new();
        for (name, value) in &metadata.attributes {
            match fate(name, self.rights.owners) {
                XattrDecision::Kept => kept.push((name.as_slice(), value.as_slice())),
                XattrDecision::LeftOut(family) => {
                    *self.report.attributes_left_out.entry(family.into()).or_default() += 1
                }
            }
        }
        if metadata.left_out > 0 {
            *self.report.attributes_left_out.entry("file flags and labels".into()).or_default() +=
                metadata.left_out;
        }
        kept
    }
}

/// What setxattr(2) has answered: what does not fit into an inode is not held, as long as there is
/// room for files.
fn held(fd: BorrowedFd<'_>, given: Result<()>) -> Result<()> {
    const ROOM: u64 = 1 << 20;
    match given {
        Err(Errno::TOOBIG | Errno::RANGE) => Err(Errno::OPNOTSUPP),
        Err(Errno::NOSPC)
            if fstatvfs(fd).is_ok_and(|stat| stat.f_bavail * stat.f_frsize > ROOM) =>
        {
            Err(Errno::OPNOTSUPP)
        }
        given => given,
    }
}

/// Whether an attribute names an id that the user namespace does not map: setxattr(2) refuses it
/// with EINVAL. It is tried, and taken away again: it is set when its time has come.
fn names_unmapped(fd: BorrowedFd<'_>, name: &[u8], list: &[u8]) -> bool {
    let set = fsetxattr(fd, name, list, XattrFlags::empty());
    let _ = set.is_ok().then(|| fremovexattr(fd, name));
    set == Err(Errno::INVAL)
}

fn times(mtime: Time) -> Timestamps {
    let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Times that some file system clamps without a word, utimensat(2): those before 1970 and after
/// 2038.
fn beyond_every_file_system(time: Time) -> bool {
    i32::try_from(time.seconds).is_err() || time.seconds < 0
}

fn time_of(stat: &rustix::fs::Stat) -> Time {
    Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 }
}
