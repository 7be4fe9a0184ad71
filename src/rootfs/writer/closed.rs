//! Directories that are closed at the end, once everything in them has been made.

use super::component::first_of;
use super::limits::MOST_REMEMBERED;
use crate::beneath;
use crate::rootfs::entry::EntryPath;
use crate::rootfs::policy::Rule;
use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, XattrFlags, fchmod, fsetxattr};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The access control list of a file, and that of what is made in a directory, acl(5).
pub(super) const ACCESS: &[u8] = b"system.posix_acl_access";
pub(super) const DEFAULT: &[u8] = b"system.posix_acl_default";

/// Directories whose final state would get in the way of what is still to be made in them: a mode
/// that keeps their owner out, or an access control list that new entries inherit.
#[derive(Default)]
pub(super) struct Closed {
    waiting: BTreeMap<Vec<u8>, Postponed>,
    bytes: usize,
}

/// What such a directory is given at the end.
pub(super) struct Postponed {
    pub(super) mode: Mode,
    /// The lists of the directory itself and of what is made in it. The first is set again after
    /// the mode, which changes it.
    pub(super) lists: [Option<Vec<u8>>; 2],
}

impl Postponed {
    fn bytes(&self, place: &[u8]) -> usize {
        size_of::<Self>() + place.len() + self.lists.iter().flatten().map(Vec::len).sum::<usize>()
    }
}

impl Closed {
    /// Remembers what a directory is to be given.
    ///
    /// # Errors
    /// [`Rule::Closed`] where that is more than is remembered.
    pub(super) fn wait(&mut self, place: &EntryPath, waiting: Postponed) -> Result<(), Rule> {
        self.bytes += waiting.bytes(place.bytes());
        self.waiting.insert(place.bytes().to_vec(), waiting);
        if self.bytes > MOST_REMEMBERED { Err(Rule::Closed) } else { Ok(()) }
    }

    /// A directory that the archive names again: what it says now counts.
    pub(super) fn reopen(&mut self, place: &EntryPath) {
        if let Some(waiting) = self.waiting.remove(place.bytes()) {
            self.bytes -= waiting.bytes(place.bytes());
        }
    }

    /// A list of a directory, for when it is closed, if it waits for that.
    pub(super) fn keep(&mut self, place: &EntryPath, attribute: &[u8], value: Vec<u8>) {
        if let Some(waiting) = self.waiting.get_mut(place.bytes()) {
            let [access, default] = &mut waiting.lists;
            *if attribute == ACCESS { access } else { default } = Some(value);
        }
    }

    /// A tree that is gone.
    pub(super) fn forget(&mut self, place: &EntryPath) {
        self.reopen(place);
        let below = [place.bytes(), b"/"].concat();
        while let Some(key) =
            first_of(&below, self.waiting.range(below.clone()..).map(|(key, _)| key))
        {
            if let Some(waiting) = self.waiting.remove(&key) {
                self.bytes -= waiting.bytes(&key);
            }
        }
    }

    /// Closes them, the last by name first, so that each comes before those that it lies in: a
    /// closed one lets nobody through. How many lists the file system cannot hold.
    pub(super) fn close(self, root: BorrowedFd<'_>) -> Result<u64, (Vec<u8>, Errno)> {
        let mut left_out = 0;
        for (place, Postponed { mode, lists }) in self.waiting.into_iter().rev() {
            let mut close = || -> rustix::io::Result<()> {
                let dir = beneath::directory(
                    root,
                    if place.is_empty() {
                        Path::new(".")
                    } else {
                        Path::new(OsStr::from_bytes(&place))
                    },
                )?;
                fchmod(&dir, mode)?;
                for (name, list) in [ACCESS, DEFAULT].into_iter().zip(&lists) {
                    let set = list
                        .as_ref()
                        .map_or(Ok(()), |list| fsetxattr(&dir, name, list, XattrFlags::empty()));
                    match set {
                        Err(Errno::OPNOTSUPP) => left_out += 1,
                        set => set?,
                    }
                }
                Ok(())
            };
            close().map_err(|errno| (place, errno))?;
        }
        Ok(left_out)
    }
}
