//! A range of ids for one container of root's: ids of the host that belong to nobody, held by a lock
//! for as long as a process of the run lives.
//!
//! The ids inside begin at 0. Outside they are so large that no user has them: root inside is nobody
//! on the host, and nobody in another container.

use crate::error::Failure;
use crate::host::{Extent, extents};
use crate::random;
use rustix::event::{Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock, fstat, mkdir, open, stat, unlink};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// Ids in a range: as many as an image can name, and a place for nobody's 65534.
pub const COUNT: u32 = 65_536;

/// Where ranges begin and end, as systemd's UIDS-GIDS page has it for containers.
const FIRST: u32 = 524_288;
const END: u32 = 1_878_982_656;

/// Where the locks are, whatever the store.
const LOCKS: &str = "/run/rustic/ids";

/// A range of ids outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The first one.
    pub start: u32,
    /// How many.
    pub count: u32,
}

impl Ids {
    fn overlaps(self, other: Self) -> bool {
        let end = |ids: Self| u64::from(ids.start) + u64::from(ids.count);
        u64::from(self.start) < end(other) && u64::from(other.start) < end(self)
    }

    /// The blocks that a lock each is for.
    fn blocks(self) -> impl Iterator<Item = u32> {
        let last = u64::from(self.start) + u64::from(self.count) - 1;
        (self.start / COUNT)..=((last / u64::from(COUNT)) as u32)
    }
}

/// A range, and the locks that keep others from it.
#[derive(Debug)]
pub struct IdRange {
    /// Which ids.
    pub ids: Ids,
    locks: Vec<(PathBuf, OwnedFd)>,
}

impl IdRange {
    /// Takes a range that nobody has: the one that was ordered, or any.
    ///
    /// # Errors
    /// The order that overlaps with ids of a user, of a running user namespace, or of another
    /// container; EACCES below /run.
    pub fn take(ordered: Option<Ids>) -> Result<Self, Failure> {
        let used = Used::read();
        let cannot = Failure::new(format!("cannot make {LOCKS}"));
        let cannot =
            cannot.why("ranges of ids are locked there").remedy("a writable /run, or --user no");
        make_directory().map_err(|errno| cannot.errno(errno))?;
        remove_unused();
        if let Some(ids) = ordered {
            used.allow(ids)?;
            // Another start may just be looking whether somebody has them.
            for _ in 0..20 {
                if let Some(range) = Self::lock(ids)? {
                    return Ok(range);
                }
                const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
                let _ = poll(&mut [], Some(&PAUSE));
            }
            let what = format!("--ids {}: another container has them", ids.start);
            return Err(Failure::new(what));
        }
        for ids in candidates()? {
            if used.by(ids).is_none()
                && let Some(range) = Self::lock(ids)?
            {
                return Ok(range);
            }
        }
        Err(no_range())
    }

    /// The one that would be taken now, and is not.
    ///
    /// # Errors
    /// Those of [`IdRange::take`].
    pub fn look(ordered: Option<Ids>) -> Result<Self, Failure> {
        let used = Used::read();
        let ids = match ordered {
            Some(ids) => used.allow(ids).map(|()| ids)?,
            None => candidates()?.find(|&ids| used.by(ids).is_none()).ok_or_else(no_range)?,
        };
        Ok(Self { ids, locks: Vec::new() })
    }

    /// The range as a line of a map.
    pub fn extent(&self) -> Extent {
        Extent { inside: 0, outside: self.ids.start, count: self.ids.count }
    }

    /// `None` where another run has a part of it.
    fn lock(ids: Ids) -> Result<Option<Self>, Failure> {
        let mut locks = Vec::new();
        for block in ids.blocks() {
            let path = Path::new(LOCKS).join(block.to_string());
            let locked = lock(&path).map_err(|errno| {
                Failure::new(format!("cannot lock {}", path.display())).errno(errno)
            })?;
            match locked {
                Some(file) => locks.push((path, file)),
                None => return Ok(None),
            }
        }
        Ok(Some(Self { ids, locks }))
    }

    /// Takes the names of the locks away. The locks themselves go with the last process of the run.
    /// To do so again changes nothing.
    ///
    /// # Errors
    /// EROFS.
    pub fn remove(&self) -> rustix::io::Result<()> {
        for (path, file) in &self.locks {
            let own = fstat(file)?;
            // By now another run may have made the same name.
            if stat(path).is_ok_and(|now| (now.st_dev, now.st_ino) == (own.st_dev, own.st_ino)) {
                unlink(path)?;
            }
        }
        Ok(())
    }
}

fn no_range() -> Failure {
    Failure::new("no range of ids is free").remedy("--user no, or --ids START")
}

/// Every range, from one by chance on.
fn candidates() -> Result<impl Iterator<Item = Ids>, Failure> {
    const ALL: u32 = (END - FIRST) / COUNT;
    let number =
        random::number().map_err(|errno| Failure::new("cannot get random bytes").errno(errno))?;
    let first = number % ALL;
    let at = move |number: u32| FIRST + (first + number) % ALL * COUNT;
    Ok((0..ALL).map(move |number| Ids { start: at(number), count: COUNT }))
}

