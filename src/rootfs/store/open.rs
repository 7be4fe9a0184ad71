//! Opening a store: made where it is missing, refused where somebody else could put files into it,
//! and swept.

use super::layout::{Access, PARTS, Store};
use super::lock::{Lock, Use};
use crate::error::{Failure, errno_of};
use crate::host::Host;
use crate::namespace::Switch;
use crate::rootfs::keeper::Keeper;
use rustix::io::Errno;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// Whether something may be made now, or is only looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// What is missing is made.
    Yes,
    /// Nothing is made, as `--dry-run` has it.
    No,
}

/// A symlink on the way to a store that somebody else has made, and could make anew.
fn foreign_link(root: &Path, host: &Host) -> Option<String> {
    root.ancestors().find_map(|path| {
        let stat = fs::symlink_metadata(path).ok()?;
        let foreign = stat.is_symlink() && stat.uid() != host.uid && stat.uid() != 0;
        foreign.then(|| format!("{} is a symlink of uid {}", path.display(), stat.uid()))
    })
}

impl Store {
    /// Opens the store, making it with mode 0700 where it is missing, and sweeps what an
    /// interrupted unpack has left. `None` where it cannot be made or written by this user, and was
    /// not asked for by name.
    ///
    /// # Errors
    /// A store that belongs to somebody else, and one that was asked for by name and cannot be
    /// written.
    pub fn open(
        root: &Path,
        host: &Host,
        by_name: Switch,
        making: Making,
    ) -> Result<Option<Self>, Failure> {
        let store =
            Self { root: root.to_owned(), keeper: Keeper::of(host), access: Access::Written };
        if making == Making::No {
            // It could be made where the nearest folder that is there can be written.
            let there = root.ancestors().find(|path| path.exists());
            let writable = there
                .is_some_and(|path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok());
            return Ok(writable.then_some(store));
        }
        let failed = |errno: Errno| {
            Failure::new(format!("cannot use the store {}", root.display())).errno(errno)
        };
        // Before anything is made: a refused store is left as it was.
        if let Some(why) = foreign_link(root, host).or_else(|| store.strange(host)) {
            // One that this user cannot write anyway is passed over, unless it was asked for.
            let writable = rustix::fs::access(root, rustix::fs::Access::WRITE_OK).is_ok();
            return match by_name {
                Switch::No if !writable => Ok(None),
                Switch::No | Switch::Yes => Err(failed(Errno::ACCESS).why(why)),
            };
        }
        let is_missing = |part: &&&str| !root.join(part).exists();
        let missing: Vec<_> = PARTS.iter().filter(is_missing).collect();
        let made = missing.iter().try_for_each(|part| {
            DirBuilder::new().recursive(true).mode(0o700).create(root.join(part))
        });
        match made {
            // What was there has been looked at already.
            Ok(())
                if !missing.is_empty()
                    && let Some(why) = store.strange(host) =>
            {
                Err(failed(Errno::ACCESS).why(why))
            }
            Ok(_)
                if rustix::fs::access(root.join("roots"), rustix::fs::Access::WRITE_OK).is_ok() =>
            {
                store.sweep();
                Ok(Some(store))
            }
            _ if by_name == Switch::No => Ok(None),
            Ok(_) => Err(failed(Errno::ROFS)),
            Err(error) => Err(failed(errno_of(&error))),
        }
    }

    /// Why somebody else could put root file systems into the store.
    fn strange(&self, host: &Host) -> Option<String> {
        std::iter::once(self.root.clone())
            .chain(PARTS.iter().map(|part| self.root.join(part)))
            .find_map(|path| {
                let stat = if path == self.root {
                    fs::metadata(&path)
                } else {
                    fs::symlink_metadata(&path)
                }
                .ok()?;
                let at = path.display();
                match stat {
                    stat if stat.uid() != host.uid => Some(format!(
                        "{at} belongs to uid {}, and root file systems in it would be theirs",
                        stat.uid()
                    )),
                    stat if !stat.is_dir() => Some(format!("{at} is no directory")),
                    stat if stat.mode() & 0o022 != 0 => Some(format!(
                        "{at} can be written by others (mode {:o})",
                        stat.mode() & 0o777
                    )),
                    _ => None,
                }
            })
    }

    /// Opens a store to look at it: it may be read-only, or not there. One that can be written is
    /// swept.
    ///
    /// # Errors
    /// A store that belongs to somebody else.
    pub fn open_to_look(root: &Path, host: &Host) -> Result<Self, Failure> {
        let making = if root.exists() { Making::Yes } else { Making::No };
        let opened = Self::open(root, host, Switch::No, making)?;
        Ok(opened.unwrap_or_else(|| Self::read_only(root, host)))
    }

    /// Opens a store to use an image of it: one that cannot be written serves what it has.
    ///
    /// # Errors
    /// A store that belongs to somebody else.
    pub fn open_to_use(root: &Path, host: &Host, making: Making) -> Result<Self, Failure> {
        let found = Self::read_only(root, host);
        if let Some(why) = foreign_link(root, host).or_else(|| found.strange(host)) {
            return Err(Failure::new(format!("cannot use the store {}", root.display()))
                .errno(Errno::ACCESS)
                .why(why));
        }
        let making = if root.exists() { making } else { Making::No };
        Ok(Self::open(root, host, Switch::No, making)?.unwrap_or(found))
    }

    /// One whose images are used as they are.
    fn read_only(root: &Path, host: &Host) -> Self {
        let (root, keeper) = (root.to_owned(), Keeper::of(host));
        Self { root, keeper, access: Access::ReadOnly }
    }

    /// Removes what killed unpacks have left: a lock that is free and stands for no image, and the
    /// staging directory that it stood for.
    fn sweep(&self) {
        for entry in fs::read_dir(self.root.join("locks")).into_iter().flatten().flatten() {
            let key = entry.file_name().to_string_lossy().into_owned();
            if self.image(&key).exists() {
                continue;
            }
            if let Ok(lock) = Lock::take(&self.lock(&key), Use::Exclusive)
                && !self.image(&key).exists()
                && self.keeper.remove(&self.staging(&key)).is_ok()
            {
                lock.remove();
            }
        }
    }
}
