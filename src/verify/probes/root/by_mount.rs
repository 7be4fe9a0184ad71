//! The host's files by what is mounted inside, by the root of a process that is shown there, and by
//! the disk that they are on.

use super::canary::SHARED_MEMORY;
use crate::spec::Opening;
use crate::verify::attempt::Try;
use crate::verify::held::HeldFd;
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::devices::inside::DevicesCrossing;
use crate::verify::probes::devices::nodes;
use crate::verify::probes::find::{by_ways, mounted};
use crate::verify::probes::receipt::arrived;
use crate::verify::probes::right::none_to_keep;
use crate::verify::protocol::Reply;
use crate::verify::shown::Shown;
use crate::verify::target::Target;
use crate::verify::verdict::{Identity, Receipt};
use crate::verify::wall::Wall;
use crate::walls::proc_masks::VIEWS_OF_THE_KERNEL;
use caps::Capability;
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 3] = [
    Probe {
        id: "RV-ROOT-08",
        wall: Wall::Root,
        title: "find a file system of the host among the mounts",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: by_mount,
    },
    Probe {
        id: "RV-ROOT-13",
        wall: Wall::Root,
        title: "reach the host's root through a process of the host that is mounted",
        direction: Direction::In,
        effect: Effect::None,
        attempt: by_process,
    },
    Probe {
        id: "RV-ROOT-10",
        wall: Wall::Root,
        title: "mount the disk that the host's root is on",
        direction: Direction::In,
        effect: Effect::None,
        attempt: disk,
    },
];

/// Always ordered, and made by no namespace.
const IDENTITY: Identity = Identity::NoNamespace;

/// A disk, a tmpfs, a network file system of the host's: what shows the kernel or a namespace is
/// another wall's. The image that a container is made of is no part of it, since nothing is written
/// there.
fn by_mount(outside: &Outside<'_>, subject: &Target) -> Try {
    let mut devices = outside
        .stage
        .host
        .devices(|kind| !VIEWS_OF_THE_KERNEL.contains(&kind) || kind == "devtmpfs");
    let of_the_stage = [outside.stage.directory.as_path(), Path::new(SHARED_MEMORY)];
    devices
        .extend(of_the_stage.iter().filter_map(|path| Some(rustix::fs::stat(*path).ok()?.st_dev)));
    if let Some(attempt) = ordered_directory(subject) {
        return attempt;
    }
    // In a user namespace no node can be made: those of /dev are the host's, one by one.
    mounted(subject, &devices, IDENTITY, |shown, held| {
        let is_own = || is_own_root(shown, outside) || is_made_for(subject, held);
        let is_own = subject.role.is_foreign() && is_own();
        !is_own && !held.stat().is_ok_and(|stat| nodes::is_harmless(&stat))
    })
}

/// Whether a mount is the root that another launcher has given: a directory of some file system, as
/// every container's is, and not the host's own root.
fn is_own_root(shown: &Shown, outside: &Outside<'_>) -> bool {
    let ours = outside.stage.host.root();
    let theirs = (shown.mount.device, shown.mount.root.as_path());
    shown.mount.point == Path::new("/")
        && ours.is_some_and(|ours| (ours.device, ours.root.as_path()) != theirs)
}

/// Whether what is mounted was made when the container was: a list of hosts, an empty volume. It
/// holds nothing that the host had.
fn is_made_for(subject: &Target, held: &HeldFd) -> bool {
    held.made().is_some_and(|made| made >= subject.since)
}

/// A directory of the host's that is the root, also where its mount is none of the container's or
/// an overlay's: an entry of it is there, with the size and the time that it has outside.
fn ordered_directory(subject: &Target) -> Option<Try> {
    let directory = subject.role.ordered()?.directory.as_ref()?;
    let names = entries_to_find(directory);
    let mut same = None;
    let _ = subject.open_inside(&names, |path, held| {
        let name = path.strip_prefix("/").unwrap_or(path);
        let ours = rustix::fs::lstat(directory.join(name));
        if let (Ok(ours), Some(Ok(theirs))) = (ours, held.map(|held| held.stat()))
            && (ours.st_size, ours.st_mtime, ours.st_mtime_nsec)
                == (theirs.st_size, theirs.st_mtime, theirs.st_mtime_nsec)
        {
            same = Some(path.to_owned());
        }
    });
    let reply = Reply::plain("open", same?.to_string_lossy(), Ok(()));
    let seen = format!("it is in {}", directory.display());
    Some(
        Try::marking(reply, IDENTITY, Receipt::Arrived, seen, &[])
            .through(subject.role.door(is_root)),
    )
}

