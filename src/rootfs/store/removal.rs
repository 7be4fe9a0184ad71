//! Removing: a name, and with the last one the image.

use super::digest_cache;
use super::layout::Store;
use super::lock::{Lock, Use};
use super::names::{Listed, SHORT};
use crate::error::Failure;
use crate::namespace::Switch;
use crate::rootfs::watch::Unwatched;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
        self.take_away(&digest, lock)?;
        Ok(Removed::Image)
    }

    /// Removes the files of an image, whose lock is held.
    fn take_away(&self, digest: &str, lock: Lock) -> Result<(), Failure> {
        digest_cache::forget(&self.root.join("seen"), digest);
        // Out of sight at once; what is killed from here on is swept.
        let staging = self.staging(digest);
        self.keeper
            .remove(&staging)
            .and_then(|()| {
                renameat_with(CWD, self.image(digest), CWD, &staging, RenameFlags::NOREPLACE)
            })
            .and_then(|()| self.keeper.remove(&staging))
            .map_err(|errno| self.failed(errno))?;
        lock.remove();
        Ok(())
    }

    /// Removes the images that have no name, that nobody uses, and whose last use is as long ago;
    /// gives them, and the first failure: the others go all the same.
    ///
    /// # Errors
    /// A store that cannot be read, files that cannot be removed.
    pub fn prune(
        &self,
        older_than: Option<Duration>,
    ) -> Result<(Vec<Listed>, Option<Failure>), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let is_old = |listed: &Listed| match older_than {
            Some(age) => {
                listed.last_used.is_none_or(|used| now.saturating_sub(used) >= age.as_secs())
            }
            None => true,
        };
        let (mut removed, mut failed) = (Vec::new(), None);
        for listed in self.list()? {
            // Named images never: whatever their age.
            if !listed.names.is_empty() || listed.used == Switch::Yes || !is_old(&listed) {
                continue;
            }
            // Since it was looked at it may have got a name, or be used.
            let Ok(lock) = Lock::take(&self.lock(&listed.digest), Use::Exclusive) else { continue };
            let _names = self.waited(&self.names_lock(), Use::Exclusive, &mut Unwatched)?;
            if self.is_named(&listed.digest)? {
                continue;
            }
            let short = &listed.digest[..SHORT.min(listed.digest.len())];
            let gone = self.can_remove(&listed.digest, short);
            match gone.and_then(|()| self.take_away(&listed.digest, lock)) {
                Ok(()) => removed.push(listed),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        Ok((removed, failed))
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
