//! Somebody exchanges directories with links while a target is followed, made and removed.

use super::{AtOnce, Kind, Links, Lookup, MadeTarget, Missing, Surroundings, Target, target};
use crate::error::SysError;
use rustix::fd::BorrowedFd;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often each race is run: RUSTIC_RACES, or a sample.
fn times() -> usize {
    std::env::var("RUSTIC_RACES").ok().and_then(|times| times.parse().ok()).unwrap_or(2_000)
}

/// Longer than a race takes on a busy machine.
const CEILING: Duration = Duration::from_secs(60);

/// A root, what is beside it, and somebody who exchanges `root/way` with a link that leads there.
struct Arena {
    dir: tempfile::TempDir,
    root: File,
}

impl Arena {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for place in ["root/way/in", "outside/in"] {
            fs::create_dir_all(dir.path().join(place)).unwrap();
        }
        fs::write(dir.path().join("root/way/in/file"), "inside").unwrap();
        fs::write(dir.path().join("outside/in/file"), "outside").unwrap();
        let root = File::open(dir.path().join("root")).unwrap();
        Self { dir, root }
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// Does something so many times, and on until it has met what it says it has met, while `way` is
    /// now a directory and now a link out of the root: an absolute one, or one that climbs.
    fn while_exchanged(&self, times: usize, what: &str, mut meets: impl FnMut(&Self) -> bool) {
        for link in [self.outside(), "../outside".into()] {
            let (way, other) = (self.dir.path().join("root/way"), self.dir.path().join("other"));
            symlink(link, &other).unwrap();
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        renameat_with(CWD, &way, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                    }
                });
                let (since, mut met, mut done_so_far) = (Instant::now(), false, 0);
                while done_so_far < times.div_ceil(2) || !met && since.elapsed() < CEILING {
                    met |= meets(self);
                    done_so_far += 1;
                }
                done.store(true, Ordering::Relaxed);
                assert!(met, "the race was none: {what}");
            });
            if fs::symlink_metadata(&way).unwrap().is_symlink() {
                renameat_with(CWD, &way, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
            fs::remove_file(&other).unwrap();
        }
    }

    fn find(
        &self,
        path: &str,
        kind: Kind,
        around: &mut dyn Surroundings,
    ) -> Result<Target, SysError> {
        let (links, missing) = (Links::Inside, Missing::Made);
        target(
            &self.root,
            Lookup { path: Path::new(path), kind: Some(kind), links, missing },
            around,
        )
    }

    /// What is outside, with the times of its directories: whatever was made there and removed
    /// would show.
    fn seen_outside(&self) -> String {
        let mut seen = String::new();
        for path in [self.outside(), self.outside().join("in")] {
            let names: Vec<_> =
                fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            seen.push_str(&format!("{path:?} {names:?} {changed:?}\n"));
        }
        seen
    }
}

fn content(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_target_is_never_found_outside_while_its_way_is_exchanged() {
    use std::os::fd::AsRawFd;
    let arena = Arena::new();
    let before = arena.seen_outside();
    arena.while_exchanged(times(), "never found inside", |arena| {
        let Ok(found) = arena.find("way/in/file", Kind::File, &mut AtOnce) else { return false };
        let read = content(&format!("/proc/self/fd/{}", found.file.as_raw_fd()));
        assert_ne!(read, "outside");
        read == "inside"
    });
    assert_eq!(arena.seen_outside(), before);
    // The control: whoever follows links as they are gets there.
    arena.while_exchanged(1, "never read outside", |arena| {
        content(arena.dir.path().join("root/way/in/file").to_str().unwrap()) == "outside"
    });
}

/// Makes what is missing as the warden does, and keeps it.
#[derive(Default)]
struct Kept(Vec<MadeTarget>);

impl Surroundings for Kept {
    fn make(&mut self, dir: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<(), Errno> {
        self.0.extend(MadeTarget::claim(dir, name, kind)?);
        Ok(())
    }

    fn share(&mut self, dir: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<(), Errno> {
        self.make(dir, name, kind)
    }
}

#[test]
fn nothing_is_made_or_removed_outside_while_the_parent_is_exchanged() {
    let arena = Arena::new();
    let before = arena.seen_outside();
    arena.while_exchanged(times().div_ceil(5), "never made", |arena| {
        let mut made = false;
        for (path, kind) in [("way/in/new", Kind::Directory), ("way/in/file-too", Kind::File)] {
            let mut kept = Kept::default();
            let _ = arena.find(path, kind, &mut kept);
            made |= !kept.0.is_empty();
            for target in kept.0.iter().rev() {
                target.remove().unwrap();
            }
        }
        made
    });
    assert_eq!(arena.seen_outside(), before);
    let left: Vec<_> = fs::read_dir(arena.dir.path().join("root/way/in"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["file"]);
    // The control: by paths something is made outside, and removed there.
    arena.while_exchanged(1, "never made outside", |arena| {
        let new = arena.dir.path().join("root/way/in/new");
        let _ = fs::create_dir(&new);
        let _ = fs::remove_dir(&new);
        arena.seen_outside() != before
    });
}
