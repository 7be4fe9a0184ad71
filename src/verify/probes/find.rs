//! The outside, looked for inside by paths: among the mounts, and through the roots of processes.

use super::pid::canary::PidCanary;
use super::receipt::arrived;
use crate::verify::attempt::{Try, strongest};
use crate::verify::files::{FileCrossing, PIECE};
use crate::verify::held::HeldFd;
use crate::verify::outside::Outside;
use crate::verify::protocol::{Outcome, Reply};
use crate::verify::shown::Shown;
use crate::verify::target::Target;
use crate::verify::verdict::{Identity, Receipt};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The paths inside of a file of the outside, by the roots of the outside's processes.
pub(super) fn by_ways(outside: &Outside<'_>, subject: &Target, file: &Path) -> Vec<PathBuf> {
    let below = file.strip_prefix("/").unwrap_or(file);
    let ways = outside.canaries.get::<PidCanary>().map(|canary| subject.ways(canary.number()));
    ways.unwrap_or_default().iter().map(|way| way.root.join(below)).collect()
}

/// Reads a file at each of some paths inside, until one brings back what only the outside knows.
/// One that no door has brought in decides before one that came through a door.
pub(super) fn read_any(
    subject: &Target,
    paths: Vec<PathBuf>,
    identity: Identity,
    secret: &str,
    walled: &[Errno],
) -> Try {
    let tried = paths.into_iter().map(|path| {
        let door = subject.door_for(&path);
        let reply = read_through(subject, path, secret);
        Try::reading(reply, identity.clone(), secret, walled).through(door)
    });
    strongest(tried).unwrap_or_else(|| Try::untried("open", "it is mounted nowhere inside"))
}

/// Reads a file until it brings back the secret, or to its end. A list of the kernel's, such as
/// /proc/keys, may be longer than what is read at once: the pieces overlap, so that no piece ends
/// within the secret.
fn read_through(subject: &Target, path: PathBuf, secret: &str) -> Reply {
    /// A list that has no end is read so far.
    const FARTHEST: u64 = 1 << 20;
    let first = subject.ask(&FileCrossing::Read { path: path.clone() });
    let step = PIECE - secret.len() as u64;
    let mut reply = first.clone();
    let mut offset = step;
    while reply.length() == Some(PIECE) && !reply.data().contains(secret) && offset < FARTHEST {
        reply = subject.ask(&FileCrossing::ReadOn { path: path.clone(), offset });
        offset += step;
    }
    if reply.data().contains(secret) { reply } else { first }
}

/// Looks for file systems of the outside among the mounts of the inside. The receipt is what the
/// inside has opened there, seen from outside.
pub(super) fn mounted(
    subject: &Target,
    devices: &BTreeSet<u64>,
    identity: Identity,
    counts: impl Fn(&Shown, &HeldFd) -> bool,
) -> Try {
    let shown = match &subject.shown {
        Ok(shown) => shown,
        Err(reason) => return Try::unplanted("open", reason),
    };
    let wanted: Vec<&Shown> =
        shown.iter().filter(|shown| devices.contains(&shown.mount.device)).collect();
    let points: Vec<PathBuf> = wanted.iter().map(|shown| shown.mount.point.clone()).collect();
    let mut found: Vec<&Shown> = Vec::new();
    let opened = subject.open_inside(&points, |point, held| {
        // What lies under another mount is not there.
        let there = held.and_then(|held| {
            let id = held.mount().ok()?;
            let is_it = |shown: &&&Shown| shown.mount.point == point && shown.mount.id == id;
            wanted.iter().find(is_it).filter(|shown| counts(shown, &held))
        });
        found.extend(there);
    });
    if let Err(reply) = opened {
        return Try::marking(reply, identity, Receipt::Absent, "it has not looked", &[]);
    }
    let decides = found.iter().find(|shown| shown.door.is_none()).or(found.first());
    let (arg, outcome, seen) = match decides {
        Some(Shown { mount, .. }) => (
            mount.point.to_string_lossy().into_owned(),
            Outcome::Done(found.len() as i64, String::new()),
            format!("it is the host's {} {}", mount.kind, mount.root.display()),
        ),
        None => (
            format!("{} mounts", shown.len()),
            Outcome::Done(0, String::new()),
            "none is the host's".to_owned(),
        ),
    };
    let reply = Reply::new("open", arg, outcome);
    Try::marking(reply, identity, arrived(decides.is_some()), seen, &[])
        .or_stayed()
        .or_elsewhere()
        .through(decides.and_then(|shown| shown.door.clone()))
        .or_nothing_to_find(subject, "the host has none mounted where it could be found")
}