/// Not for others to look into, and nobody else's.
fn make_directory() -> rustix::io::Result<()> {
    // In a container there may be no /run.
    for (path, mode) in [("/run", 0o755), ("/run/rustic", 0o755), (LOCKS, 0o700)] {
        match mkdir(path, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = open(path, flags, Mode::empty())?;
        if fstat(&dir)?.st_uid != 0 {
            return Err(Errno::ACCESS);
        }
        if path == LOCKS {
            fchmod(&dir, Mode::from_raw_mode(mode))?;
        }
    }
    Ok(())
}

/// The names that runs have left who were killed before anybody could have cleaned up after them.
fn remove_unused() {
    for entry in fs::read_dir(LOCKS).into_iter().flatten().flatten() {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(file) = open(entry.path(), flags, Mode::empty()) else { continue };
        // Who has made it just now, and not locked it yet, finds it gone and makes it again.
        let is_free = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_free && fstat(&file).is_ok_and(|stat| stat.st_nlink != 0) {
            let _ = unlink(entry.path());
        }
    }
}

/// The lock of a block; `None` where another run has it. A file whose name was taken away between
/// open(2) and flock(2) is no lock any more.
fn lock(path: &Path) -> rustix::io::Result<Option<OwnedFd>> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let file = open(path, flags, Mode::from_raw_mode(0o600))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN) => return Ok(None),
            locked => locked?,
        }
        if fstat(&file)?.st_nlink != 0 {
            return Ok(Some(file));
        }
    }
}

/// Ids that somebody has, and who.
struct Used(Vec<(Ids, String)>);

impl Used {
    /// Those of users and groups, of their subordinate ids, and of every user namespace that a
    /// process is in. What cannot be read is nobody's.
    fn read() -> Self {
        let mut used = Vec::new();
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = fs::read_to_string(file).unwrap_or_default();
            used.extend(text.lines().filter_map(|line| {
                let mut fields = line.split(':').skip(1).map(|field| field.trim().parse().ok());
                let ids = Ids { start: fields.next()??, count: fields.next()?? };
                (ids.count > 0).then(|| (ids, file.to_owned()))
            }));
        }
        for file in ["/etc/passwd", "/etc/group"] {
            let text = fs::read_to_string(file).unwrap_or_default();
            used.extend(text.lines().filter_map(|line| {
                let start = line.split(':').nth(2)?.parse().ok()?;
                Some((Ids { start, count: 1 }, file.to_owned()))
            }));
        }
        used.extend(of_processes().into_iter().flatten());
        Self(used)
    }

    fn by(&self, ids: Ids) -> Option<&str> {
        let mut overlapping = self.0.iter().filter(|(other, _)| other.overlaps(ids));
        overlapping.next().map(|(_, who)| who.as_str())
    }

    fn allow(&self, ids: Ids) -> Result<(), Failure> {
        let Some(who) = self.by(ids) else { return Ok(()) };
        Err(Failure::new(format!("--ids {}: somebody has some of these ids", ids.start))
            .why(format!("they are in {who}"))
            .remedy("leave --ids out, and rustic takes a range that is free")
            .man("user_namespaces(7)"))
    }
}

/// The maps of processes that are in another user namespace than this one.
fn of_processes() -> Option<Vec<(Ids, String)>> {
    // Its name alone: to follow the link would make an inode of each.
    let own = fs::read_link("/proc/self/ns/user").ok()?;
    let mut seen = vec![own];
    let mut used = Vec::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        if !entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let Ok(namespace) = fs::read_link(entry.path().join("ns/user")) else { continue };
        if seen.contains(&namespace) {
            continue;
        }
        seen.push(namespace);
        for map in ["uid_map", "gid_map"] {
            let path = entry.path().join(map);
            let text = fs::read_to_string(&path).unwrap_or_default();
            let ids = extents(&text).unwrap_or_default().into_iter();
            // From 0 one to one they are those of its maker, and no range of its own. Others that
            // are one to one a container may have written, to be taken for such.
            let ids = ids.filter(|extent| (extent.inside, extent.outside) != (0, 0));
            let ids = ids.map(|extent| Ids { start: extent.outside, count: extent.count });
            used.extend(ids.map(|ids| (ids, path.display().to_string())));
        }
    }
    Some(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_where_they_share_an_id_and_are_locked_by_blocks() {
        let ids = |start, count| Ids { start, count };
        assert!(ids(10, 5).overlaps(ids(14, 1)) && ids(14, 1).overlaps(ids(10, 5)));
        assert!(!ids(10, 5).overlaps(ids(15, 1)) && !ids(15, 1).overlaps(ids(10, 5)));
        assert!(!ids(u32::MAX, 1).overlaps(ids(0, u32::MAX)));
        assert_eq!(ids(65_536, 65_536).blocks().collect::<Vec<_>>(), [1]);
        assert_eq!(ids(65_535, 65_538).blocks().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn every_candidate_is_a_range_of_its_own_within_the_bounds() {
        let all: std::collections::BTreeSet<u32> =
            candidates().unwrap().map(|ids| ids.start).collect();
        assert_eq!(all.len(), ((END - FIRST) / COUNT) as usize);
        assert_eq!((all.first(), all.last()), (Some(&FIRST), Some(&(END - COUNT))));
        assert!(all.iter().all(|start| start % COUNT == 0));
    }
}
