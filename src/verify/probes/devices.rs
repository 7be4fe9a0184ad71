//! Devices: nodes that lead to what the host has, those that are there and those that can be made.
//! A disk is opened for reading and nothing is read; of the other nodes only those are opened that
//! do nothing when they are, as /dev/mem and /dev/kvm: to open a watchdog is to start it.

use super::{Direction, Effect, Outside, Probe, Try, arrived, mounted};
use crate::mounts;
use crate::verify::held::Held;
use crate::verify::protocol::{self, Reply};
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, major, makedev, minor, mknodat, open, openat,
    statat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 4] = [
    Probe {
        id: "RV-DEV-01",
        wall: Wall::Devices,
        title: "open a disk, memory, kvm, fuse or tun by a node that is there",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: there,
    },
    Probe {
        id: "RV-DEV-02",
        wall: Wall::Devices,
        title: "make a node of a disk of the host's, and open it",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: made,
    },
    Probe {
        id: "RV-DEV-03",
        wall: Wall::Devices,
        title: "mount a devtmpfs, and open a disk by its node",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: by_devtmpfs,
    },
    Probe {
        id: "RV-DEV-04",
        wall: Wall::Devices,
        title: "find a node of the host's among the mounts, where it can be opened",
        direction: Direction::In,
        effect: Effect::None,
        attempt: node_among_mounts,
    },
];

const IDENTITY: Identity = Identity::NoNamespace;

/// No node, none that may be opened, none that may be made, no such disk.
const WALLED: [Errno; 6] =
    [Errno::NOENT, Errno::ACCESS, Errno::PERM, Errno::ROFS, Errno::NOSYS, Errno::NODEV];

/// Whether a file is a device that has nothing behind it: null, zero, full, random, urandom, tty
/// and ptmx, Documentation/admin-guide/devices.txt.
pub fn is_harmless(stat: &Stat) -> bool {
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && matches!(device, (1, 3 | 5 | 7 | 8 | 9) | (5, 0 | 2))
}

/// Whether a node is opened: a disk, and of character devices mem, port, kmsg, tun, fuse and kvm.
fn is_opened(stat: &Stat) -> bool {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => true,
        FileType::CharacterDevice => {
            let device = (major(stat.st_rdev), minor(stat.st_rdev));
            matches!(device, (1, 1 | 4 | 11) | (10, 200 | 229 | 232))
        }
        _ => false,
    }
}

/// Nodes below /dev, and on every mount that does not forbid them.
fn there(outside: &Outside<'_>, subject: &Target) -> Try {
    let shown = subject.mounts();
    let with_nodes = shown.iter().filter(|shown| {
        let forbids = shown.mount.attributes.split(',').any(|one| one == "nodev");
        let without = ["proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts"];
        !forbids && !without.contains(&shown.mount.kind.as_str())
    });
    let mut places = vec![PathBuf::from("/dev")];
    places.extend(with_nodes.map(|shown| shown.mount.point.clone()));
    places.extend(outside.by_ways(subject, Path::new("/dev")));
    places.dedup();
    let reply = subject.ask(&protocol::Crossing::Devices(Crossing::There { places }));
    // It is told by which place it was found.
    let door = subject.door_for(Path::new(&reply.arg));
    judged(reply, subject, "the caller may open none itself").through(door)
}

fn made(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.holds(Capability::CAP_MKNOD) {
        return Try::untried("mknod", &super::right::none_to_keep(Capability::CAP_MKNOD));
    }
    let devices = disks(outside);
    if devices.is_empty() {
        return Try::untried("mknod", "the host has no disk");
    }
    let crossing = Crossing::Make { devices, name: subject.mark.clone() };
    let reply = subject.ask(&protocol::Crossing::Devices(crossing));
    judged(reply, subject, "the caller can make none itself")
        .through(subject.role.right(Capability::CAP_MKNOD))
}

fn by_devtmpfs(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.holds(Capability::CAP_SYS_ADMIN) {
        return Try::untried("mount", &super::right::none_to_keep(Capability::CAP_SYS_ADMIN));
    }
    let reply = subject.ask(&protocol::Crossing::Devices(Crossing::Mount));
    judged(reply, subject, "the caller finds none there itself")
        .through(subject.role.right(Capability::CAP_SYS_ADMIN))
}

