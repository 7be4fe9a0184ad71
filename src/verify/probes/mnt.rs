//! Mounts: a new mount namespace is a copy, and copies of a shared mount tell each other of every mount, both ways, until they are made
//! private, mount_namespaces(7).

use super::{Direction, Effect, Outside, Probe, Try, arrived, of};
use crate::failure::errno_text;
use crate::namespace::Namespace;
use crate::verify::crossing::{self, Reply};
use crate::verify::subject::Subject;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 2] = [
    Probe {
        id: "RV-MNT-01",
        wall: Wall::Mnt,
        title: "mount inside, look outside; what rustic itself mounts while it starts counts too",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: outwards,
    },
    Probe {
        id: "RV-MNT-02",
        wall: Wall::Mnt,
        title: "mount outside, look inside",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: inwards,
    },
];

/// Folders that hold nothing a probe needs.
const FOLDERS: [&str; 6] = ["tmp", "mnt", "run", "root", "srv", "media"];

/// The mounts of the verifier's namespace, by their ids.
pub fn mounts() -> BTreeSet<u64> {
    table().lines().filter_map(id).collect()
}

fn id(line: &str) -> Option<u64> {
    line.split(' ').next()?.parse().ok()
}

/// Takes away what has been mounted in the stage since then, the last first: what a leak has left there would stand in the way of the next
/// container.
pub fn unmount_since(before: &BTreeSet<u64>) {
    let table = table();
    let new = table.lines().rev().filter(|line| id(line).is_some_and(|id| !before.contains(&id)));
    for point in new.filter_map(|line| line.split(' ').nth(4)) {
        let _ = unmount(point, UnmountFlags::DETACH);
    }
}

fn table() -> String {
    fs::read("/proc/self/mountinfo").map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

/// Where in the stage something with this mark is mounted.
fn points_of(mark: &str) -> Vec<PathBuf> {
    let table = table();
    let marked = table.lines().filter(|line| line.split(' ').any(|word| word == mark));
    marked.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

fn outwards(outside: &Outside<'_>, subject: &Subject) -> Try {
    let place = match subject.role.ordered() {
        None => {
            let place = outside.stage.directory.join("mount-out");
            let _ = fs::create_dir(&place);
            vec![place]
        }
        Some(_) => FOLDERS.map(|folder| Path::new("/").join(folder)).to_vec(),
    };
    let reply = subject.ask(&crossing::Crossing::Mnt(Crossing::Mount { mark: subject.mark.clone(), places: place }));
    let new = mounts().difference(&subject.mounts_before).count();
    for point in points_of(&subject.mark) {
        let _ = unmount(&point, UnmountFlags::DETACH);
    }
    let seen = match new {
        0 => "no mount appeared".to_owned(),
        1 => "1 mount appeared".to_owned(),
        new => format!("{new} mounts appeared"),
    };
    let walled = [Errno::PERM, Errno::NOENT, Errno::ROFS];
    Try::to_mark(reply, of(subject, Namespace::Mount), arrived(new > 0), seen, &walled).or_stayed()
}

fn inwards(outside: &Outside<'_>, subject: &Subject) -> Try {
    let (there, inside) = place(outside, subject);
    let mounted = fs::create_dir_all(&there).map_err(|error| crossing::errno_of(&error)).and_then(|()| {
        mount(subject.mark.as_str(), &there, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=0755,size=64k"))?;
        fs::write(there.join("secret"), &outside.stage.secret).map_err(|error| crossing::errno_of(&error))
    });
    let attempt = match mounted {
        Ok(()) => {
            let reply = subject.ask(&crossing::Crossing::Read { path: inside.join("secret") });
            let attempt = Try::to_read(reply, of(subject, Namespace::Mount), &outside.stage.secret, &[Errno::NOENT]);
            Try { outside: format!("mounted, {}", attempt.outside), ..attempt }
        }
        Err(errno) => Try::unplanted("open", &errno_text(errno)),
    };
    let _ = unmount(&there, UnmountFlags::DETACH);
    attempt
}

/// Where to mount outside, and where that would appear inside.
fn place(outside: &Outside<'_>, subject: &Subject) -> (PathBuf, PathBuf) {
    let root = match subject.role.ordered() {
        None => None,
        // The inside's root seen from outside: a place of the stage where the mounts are shared.
        Some(_) if of(subject, Namespace::Mount) == Identity::Same => Some(PathBuf::from(format!("/proc/{}/root", subject.pid))),
        Some(ordered) => ordered.directory.clone(),
    };
    root.and_then(|root| {
        let folder = FOLDERS.into_iter().find(|folder| root.join(folder).is_dir())?;
        Some((root.join(folder), Path::new("/").join(folder)))
    })
    .unwrap_or_else(|| {
        let place = outside.stage.directory.join("mount-in");
        (place.clone(), place)
    })
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crossing {
    /// mount(2) of a tmpfs whose source is the mark, on the first of these places that is there.
    Mount {
        /// The mark.
        mark: String,
        /// Directories.
        places: Vec<PathBuf>,
    },
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        let Self::Mount { mark, places } = self;
        let Some(place) = places.iter().find(|place| place.is_dir()) else {
            return Reply::untried("mount", "tmpfs", "there is no folder to mount on");
        };
        let done = mount(mark.as_str(), place, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None);
        Reply::plain("mount", format!("tmpfs on {}", place.display()), done)
    }
}
