//! Removing: a name, and with the last one the image.

use super::digest_cache;
use super::layout::Store;
use super::lock::{Lock, Use};
use crate::error::Failure;
use crate::rootfs::watch::Unwatched;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// What a removal took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The name, and the image with it.
    Image,
    /// The name alone: the image has others.
    Name,
}

/// How long a removal waits for an image that is used for a moment only, by an import of the same
/// archive.
const PATIENCE: Duration = Duration::from_millis(500);

impl Store {
    /// Takes a name away, or what its digest begins with; and with the last name the image.
    ///
    /// # Errors
    /// No such image, or one that is in use.
    pub fn remove(&self, word: &str) -> Result<Removed, Failure> {
        if !self.root.exists() {
            return Err(self.nameless(word));
        }
        let found = self.find(word)?;
        // Whoever names an image holds its lock, and then waits for that of the names: here it goes
        // in the same order.
        let lock = match found.others {
            0 => Some(self.unused(&found.digest, word)?),
            _ => None,
        };
        let names = self.waited(&self.names_lock(), Use::Exclusive, &mut Unwatched)?;
        if lock.is_some() {
            self.can_remove(&found.digest, word)?;
        }
        // Until the locks were there names could come and go.
        let now = self.find(word)?;
        let (lock, digest) = match lock {
            Some(lock) if (now.others, &now.digest) == (0, &found.digest) => (lock, now.digest),
            _ if now.others == 0 => {
                return Err(Failure::new(format!(
                    "'{word}' was given to another image while it was removed"
                )));
            }
            _ => {
                self.unname(word)?;
                return Ok(Removed::Name);
            }
        };
        now.names.iter().try_for_each(|name| self.unname(name))?;
        drop(names);
        digest_cache::forget(&self.root.join("seen"), &digest);
        // Out of sight at once; what is killed from here on is swept.
        let staging = self.staging(&digest);
        self.keeper
            .remove(&staging)
            .and_then(|()| {
                renameat_with(CWD, self.image(&digest), CWD, &staging, RenameFlags::NOREPLACE)
            })
            .and_then(|()| self.keeper.remove(&staging))
            .map_err(|errno| self.failed(errno))?;
        lock.remove();
        Ok(Removed::Image)
    }

    /// Whether every file of an image can be removed: said before the first one goes.
    fn can_remove(&self, digest: &str, word: &str) -> Result<(), Failure> {
        let ids = self.keeper.ids.as_ref();
        let record = self.record(digest).filter(|record| record.report.other_owners > 0);
        let refused = match record {
            Some(record) if record.ids.as_ref() == ids => self.keeper.prepare().err(),
            Some(_) => Some(Failure::new("").why("they are not among the caller's ids any more")),
            None => None,
        };
        refused.map_or(Ok(()), |refused| {
            let what = format!("cannot remove '{word}': its files belong to subordinate ids");
            let tree = self.image(digest);
            Err(Failure { what, ..refused }
                .remedy(format!("as root: rm -r {}", tree.display()))
                .man("subuid(5)"))
        })
    }

    /// The lock of an image that nobody uses.
    fn unused(&self, digest: &str, word: &str) -> Result<Lock, Failure> {
        let since = Instant::now();
        let patience = || if since.elapsed() < PATIENCE { Ok(()) } else { Err(Errno::WOULDBLOCK) };
        Lock::wait(&self.lock(digest), Use::Exclusive, patience).map_err(|errno| match errno {
            Errno::WOULDBLOCK => Failure::new(format!(
                "cannot remove '{word}': it is in use, by a container that \
                    runs on it or by an import"
            ))
            .remedy("end the container first"),
            errno => self.failed(errno),
        })
    }
}