/// A device whatever it is, and it is not opened for this. The control finds the host's /dev.
fn node_among_mounts(outside: &Outside<'_>, subject: &Target) -> Try {
    let contained = subject.role.ordered().is_some();
    let devices = outside.stage.host.devices(|kind| kind != "proc" && kind != "devpts");
    mounted(subject, &devices, IDENTITY, |shown, held| {
        let forbidden = shown.mount.attributes.split(',').any(|one| one == "nodev");
        let is_node = held.stat().is_ok_and(|stat| {
            let kind = FileType::from_raw_mode(stat.st_mode);
            matches!(kind, FileType::BlockDevice | FileType::CharacterDevice) && !is_harmless(&stat)
        });
        !forbidden && (is_node || !contained && shown.mount.kind == "devtmpfs")
    })
}

fn judged(reply: Reply, subject: &Target, nothing: &str) -> Try {
    let held = reply.number().and_then(|number| subject.held(number).ok());
    let leads = held.filter(leads_to_the_host);
    let seen = match leads.as_ref().and_then(|held| held.stat().ok()) {
        Some(stat) => {
            format!("it holds device {}:{} open", major(stat.st_rdev), minor(stat.st_rdev))
        }
        None => "it holds no device open".to_owned(),
    };
    Try::marking(reply, IDENTITY, arrived(leads.is_some()), seen, &WALLED)
        .or_nothing_to_find(subject, nothing)
}

/// Whether a descriptor is a device that was opened, and not merely named.
fn leads_to_the_host(held: &Held) -> bool {
    !held.flags.contains(OFlags::PATH) && held.stat().is_ok_and(|stat| is_opened(&stat))
}

/// Disks of the host's: that of its root, and others that the kernel has. A cgroup may forbid some
/// of them to everybody.
fn disks(outside: &Outside<'_>) -> Vec<u64> {
    const MOST: usize = 4;
    let of_root = outside.stage.host.disk().map(|mount| mount.device);
    let others = fs::read_dir("/sys/block").into_iter().flatten().flatten().filter_map(|entry| {
        let text = fs::read_to_string(entry.path().join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        Some(makedev(major.parse().ok()?, minor.parse().ok()?))
    });
    of_root.into_iter().chain(others).take(MOST).collect()
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// open(2) of the nodes at and below these places.
    There {
        #[serde(with = "crate::verify::escaped::all")]
        places: Vec<PathBuf>,
    },
    /// mknod(2) and open(2), in a tmpfs of its own and where there are folders.
    Make { devices: Vec<u64>, name: String },
    /// A new devtmpfs, and open(2) of its nodes.
    Mount,
    /// A mount of a disk, by a node in a tmpfs or a devtmpfs of its own.
    Disk { kind: String, device: u64, read_only: bool },
}

/// Where a node may be made and opened.
const FOLDERS: [&str; 6] = ["/dev", "/tmp", "/run", "/var/tmp", "/mnt", "/"];

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        match self {
            Self::There { places } => {
                let mut answer = Errno::NOENT;
                for place in places {
                    match open_below(place) {
                        Ok(file) => {
                            return Reply::holding("open", place.to_string_lossy(), Ok(file));
                        }
                        Err(Errno::NOENT) => {}
                        Err(errno) => answer = errno,
                    }
                }
                let arg = format!("nodes at {} places", places.len());
                Reply::plain("open", arg, Err(answer))
            }
            Self::Disk { kind, device, read_only } => {
                Reply::holding("mount", kind, mounted_disk(kind, *device, *read_only))
            }
            Self::Make { devices, name } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let theirs = FOLDERS.iter().map(|folder| open(*folder, flags, Mode::empty()));
                let folders: Vec<_> = std::iter::once(tmpfs()).chain(theirs).collect();
                let all = devices.iter().flat_map(|device| {
                    folders
                        .iter()
                        .map(|folder| make(folder.as_ref().map_err(|e| *e)?, name, *device))
                });
                let mut answer = Errno::NOENT;
                let made = all.filter_map(|made| made.map_err(|errno| answer = errno).ok()).next();
                Reply::holding("mknod", format!("{} disks", devices.len()), made.ok_or(answer))
            }
            Self::Mount => {
                let opened = mounts::new(c"devtmpfs", &[], mounts::Attributes::NONE)
                    .map_err(|error| error.errno)
                    .and_then(|nodes| {
                        let nodes = openat(&nodes, ".", DIRECTORY, Mode::empty())?;
                        open_in(nodes, 0)
                    });
                Reply::holding("mount", "devtmpfs", opened)
            }
        }
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The node at a place, or the first below it that opens.
fn open_below(place: &Path) -> Result<OwnedFd, Errno> {
    let stat = rustix::fs::lstat(place)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => open_in(open(place, DIRECTORY, Mode::empty())?, 0),
        _ if is_opened(&stat) => open(place, READ, Mode::empty()),
        _ => Err(Errno::NOENT),
    }
}

