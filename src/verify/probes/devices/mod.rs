//! Devices: nodes that lead to what the host has, those that are there and those that can be made.
//! A disk is opened for reading and nothing is read; of the other nodes only those are opened that
//! do nothing when they are, as /dev/mem and /dev/kvm: to open a watchdog is to start it.

pub mod inside;
pub mod nodes;

use super::find::{by_ways, mounted};
use super::receipt::arrived;
use super::right::none_to_keep;
use crate::verify::attempt::Try;
use crate::verify::held::HeldFd;
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::protocol::Reply;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use caps::Capability;
use inside::DevicesCrossing;
use nodes::{is_harmless, is_opened};
use rustix::fs::{FileType, OFlags, major, makedev, minor};
use rustix::io::Errno;
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
    // Behind a chroot the root is no mount of its own.
    if subject.mount_under(Path::new("/")).is_none() {
        places.push("/".into());
    }
    places.extend(by_ways(outside, subject, Path::new("/dev")));
    places.dedup();
    let reply = subject.ask(&DevicesCrossing::There { places });
    // It is told by which place it was found.
    let door = subject.door_for(Path::new(&reply.arg));
    judged(reply, subject, "the caller may open none itself").through(door)
}

fn made(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.holds(Capability::CAP_MKNOD) {
        return Try::untried("mknod", &none_to_keep(Capability::CAP_MKNOD));
    }
    let devices = disks(outside);
    if devices.is_empty() {
        return Try::untried("mknod", "the host has no disk");
    }
    let crossing = DevicesCrossing::Make { devices, name: subject.mark.clone() };
    let reply = subject.ask(&crossing);
    judged(reply, subject, "the caller can make none itself")
        .through(subject.role.right(Capability::CAP_MKNOD))
}

fn by_devtmpfs(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.holds(Capability::CAP_SYS_ADMIN) {
        return Try::untried("mount", &none_to_keep(Capability::CAP_SYS_ADMIN));
    }
    let reply = subject.ask(&DevicesCrossing::Mount);
    judged(reply, subject, "the caller finds none there itself")
        .through(subject.role.right(Capability::CAP_SYS_ADMIN))
}

/// A device whatever it is, and it is not opened for this. The control finds the host's /dev.
fn node_among_mounts(outside: &Outside<'_>, subject: &Target) -> Try {
    let contained = !subject.role.is_open();
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
fn leads_to_the_host(held: &HeldFd) -> bool {
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
