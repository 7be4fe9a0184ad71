//! Mounts: a new mount namespace is a copy, and copies of a shared mount tell each other of every
//! mount, both ways, until they are made private, mount_namespaces(7).

use crate::error::{errno_of, errno_text};
use crate::mountinfo::{self, MountInfo};
use crate::namespace::Namespace;
use crate::verify::attempt::Try;
use crate::verify::files::FileCrossing;
use crate::verify::nsenter::{Seen, look};
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::receipt::arrived;
use crate::verify::protocol::{Crossing, Reply, Topic};
use crate::verify::role::Role;
use crate::verify::stage::new_mounts::{MountsBefore, take_away};
use crate::verify::target::Target;
use crate::verify::verdict::{Identity, Receipt};
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 3] = [
    Probe {
        id: "RV-MNT-03",
        wall: Wall::Mnt,
        title: "look outside for what was mounted inside while the container started",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: while_starting,
    },
    Probe {
        id: "RV-MNT-01",
        wall: Wall::Mnt,
        title: "mount something inside, look outside",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: outwards,
    },
    Probe {
        id: "RV-MNT-02",
        wall: Wall::Mnt,
        title: "mount something outside, look everywhere in the mount namespace of the inside",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: inwards,
    },
];

/// Folders that hold nothing a probe needs.
const FOLDERS: [&str; 6] = ["tmp", "mnt", "run", "root", "srv", "media"];

fn mounts() -> Vec<MountInfo> {
    mountinfo::read().unwrap_or_default()
}

/// What has appeared in the stage since the subject was started.
fn appeared(new: &[MountInfo]) -> (Receipt, String) {
    let new = new.len();
    let seen = match new {
        0 => "no mount appeared".to_owned(),
        1 => "1 mount appeared".to_owned(),
        new => format!("{new} mounts appeared"),
    };
    (arrived(new > 0), seen)
}

/// A container mounts much while it starts. The control has to mount something to be seen.
fn while_starting(outside: &Outside<'_>, subject: &Target) -> Try {
    if subject.role.is_open() {
        return outwards(outside, subject);
    }
    if subject.identity(Namespace::Mount) == Identity::Same {
        return Try::untried("mount", "without a mount namespace it mounts nothing");
    }
    if subject.role.is_foreign() {
        return Try::untried("mount", "another launcher may mount things outside for itself");
    }
    let table =
        fs::read(format!("/proc/{}/mountinfo", subject.pid)).map(|table| mountinfo::parse(&table));
    match table {
        Ok(table) => {
            let reply =
                Reply::plain("mount", format!("{} times while it started", table.len()), Ok(()));
            let (receipt, seen) = appeared(&subject.mounts.new_ones());
            Try::marking(reply, subject.identity(Namespace::Mount), receipt, seen, &[]).or_stayed()
        }
        Err(error) => Try::unplanted("mount", &errno_text(errno_of(&error))),
    }
}

fn outwards(outside: &Outside<'_>, subject: &Target) -> Try {
    let places = if subject.role.is_open() {
        let place = outside.stage.directory.join("mount-out");
        let _ = fs::create_dir(&place);
        vec![place]
    } else {
        FOLDERS.map(|folder| Path::new("/").join(folder)).to_vec()
    };
    let before = MountsBefore::now(outside.stage.scene);
    let mark = subject.mark.clone();
    let reply = subject.ask(&MntCrossing::Mount { mark: mark.clone(), places: places.clone() });
    let (receipt, seen) = appeared(&before.new_ones());
    // What it covers inside others have to find.
    subject.ask(&MntCrossing::Unmount { mark, places });
    take_away(&before.new_ones());
    Try::marking(reply, subject.identity(Namespace::Mount), receipt, seen, &[])
        .or_stayed()
        .or_without(Capability::CAP_SYS_ADMIN)
}

