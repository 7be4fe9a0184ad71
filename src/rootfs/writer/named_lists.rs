//! Access control lists with names: the tree's own passwd(5) and group(5) say who that is, once all of
//! it is there.

use super::failure::WriteError;
use super::limits::MOST_REMEMBERED;
use super::rights::Owners;
use crate::rootfs::acl::AccessList;
use crate::rootfs::entry::{Entry, EntryPath};
use crate::rootfs::policy::Rule;
use crate::rootfs::report::UnpackReport;
use rustix::fd::BorrowedFd;
use rustix::fs::{Stat, fstat};
use std::collections::BTreeMap;

/// What access control lists that are left out are counted as.
pub(super) const LIST: &str = "access control list";

/// The lists that wait.
#[derive(Default)]
pub(super) struct NamedLists {
    waiting: BTreeMap<Vec<u8>, Vec<Waiting>>,
    bytes: usize,
}

pub(super) struct Waiting {
    pub(super) place: EntryPath,
    /// Device and inode: something else may have the name by then.
    pub(super) file: (u64, u64),
    pub(super) attribute: &'static [u8],
    pub(super) list: AccessList,
}

pub(super) fn inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

impl NamedLists {
    /// Remembers the lists of an entry that was made; where everything belongs to who unpacks they
    /// are counted.
    ///
    /// # Errors
    /// [`Rule::Closed`] where that is more than is remembered.
    pub(super) fn take(
        &mut self,
        entry: &Entry,
        fd: BorrowedFd<'_>,
        owners: Owners,
        report: &mut UnpackReport,
    ) -> Result<(), WriteError> {
        let lists = &entry.metadata.named_lists;
        if owners == Owners::Squashed {
            report.left_out(LIST, lists.len() as u64);
            return Ok(());
        }
        for (attribute, list) in lists {
            let (place, list) = (entry.place.clone(), list.clone());
            self.bytes += place.bytes().len() + list.bytes() + size_of::<Waiting>();
            let waiting = Waiting { place, file: inode(&fstat(fd)?), attribute, list };
            self.waiting.entry(entry.place.bytes().to_vec()).or_default().push(waiting);
        }
        if self.bytes > MOST_REMEMBERED { Err(Rule::Closed.into()) } else { Ok(()) }
    }

    /// Something else is in that place now: an inode's number may be given again.
    pub(super) fn forget(&mut self, place: &EntryPath) {
        self.waiting.remove(place.bytes());
    }

    /// A tree is gone.
    pub(super) fn forget_tree(&mut self, place: &EntryPath) {
        self.forget(place);
        let below = [place.bytes(), b"/"].concat();
        while let Some((key, _)) = self.waiting.range(below.clone()..).next()
            && key.starts_with(&below)
        {
            let key = key.clone();
            self.waiting.remove(&key);
        }
    }

    pub(super) fn into_waiting(self) -> Vec<Waiting> {
        self.waiting.into_values().flatten().collect()
    }
}