/// Entries of a directory, and of its /etc, that are no place of the container's own mounts and
/// files.
fn entries_to_find(directory: &Path) -> Vec<PathBuf> {
    const MOST: usize = 16;
    let own = ["dev", "proc", "sys", "etc", "hosts", "hostname", "resolv.conf"];
    let of = |below: &str| {
        let entries = fs::read_dir(directory.join(below)).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name());
        let others = names.filter(|name| !own.iter().any(|own| name == own)).take(MOST);
        others.map(|name| Path::new("/").join(below).join(name)).collect::<Vec<_>>()
    };
    [of(""), of("etc")].concat()
}

fn is_root(opening: &Opening) -> bool {
    matches!(opening, Opening::Files { target, .. } if target == Path::new("/"))
}

/// The receipt is that it is the host's own root directory.
fn by_process(outside: &Outside<'_>, subject: &Target) -> Try {
    let Ok(ours) = rustix::fs::stat("/") else {
        return Try::unplanted("open", "the root could not be looked at");
    };
    let paths = by_ways(outside, subject, Path::new("."));
    let mut found = Vec::new();
    let opened = subject.open_inside(&paths, |path, held| {
        let same =
            |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino) == (ours.st_dev, ours.st_ino);
        let is_it = held.and_then(|held| held.stat().ok()).is_some_and(same);
        found.extend(is_it.then(|| path.to_owned()));
    });
    if let Err(reply) = opened {
        return Try::marking(reply, IDENTITY, Receipt::Absent, "it has not looked", &[]);
    }
    let decides = found.iter().find(|path| subject.door_for(path).is_none()).or(found.first());
    let (outcome, seen) = match decides {
        Some(_) => (Ok(()), "it is the host's"),
        None => (Err(Errno::NOENT), "no process of the host leads there"),
    };
    let arg = decides.map_or_else(|| "/proc/PID/root".into(), |path| path.display().to_string());
    let reply = Reply::plain("open", arg, outcome);
    Try::marking(reply, IDENTITY, arrived(decides.is_some()), seen, &[Errno::NOENT])
        .through(decides.and_then(|path| subject.door_for(path)))
}

/// Mounts a disk once more that the host has mounted: the kernel has one instance of it, and
/// nothing is written. The receipt is that it is the host's own.
fn disk(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.holds(Capability::CAP_SYS_ADMIN) {
        return Try::untried("mount", &none_to_keep(Capability::CAP_SYS_ADMIN));
    }
    let Some(disk) = outside.stage.host.disk() else {
        return Try::untried("mount", "the host's root is on no disk that could be mounted again");
    };
    let crossing = DevicesCrossing::Disk {
        kind: disk.kind.clone(),
        device: disk.device,
        read_only: disk.options.split(',').any(|option| option == "ro"),
    };
    let reply = subject.ask(&crossing);
    let held = reply.number().and_then(|number| subject.held(number).ok());
    let is_it =
        held.and_then(|held| held.stat().ok()).is_some_and(|stat| stat.st_dev == disk.device);
    let seen = if is_it { "it holds the host's disk" } else { "it holds no disk of the host's" };
    let walled = [Errno::PERM, Errno::ACCESS, Errno::NOSYS, Errno::NXIO, Errno::NODEV];
    Try::marking(reply, IDENTITY, arrived(is_it), seen, &walled)
        .through(subject.role.right(Capability::CAP_SYS_ADMIN))
        .or_nothing_to_find(subject, "the caller cannot mount it again itself")
}
