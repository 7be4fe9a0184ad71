//! The lists with names, set at the end.

use super::entries::TreeWriter;
use super::failure::cannot;
use super::named_lists::{Waiting, inode};
use crate::beneath::{self, Tree};
use crate::error::Failure;
use crate::rootfs::accounts::{self, groups, users};
use crate::rootfs::entry::{EntryPath, Metadata};
use rustix::fd::AsRawFd;
use rustix::fs::{Mode, OFlags, XattrFlags, fstat, setxattr};
use rustix::io::Errno;
use std::path::Path;

/// What a list is counted as for whom the image does not know.
const OF_NOBODY: &str = "of the access control lists, for users that the image lacks";

impl TreeWriter<'_> {
    /// Sets the lists whose names the tree knows; the others are counted.
    ///
    /// # Errors
    /// A list that cannot be set, by the name of its file.
    pub(super) fn settle_named_lists(&mut self) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut self.named_lists).into_waiting();
        if waiting.is_empty() {
            return Ok(());
        }
        let (passwd, group) = (self.text("etc/passwd"), self.text("etc/group"));
        for Waiting { place, file, attribute, list } in waiting {
            let user = |name: &str| {
                users(&passwd).find(|user| user.name == name.as_bytes()).map(|user| user.uid)
            };
            let of_name = |name: &str| {
                groups(&group).find(|group| group.name == name.as_bytes()).map(|group| group.gid)
            };
            let Some(value) = list.binary(user, of_name) else {
                self.report.left_out(OF_NOBODY, 1);
                continue;
            };
            let mut numbers = Metadata::default();
            numbers.attributes.push((attribute.to_vec(), value));
            if let Some(renumber) = self.renumber {
                renumber.apply(&mut numbers);
            }
            // One that the container's ids lack has been taken out.
            let Some((_, value)) = numbers.attributes.pop() else {
                self.report.not_held(1);
                continue;
            };
            self.settle(&place, file, attribute, value).map_err(|errno| {
                cannot(if place.is_root() { b"." } else { place.bytes() }, errno)
            })?;
        }
        Ok(())
    }

    fn settle(
        &mut self,
        place: &EntryPath,
        file: (u64, u64),
        attribute: &'static [u8],
        value: Vec<u8>,
    ) -> rustix::io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match beneath::open(self.root, place.path(), flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            found => found?,
        };
        if inode(&fstat(&found)?) != file {
            return Ok(());
        }
        if let Some(value) = self.closed.keep(place, attribute, value) {
            let path = format!("/proc/self/fd/{}", found.as_raw_fd());
            let given = setxattr(&path, attribute, &value, XattrFlags::empty());
            self.report.attributes += self.report.set(given)?;
        } else {
            self.report.attributes += 1;
        }
        Ok(())
    }

    /// The text of a file of the tree; empty where there is none that is regular and small.
    fn text(&self, path: &str) -> Vec<u8> {
        let look = || accounts::read(&Tree::bare(self.root)?.look(Path::new(path))?.file);
        look().unwrap_or_default()
    }
}
