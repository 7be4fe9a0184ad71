//! Access control lists with names: the tree's own passwd(5) and group(5) say who that is, once all of
//! it is there.

use super::closed::DEFAULT;
use super::component::first_of;
use super::failure::WriteError;
use super::rights::Owners;
use crate::rootfs::acl::AccessList;
use crate::rootfs::entry::{Entry, EntryKind, EntryPath};
use crate::rootfs::policy::Rule;
use crate::rootfs::report::UnpackReport;
use rustix::fd::BorrowedFd;
use rustix::fs::{Stat, fstat};
use std::collections::BTreeMap;

/// What access control lists that are left out are counted as.
pub(super) const LIST: &str = "access control list";

/// Bytes of what is remembered: a hundred thousand files.
const MOST_LISTS: usize = 16 << 20;

/// Lists by the names of their attributes.
pub(super) type Lists = Vec<(&'static [u8], AccessList)>;

/// A file by device and inode: it may have several names.
pub(super) type Inode = (u64, u64);

/// The lists that wait.
#[derive(Default)]
pub(super) struct NamedLists {
    waiting: BTreeMap<Inode, Waiting>,
    names: BTreeMap<Vec<u8>, Inode>,
    bytes: usize,
}

#[derive(Default)]
struct Waiting {
    lists: Lists,
    /// How many names of the file there are.
    names: usize,
}

impl Waiting {
    fn bytes(&self) -> usize {
        size_of::<(Inode, Self)>() + self.lists.iter().map(|(_, list)| list.bytes()).sum::<usize>()
    }
}

fn bytes_of(place: &[u8]) -> usize {
    place.len() + size_of::<(Vec<u8>, Inode)>()
}

pub(super) fn inode(stat: &Stat) -> Inode {
    (stat.st_dev, stat.st_ino)
}

impl NamedLists {
    /// Remembers the lists of an entry that was made; where everything belongs to who unpacks they
    /// are counted.
    ///
    /// # Errors
    /// [`Rule::Lists`] where that is more than is remembered.
    pub(super) fn take(
        &mut self,
        entry: &Entry,
        fd: BorrowedFd<'_>,
        owners: Owners,
        report: &mut UnpackReport,
    ) -> Result<(), WriteError> {
        let lists = &entry.metadata.named_lists;
        if lists.is_empty() {
            return Ok(());
        }
        if owners == Owners::Squashed {
            report.left_out(LIST, lists.len() as u64);
            return Ok(());
        }
        // What is made in it only a directory can say.
        let is_directory = entry.kind == EntryKind::Directory;
        let can_have = |(name, _): &&(&[u8], AccessList)| is_directory || *name != DEFAULT;
        let lists: Vec<_> = lists.iter().filter(can_have).cloned().collect();
        report.not_held((entry.metadata.named_lists.len() - lists.len()) as u64);
        if lists.is_empty() {
            return Ok(());
        }
        let file = inode(&fstat(fd)?);
        let waiting = Waiting { lists, names: 0 };
        self.bytes += waiting.bytes();
        self.waiting.insert(file, waiting);
        self.name(&entry.place, file);
        if self.bytes > MOST_LISTS { Err(Rule::Lists.into()) } else { Ok(()) }
    }

    fn name(&mut self, place: &EntryPath, file: Inode) {
        if let Some(waiting) = self.waiting.get_mut(&file) {
            waiting.names += 1;
            self.bytes += bytes_of(place.bytes());
            self.names.insert(place.bytes().to_vec(), file);
        }
    }

    /// A file has one more name.
    pub(super) fn link(&mut self, target: &EntryPath, place: &EntryPath) {
        if let Some(file) = self.names.get(target.bytes()).copied() {
            self.name(place, file);
        }
    }

    /// Something else is in that place now: with its last name a file is gone, and the number of its
    /// inode may be given again.
    pub(super) fn forget(&mut self, place: &EntryPath) {
        self.forget_name(place.bytes());
    }

    fn forget_name(&mut self, place: &[u8]) {
        let Some(file) = self.names.remove(place) else { return };
        self.bytes -= bytes_of(place);
        let Some(waiting) = self.waiting.get_mut(&file) else { return };
        waiting.names -= 1;
        if waiting.names == 0 {
            self.bytes -= waiting.bytes();
            self.waiting.remove(&file);
        }
    }

    /// A tree is gone.
    pub(super) fn forget_tree(&mut self, place: &EntryPath) {
        self.forget(place);
        let below = [place.bytes(), b"/"].concat();
        while let Some(key) =
            first_of(&below, self.names.range(below.clone()..).map(|(key, _)| key))
        {
            self.forget_name(&key);
        }
    }

    /// Each file by one of its names, with its lists.
    pub(super) fn into_files(mut self) -> Vec<(EntryPath, Inode, Lists)> {
        let named = self.names.into_iter().filter_map(|(place, file)| {
            let waiting = self.waiting.remove(&file)?;
            Some((EntryPath::of(&place).ok()?, file, waiting.lists))
        });
        named.collect()
    }
}
