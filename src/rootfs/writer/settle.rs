//! The lists with names, set at the end.

use super::entries::TreeWriter;
use super::failure::cannot;
use super::named_lists::{Inode, LIST, inode};
use super::rights::Owners;
use crate::beneath::{self, Tree};
use crate::error::Failure;
use crate::rootfs::accounts::{self, groups, users};
use crate::rootfs::entry::{EntryPath, Metadata};
use rustix::fs::{Mode, OFlags, fstat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::path::Path;

/// What a list is counted as for whom the image does not know.
const OF_NOBODY: &str = "of the access control lists, for users that the image lacks";

impl TreeWriter<'_> {
    /// Sets the lists whose names the tree knows; the others are counted.
    ///
    /// # Errors
    /// A list that cannot be set, by the name of its file.
    pub(super) fn settle_named_lists(&mut self) -> Result<(), Failure> {
        let files = std::mem::take(&mut self.named_lists).into_files();
        if files.is_empty() {
            return Ok(());
        }
        let (passwd, group) = (self.text("etc/passwd"), self.text("etc/group"));
        // The first line of a name counts, as for getpwnam(3).
        let users = by_name(users(&passwd).map(|user| (user.name, user.uid)));
        let groups = by_name(groups(&group).map(|group| (group.name, group.gid)));
        for (place, file, lists) in files {
            for (attribute, list) in lists {
                let value = list.binary(
                    |name| users.get(name.as_bytes()).copied(),
                    |name| groups.get(name.as_bytes()).copied(),
                );
                let Some(value) = value else {
                    self.report.left_out(OF_NOBODY, 1);
                    continue;
                };
                self.settle(&place, file, attribute, value).map_err(|errno| {
                    cannot(if place.is_root() { b"." } else { place.bytes() }, errno)
                })?;
            }
        }
        Ok(())
    }

    fn settle(
        &mut self,
        place: &EntryPath,
        file: Inode,
        attribute: &'static [u8],
        value: Vec<u8>,
    ) -> rustix::io::Result<()> {
        let mut numbers = Metadata::default();
        numbers.attributes.push((attribute.to_vec(), value));
        if let Some(renumber) = self.renumber {
            renumber.apply(&mut numbers);
        }
        // One that the container's ids lack has been taken out.
        let Some((_, value)) = numbers.attributes.pop() else {
            self.report.left_out(LIST, 1);
            return Ok(());
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match beneath::open(self.root, place.path(), flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            found => found?,
        };
        if inode(&fstat(&found)?) != file {
            return Ok(());
        }
        match beneath::set_attribute(&found, attribute, &value) {
            // It names an id that the user namespace does not map.
            Err(Errno::INVAL) if self.rights.owners == Owners::KeptWhereMapped => {
                self.report.left_out(LIST, 1);
            }
            given => {
                let set = self.report.set(given)?;
                self.report.attributes += set;
                // Closing sets the mode, and the list again.
                if set > 0 {
                    self.closed.keep(place, attribute, value);
                }
            }
        }
        Ok(())
    }

    /// The text of a file of the tree; empty where there is none that is regular and small.
    fn text(&self, path: &str) -> Vec<u8> {
        let look = || accounts::read(&Tree::bare(self.root)?.look(Path::new(path))?.file);
        look().unwrap_or_default()
    }
}

fn by_name<'t>(lines: impl Iterator<Item = (&'t [u8], u32)>) -> HashMap<&'t [u8], u32> {
    let mut ids = HashMap::new();
    for (name, id) in lines {
        ids.entry(name).or_insert(id);
    }
    ids
}