/// The first node in a folder and below it, on one file system and not too deep, that opens.
fn open_in(folder: OwnedFd, depth: usize) -> Result<OwnedFd, Errno> {
    const DEEPEST: usize = 4;
    const MOST: usize = 4096;
    let device = rustix::fs::fstat(&folder)?.st_dev;
    let mut answer = Errno::NOENT;
    let mut below = Vec::new();
    for entry in Dir::read_from(&folder)?.flatten().take(MOST) {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if is_opened(&stat) {
            match openat(&folder, name, READ | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(file) => return Ok(file),
                Err(errno) => answer = errno,
            }
        } else if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && stat.st_dev == device
            && depth < DEEPEST
        {
            below.push(name.to_owned());
        }
    }
    for name in below {
        let Ok(folder) = openat(&folder, &name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) else {
            continue;
        };
        match open_in(folder, depth + 1) {
            Err(Errno::NOENT) => {}
            Err(errno) => answer = errno,
            found => return found,
        }
    }
    Err(answer)
}

/// A tmpfs of its own that does not forbid nodes, mounted nowhere.
fn tmpfs() -> Result<OwnedFd, Errno> {
    mounts::new(c"tmpfs", &[], mounts::Attributes::NONE).map_err(|error| error.errno)
}

fn make(folder: impl AsFd, name: &str, device: u64) -> Result<OwnedFd, Errno> {
    mknodat(&folder, name, FileType::BlockDevice, Mode::from_raw_mode(0o600), device)?;
    let opened = openat(&folder, name, READ, Mode::empty());
    let _ = rustix::fs::unlinkat(&folder, name, AtFlags::empty());
    opened
}

/// Mounts a disk by a node of its own making, or by that of a devtmpfs, in no place. The root of
/// it, named.
fn mounted_disk(kind: &str, device: u64, read_only: bool) -> Result<OwnedFd, Errno> {
    // By a path that begins at the working directory: so nothing has to be mounted anywhere.
    let made = tmpfs().and_then(|own| {
        mknodat(&own, "disk", FileType::BlockDevice, Mode::from_raw_mode(0o600), device)?;
        rustix::process::fchdir(&own)?;
        Ok(PathBuf::from("disk"))
    });
    let node = made.or_else(|_| {
        let nodes = mounts::new(c"devtmpfs", &[], mounts::Attributes::NONE);
        rustix::process::fchdir(nodes.map_err(|error| error.errno)?)?;
        node_of(Path::new("."), device, 0).ok_or(Errno::NODEV)
    })?;
    let kind = CString::new(kind).map_err(|_| Errno::INVAL)?;
    let context = fsopen(&kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", node)?;
    if read_only {
        fsconfig_set_flag(&context, "ro")?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// The node of a disk in a folder, and not too deep below it.
fn node_of(folder: &Path, device: u64, depth: usize) -> Option<PathBuf> {
    const DEEPEST: usize = 2;
    let entries = fs::read_dir(folder).ok()?.flatten();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let is_it = |path: &&PathBuf| {
        rustix::fs::lstat(*path).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice && stat.st_rdev == device
        })
    };
    let here = paths.iter().find(is_it).cloned();
    here.or_else(|| {
        let folders = paths.iter().filter(|path| depth < DEEPEST && path.is_dir());
        folders.filter(|path| !path.is_symlink()).find_map(|path| node_of(path, device, depth + 1))
    })
}
