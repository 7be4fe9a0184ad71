//! What layers do besides writing entries: they remove, and their entries lie behind links of what is
//! there.

use super::closed::{ACCESS, DEFAULT};
use super::component::first_of;
use super::entries::TreeWriter;
use super::failure::cannot;
use super::metadata::CAPABILITY;
use crate::beneath::Tree;
use crate::error::Failure;
use crate::rootfs::copy::attribute_names;
use crate::rootfs::entry::EntryPath;
use crate::rootfs::policy::Rule;
use crate::rootfs::remove;
use rustix::fs::{AtFlags, Dir, FileType, fremovexattr, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

impl TreeWriter<'_> {
    /// Leaves a name in the root alone, whatever layers say.
    pub fn keep_aside(&mut self, name: &[u8]) {
        self.kept_aside = Some(name.to_vec());
    }

    /// Devices that are left out are gone with what they were in.
    fn forget_skipped(&mut self, place: &EntryPath) {
        self.skipped.remove(place.bytes());
        let below = [place.bytes(), b"/"].concat();
        while let Some(key) = first_of(&below, self.skipped.range(below.clone()..)) {
            self.skipped.remove(&key);
        }
    }

    /// Takes from a directory that is there what a layer would say of it: the attributes of those
    /// below.
    ///
    /// # Errors
    /// Those of removexattr(2).
    pub fn undress(&mut self, place: &EntryPath) -> Result<(), Failure> {
        let dir = match self.parent.find(place.bytes()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            found => found.map_err(|errno| cannot(place.bytes(), errno))?,
        };
        let removed = attribute_names(&dir).and_then(|names| {
            names.iter().filter(|name| is_an_entrys(name)).try_for_each(|name| {
                match fremovexattr(&dir, name.as_slice()) {
                    Err(Errno::NODATA) => Ok(()),
                    removed => removed,
                }
            })
        });
        removed.map_err(|errno| cannot(place.bytes(), errno))
    }

    /// Where a directory is behind the links of the tree.
    ///
    /// # Errors
    /// [`Rule::NotBeneath`] for links that go round in a circle.
    pub fn real(&self, directory: &[u8]) -> Result<Vec<u8>, Rule> {
        let mut tree = Tree::bare(self.root).map_err(|_| Rule::NotBeneath)?;
        let real = tree.real(Path::new(OsStr::from_bytes(directory)));
        let real = real.map_err(|_| Rule::NotBeneath)?;
        Ok(real.strip_prefix("/").unwrap_or(&real).as_os_str().as_bytes().to_vec())
    }

    /// Removes what has a name, with all that is in it. It is fine if there is nothing.
    ///
    /// # Errors
    /// What cannot be removed.
    pub fn remove(&mut self, place: &EntryPath) -> Result<(), Failure> {
        self.removed(place, |_| true).map(drop).map_err(|errno| cannot(place.bytes(), errno))
    }

    /// The same, where it is a directory; the kind of what was there.
    ///
    /// # Errors
    /// Those of [`TreeWriter::remove`].
    pub fn remove_directory(&mut self, place: &EntryPath) -> Result<Option<FileType>, Failure> {
        let is_one = |kind| kind == FileType::Directory;
        self.removed(place, is_one).map_err(|errno| cannot(place.bytes(), errno))
    }

    fn removed(
        &mut self,
        place: &EntryPath,
        is_meant: impl Fn(FileType) -> bool,
    ) -> Result<Option<FileType>, Errno> {
        let Some((directory, name)) = place.split() else { return Err(Errno::BUSY) };
        match self.parent.enter_known(directory) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            entered => entered?,
        }
        let dir = self.parent.fd();
        let kind = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            stat => FileType::from_raw_mode(stat?.st_mode),
        };
        if !is_meant(kind) {
            return Ok(Some(kind));
        }
        if kind == FileType::Directory {
            remove::tree_in(dir, name)?;
        } else {
            unlinkat(dir, name, AtFlags::empty())?;
        }
        self.closed.forget(place);
        self.named_lists.forget_tree(place);
        self.forget_skipped(place);
        Ok(Some(kind))
    }

    /// What a directory has; nothing where there is none.
    ///
    /// # Errors
    /// Those of readdir(3).
    pub fn names(&mut self, directory: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        let failed = |errno| cannot(directory, errno);
        match self.parent.enter_known(directory) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            entered => entered.map_err(failed)?,
        }
        let mut found = Vec::new();
        for entry in Dir::read_from(self.parent.fd()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            let is_kept = self.kept_aside.as_deref().is_some_and(|kept| kept == name);
            if name != b"." && name != b".." && !(directory.is_empty() && is_kept) {
                found.push(name.to_vec());
            }
        }
        Ok(found)
    }
}

/// Whether an attribute is one that an entry can have, and not the host's policy.
fn is_an_entrys(name: &[u8]) -> bool {
    name.starts_with(b"user.") || [ACCESS, DEFAULT, CAPABILITY].contains(&name)
}