fn inwards(outside: &Outside<'_>, subject: &Target) -> Try {
    let (there, inside) = place(outside, subject);
    // Not what the inside has called a mount of its own.
    let source = format!("{}.outside", subject.mark);
    let mounted = fs::create_dir_all(&there).map_err(|error| errno_of(&error)).and_then(|()| {
        mount(
            source.as_str(),
            &there,
            "tmpfs",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(c"mode=0755,size=64k"),
        )?;
        fs::write(there.join("secret"), &outside.stage.secret).map_err(|error| errno_of(&error))
    });
    let attempt = match mounted {
        Ok(()) => {
            let reply = subject.ask(&FileCrossing::Read { path: inside.join("secret") });
            let attempt = Try::reading(
                reply,
                subject.identity(Namespace::Mount),
                &outside.stage.secret,
                &[Errno::NOENT, Errno::NOTDIR],
            );
            let seen = subject
                .sides(Namespace::Mount)
                .ok()
                .and_then(|sides| look(sides, |proc| has_mount(proc, &source)));
            let (receipt, outside) = match (seen, tied(subject)) {
                (Some(Seen::Yes), _) => {
                    (Receipt::Arrived, "our mount is in its mount namespace".to_owned())
                }
                (Some(Seen::No), 0) => {
                    (attempt.receipt, "our mount is not in its mount namespace".to_owned())
                }
                (None, 0) => (attempt.receipt, "none of its mounts follows ours".to_owned()),
                (_, tied) => (Receipt::Arrived, format!("{tied} of its mounts follow ours")),
            };
            Try { receipt, outside, ..attempt }
        }
        Err(errno) => Try::unplanted("mount", &errno_text(errno)),
    };
    let _ = unmount(&there, UnmountFlags::DETACH);
    attempt
}

/// How many mounts of the inside are in a peer group with the stage's, or take what travels from
/// one.
fn tied(subject: &Target) -> usize {
    let ours: BTreeSet<u64> = mounts().into_iter().flat_map(|mount| mount.peers).collect();
    let theirs = fs::read(format!("/proc/{}/mountinfo", subject.pid))
        .map(|table| mountinfo::parse(&table))
        .unwrap_or_default();
    theirs.iter().filter(|mount| mount.peers.iter().any(|peer| ours.contains(peer))).count()
}

/// Whether the mount namespace that this process is in has a mount with this source.
fn has_mount(proc: &OwnedFd, source: &str) -> bool {
    let mut table = Vec::new();
    let read = openat(proc, "self/mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    read.is_ok_and(|file| fs::File::from(file).read_to_end(&mut table).is_ok())
        && mountinfo::parse(&table).iter().any(|mount| mount.source == source)
}

/// Where to mount outside, and where that would appear inside.
fn place(outside: &Outside<'_>, subject: &Target) -> (PathBuf, PathBuf) {
    let root = match &subject.role {
        Role::Open => None,
        // The inside's root seen from outside: a place of the stage where the mounts are shared.
        Role::Contained(_) | Role::Foreign(_) | Role::Joined(_)
            if subject.identity(Namespace::Mount) == Identity::Same =>
        {
            Some(PathBuf::from(format!("/proc/{}/root", subject.pid)))
        }
        Role::Contained(ordered) => ordered.directory.clone(),
        Role::Foreign(_) | Role::Joined(_) => None,
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

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MntCrossing {
    /// mount(2) of a tmpfs whose source is the mark, on the first of these places that is there.
    Mount {
        /// The mark.
        mark: String,
        /// Directories.
        #[serde(with = "crate::verify::escaped::all")]
        places: Vec<PathBuf>,
    },
    /// umount2(2) of the same, where it is one of its own file system.
    Unmount {
        /// The mark.
        mark: String,
        /// Directories.
        #[serde(with = "crate::verify::escaped::all")]
        places: Vec<PathBuf>,
    },
}

impl Crossing for MntCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Mnt);

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        let (Self::Mount { mark, places } | Self::Unmount { mark, places }) = self;
        let Some(place) = places.iter().find(|place| place.is_dir()) else {
            return Reply::untried("mount", "tmpfs", "there is no folder to mount on");
        };
        // A file tells the mount from what may lie below it.
        let own = place.join(mark);
        match self {
            Self::Mount { .. } => {
                let flags = MountFlags::NOSUID | MountFlags::NODEV;
                let done = mount(mark.as_str(), place, "tmpfs", flags, None);
                let _ = done.and_then(|()| {
                    fs::File::create(&own).map(drop).map_err(|error| errno_of(&error))
                });
                Reply::plain("mount", format!("tmpfs on {}", place.display()), done)
            }
            Self::Unmount { .. } => {
                let there = fs::metadata(&own).map(drop).map_err(|error| errno_of(&error));
                let done = there.and_then(|()| unmount(place, UnmountFlags::DETACH));
                Reply::plain("umount2", place.to_string_lossy(), done)
            }
        }
    }
}
