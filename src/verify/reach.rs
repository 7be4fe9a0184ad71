//! What the inside can reach of the outside by a path: its mounts, parts of processes among them,
//! and the roots of processes; and what was ordered that has brought each in.

use crate::mountinfo;
use crate::namespace::Namespace;
use crate::spec::Opening;
use crate::verify::files::{self, FileCrossing};
use crate::verify::held::HeldFd;
use crate::verify::protocol::{Outcome, Reply};
use crate::verify::shown::{Shown, Way};
use crate::verify::target::Target;
use std::path::{Path, PathBuf};

impl Target {
    /// Opens files inside, the nearest thing to touching them that touches nothing (O_PATH), and
    /// hands out what was opened, seen from outside; `None` for what could not be opened.
    ///
    /// # Errors
    /// The reply of an agent that has not done it.
    pub fn open_inside(
        &self,
        paths: &[PathBuf],
        mut seen: impl FnMut(&Path, Option<HeldFd>),
    ) -> Result<(), Reply> {
        // Few enough for a process that may have few descriptors, and for a message.
        const AT_ONCE: usize = 8;
        for some in paths.chunks(AT_ONCE) {
            let reply = self.ask(&FileCrossing::Open { paths: some.to_vec() });
            if !matches!(reply.outcome, Outcome::Done(..)) {
                return Err(reply);
            }
            let numbers = files::numbers(reply.data());
            for (index, path) in some.iter().enumerate() {
                let number = numbers.iter().find(|(one, _)| *one == index).map(|(_, fd)| *fd);
                let held = number.map(|number| self.held(number)).transpose();
                seen(
                    path,
                    held.map_err(|errno| Reply::plain("readlink", "/proc/PID/fd", Err(errno)))?,
                );
            }
        }
        Ok(())
    }

    /// Its mounts; none where they could not be read.
    pub fn mounts(&self) -> &[Shown] {
        self.shown.as_deref().unwrap_or_default()
    }

    /// Where a whole file system of a kind is mounted.
    pub fn points(&self, kind: &str) -> Vec<PathBuf> {
        let whole = self
            .mounts()
            .iter()
            .filter(|Shown { mount, .. }| mount.kind == kind && mount.root == Path::new("/"));
        let mut points: Vec<PathBuf> = whole.map(|shown| shown.mount.point.clone()).collect();
        points.dedup();
        points
    }

    /// Where a file system of a kind is mounted, and something else is mounted over it.
    pub fn covered(&self, kind: &str) -> Vec<PathBuf> {
        let all: Vec<_> = self.mounts().iter().map(|shown| &shown.mount).collect();
        let is_top = |mount: &mountinfo::MountInfo| {
            mountinfo::under(&all, &mount.point).is_some_and(|top| top.id == mount.id)
        };
        let of_kind = all.iter().filter(|mount| mount.kind == kind && !is_top(mount));
        let mut points: Vec<PathBuf> = of_kind
            // From the bottom up: what lies over the place, and over a folder above it.
            .flat_map(|mount| mount.point.ancestors().map(Path::to_owned).collect::<Vec<_>>())
            .filter(|point| all.iter().any(|mount| mount.point == *point))
            .filter(|point| point != Path::new("/"))
            .collect();
        points.sort();
        points.dedup();
        points
    }

    /// The paths inside of a file of a file system of this kind, by whole mounts of it and by those
    /// of a part.
    pub fn paths_of(&self, kind: &str, file: &Path) -> Vec<PathBuf> {
        let file = Path::new("/").join(file);
        let of_kind = self.mounts().iter().filter(|shown| shown.mount.kind == kind);
        let paths = of_kind.filter_map(|Shown { mount, .. }| {
            let rest = file.strip_prefix(&mount.root).ok()?;
            Some(if rest == Path::new("") { mount.point.clone() } else { mount.point.join(rest) })
        });
        let mut paths: Vec<PathBuf> = paths.collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Where a directory of one process is mounted, and what of it: `/PID`, or a part below.
    pub fn parts_of_processes(&self) -> impl Iterator<Item = (&Shown, PathBuf)> {
        self.mounts().iter().filter_map(|shown| {
            let mut parts = shown.mount.root.components().skip(1);
            let first = parts.next()?.as_os_str().to_str()?;
            let is_process = shown.mount.kind == "proc" && first.parse::<u32>().is_ok();
            is_process.then(|| (shown, parts.collect()))
        })
    }

    /// The ways to the tree of the outside through the root of a process outside, as far as they
    /// can be gone: `process` in every proc that is mounted, and every process that is mounted
    /// alone.
    pub fn ways(&self, process: i32) -> &[Way] {
        self.ways.get_or_init(|| {
            let whole = self.points("proc").into_iter().map(|point| Way {
                door: self.role.shares(Namespace::Pid).or_else(|| self.door_at(&point)),
                root: point.join(format!("{process}/root")),
            });
            let alone = self.parts_of_processes().filter(|(_, part)| part == Path::new(""));
            let alone = alone.map(|(shown, _)| Way {
                root: shown.mount.point.join("root"),
                door: shown.door.clone(),
            });
            let ways: Vec<Way> = whole.chain(alone).collect();
            // The link itself can be seen by whoever may not follow it.
            let ends: Vec<PathBuf> = ways.iter().map(|way| way.root.join(".")).collect();
            let mut gone = Vec::new();
            let _ = self.open_inside(&ends, |path, held| {
                gone.extend(held.is_some().then(|| path.to_owned()));
            });
            ways.into_iter().filter(|way| gone.contains(&way.root.join("."))).collect()
        })
    }

    /// The door by which a path inside is reached: a way to the outside's tree, or a mount.
    pub fn door_for(&self, path: &Path) -> Option<String> {
        let ways = self.ways.get().into_iter().flatten();
        let mut by = ways.filter(|way| path.starts_with(&way.root));
        by.next().map_or_else(|| self.door_at(path), |way| way.door.clone())
    }

    /// The mount that a path inside is on; `None` where the root is no mount of its own.
    pub fn mount_under(&self, path: &Path) -> Option<&Shown> {
        let mounts: Vec<_> = self.mounts().iter().map(|shown| &shown.mount).collect();
        let under = mountinfo::under(&mounts, path)?;
        self.mounts().iter().find(|shown| shown.mount.id == under.id)
    }

    /// The door by which what is at a path inside has come in.
    pub fn door_at(&self, path: &Path) -> Option<String> {
        // Below a root that is no mount of its own nothing is to be seen of what it is on.
        match self.mount_under(path) {
            Some(shown) => shown.door.clone(),
            None => self.role.door(|opening| {
                matches!(opening, Opening::Files { target, .. } if target == Path::new("/"))
            }),
        }
    }
}
