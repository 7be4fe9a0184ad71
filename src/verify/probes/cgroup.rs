//! The cgroup tree: where in it the process is. A cgroup namespace shows that place as `/`,
//! cgroup_namespaces(7).

use crate::error::{errno_of, without_number};
use crate::mounts;
use crate::namespace::Namespace;
use crate::spec::Opening;
use crate::verify::attempt::{Try, planted};
use crate::verify::held::HeldFd;
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::find::{by_ways, mounted};
use crate::verify::probes::receipt::arrived;
use crate::verify::protocol::{Crossing, Ground, Reply, Topic};
use crate::verify::stage::place::line;
use crate::verify::target::Target;
use crate::verify::verdict::Receipt;
use crate::verify::wall::Wall;
use caps::Capability;
use nix::sched::{CloneFlags, unshare};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 5] = [
    Probe {
        id: "RV-CGR-01",
        wall: Wall::Cgroup,
        title: "read the path of its own cgroup",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: path,
    },
    Probe {
        id: "RV-CGR-02",
        wall: Wall::Cgroup,
        title: "find the host's cgroup tree where the host has it mounted",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: tree,
    },
    Probe {
        id: "RV-CGR-05",
        wall: Wall::Cgroup,
        title: "find a cgroup hierarchy of the host's among the mounts",
        direction: Direction::In,
        effect: Effect::None,
        attempt: by_mount,
    },
    Probe {
        id: "RV-CGR-06",
        wall: Wall::Cgroup,
        title: "reach the host's cgroup tree through the root of a process outside",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: by_process,
    },
    Probe {
        id: "RV-CGR-03",
        wall: Wall::Cgroup,
        title: "mount a cgroup hierarchy, by a right or in a user namespace (CVE-2022-0492)",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: own_mount,
    },
];

fn path(outside: &Outside<'_>, subject: &Target) -> Try {
    if subject.role.joined().is_some() {
        return Try::untried("read", "the probe is in the caller's cgroup, and not in that one");
    }
    planted(&outside.stage.cgroup, "read", |place| {
        // Opened outside and read inside: what it says depends on who reads. So it can be tried
        // without a /proc inside.
        match fs::File::open(format!("/proc/{}/cgroup", subject.pid)) {
            Ok(file) => {
                let crossing = CgroupCrossing::Path { hierarchy: place.hierarchy };
                let reply = subject.ask_with(&crossing, file.as_fd());
                let attempt =
                    Try::reading(reply, subject.identity(Namespace::Cgroup), &place.path, &[]);
                Try { outside: format!("it is in \"{}\"", place.path), ..attempt }
            }
            Err(error) => Try::unplanted("read", &without_number(&error)),
        }
    })
}

fn tree(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.stage.cgroup, "stat", |place| {
        let Some(directory) = &place.directory else {
            return Try::untried("stat", "the host has this hierarchy not mounted");
        };
        // Without any cgroup mount inside, that this one is missing says nothing.
        if !subject.mounts().iter().any(|shown| is_cgroup(&shown.mount.kind)) {
            return Try::untried("stat", "no cgroup tree is mounted inside");
        }
        match fs::metadata(directory) {
            Ok(stat) => {
                let reply = subject.ask(&CgroupCrossing::Tree { path: directory.clone() });
                let same = format!("inode {} of device {}", stat.ino(), stat.dev());
                let walled = [Errno::NOENT, Errno::ACCESS];
                let attempt =
                    Try::reading(reply, subject.identity(Namespace::Cgroup), &same, &walled);
                let outside = if attempt.receipt == Receipt::Arrived {
                    "it is the host's"
                } else {
                    "it is not the host's"
                };
                Try { outside: outside.into(), ..attempt }.through(subject.door_at(directory))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Try::untried("stat", "where the host has it mounted something else lies on it")
            }
            Err(error) => Try::unplanted("stat", &without_number(&error)),
        }
    })
}

fn by_mount(outside: &Outside<'_>, subject: &Target) -> Try {
    let devices = outside.stage.host.devices(is_cgroup);
    mounted(subject, &devices, subject.identity(Namespace::Cgroup), |_, _| true)
}

fn by_process(outside: &Outside<'_>, subject: &Target) -> Try {
    let host = &outside.stage.host;
    let paths: Vec<PathBuf> =
        host.points(is_cgroup).flat_map(|point| by_ways(outside, subject, point)).collect();
    let devices = host.devices(is_cgroup);
    let mut found = Vec::new();
    let opened = subject.open_inside(&paths, |path, held| {
        let is_it = |held: HeldFd| held.stat().is_ok_and(|stat| devices.contains(&stat.st_dev));
        found.extend(held.is_some_and(is_it).then(|| path.to_owned()));
    });
    let identity = subject.identity(Namespace::Cgroup);
    if let Err(reply) = opened {
        return Try::marking(reply, identity, Receipt::Absent, "it has not looked", &[]);
    }
    let (outcome, seen) = match found.first() {
        Some(_) => (Ok(()), "it is the host's"),
        None => (Err(Errno::NOENT), "it is out of reach"),
    };
    let arg = found.first().map_or_else(|| "/proc/PID/root".into(), |path| path.to_string_lossy());
    Try::marking(
        Reply::plain("open", arg, outcome),
        identity,
        arrived(!found.is_empty()),
        seen,
        &[Errno::NOENT],
    )
    .through(found.first().and_then(|path| subject.door_for(path)))
    .or_closed()
    .or_nothing_to_find(subject, "the caller has no way there itself")
}

fn is_cgroup(kind: &str) -> bool {
    matches!(kind, "cgroup" | "cgroup2")
}

/// The receipt is the mount's root, which the inside holds: it is a hierarchy of the host's.
fn own_mount(outside: &Outside<'_>, subject: &Target) -> Try {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let controllers = own.lines().filter_map(line).filter(|(number, ..)| *number != 0);
    let controllers = controllers.map(|(_, controllers, _)| controllers.to_owned()).collect();
    let reply = subject.ask(&CgroupCrossing::Mount { controllers });
    let held = reply.number().and_then(|number| subject.held(number).ok());
    let devices = outside.stage.host.devices(is_cgroup);
    let is_it =
        held.and_then(|held| held.stat().ok()).is_some_and(|stat| devices.contains(&stat.st_dev));
    let seen = if is_it { "it holds a hierarchy of the host's" } else { "it holds no hierarchy" };
    let role = &subject.role;
    let nested = || role.door(|opening| matches!(opening, Opening::Nest | Opening::Seccomp));
    let walled =
        [Errno::PERM, Errno::ACCESS, Errno::NOSYS, Errno::NODEV, Errno::BUSY, Errno::NOSPC];
    Try::marking(reply, subject.identity(Namespace::Cgroup), arrived(is_it), seen, &walled)
        .or_closed()
        .through(role.right(Capability::CAP_SYS_ADMIN).or_else(nested))
        .or_nothing_to_find(subject, "the caller can mount none itself")
}

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupCrossing {
    /// Reads the line of a hierarchy in the file that was handed in, or in /proc/self/cgroup.
    Path { hierarchy: u32 },
    /// stat(2) of a cgroup's directory.
    Tree {
        #[serde(with = "crate::verify::escaped")]
        path: PathBuf,
    },
    /// A mount of version 2, and of version 1 with each of these controllers; the same in a user
    /// namespace of its own.
    Mount { controllers: Vec<String> },
}

impl Crossing for CgroupCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Cgroup);

    fn ground(&self) -> Ground {
        match self {
            Self::Mount { .. } => Ground::Apart,
            Self::Path { .. } | Self::Tree { .. } => Ground::Here,
        }
    }

    fn attempt(&self, passed: Option<OwnedFd>) -> Reply {
        match self {
            Self::Path { hierarchy } => {
                let mut text = String::new();
                let read = passed
                    .map_or_else(
                        || fs::File::open("/proc/self/cgroup"),
                        |fd| Ok(fs::File::from(fd)),
                    )
                    .and_then(|mut file| file.read_to_string(&mut text));
                let shown = text
                    .lines()
                    .filter_map(line)
                    .find(|(number, ..)| number == hierarchy)
                    .map_or("", |(_, _, path)| path);
                Reply::of(
                    "read",
                    "/proc/self/cgroup",
                    read.map(|_| (0, shown.to_owned())).map_err(|error| errno_of(&error)),
                )
            }
            Self::Mount { controllers } => {
                let mounted = hierarchy(controllers).or_else(|before| {
                    let all = CloneFlags::CLONE_NEWUSER
                        | CloneFlags::CLONE_NEWNS
                        | CloneFlags::CLONE_NEWCGROUP;
                    unshare(all).map_err(|_| before)?;
                    hierarchy(controllers)
                });
                Reply::holding("mount", "cgroup2, cgroup", mounted)
            }
            Self::Tree { path } => Reply::of("stat", path.to_string_lossy(), seen(path)),
        }
    }
}

/// A hierarchy that can be mounted, in no place: of version 1 where there is one, since a mount of
/// version 2 takes longer.
fn hierarchy(controllers: &[String]) -> Result<OwnedFd, Errno> {
    let options = |controllers: &String| -> Vec<mounts::FsOption> {
        match controllers.strip_prefix("name=") {
            Some(name) => vec![(c"none", None), (c"name", CString::new(name).ok())],
            None => controllers.split(',').filter_map(flag).collect(),
        }
    };
    let first = controllers.iter().map(|one| (c"cgroup", options(one)));
    let mut answer = Errno::NODEV;
    first
        .chain([(c"cgroup2", Vec::new())])
        .find_map(|(kind, options)| {
            let mounted = mounts::new(kind, &options, mounts::Attributes::NONE);
            mounted.map_err(|error| answer = error.errno).ok()
        })
        .ok_or(answer)
}

/// A controller as an option: of those that there are.
fn flag(controller: &str) -> Option<mounts::FsOption> {
    const CONTROLLERS: [&CStr; 13] = [
        c"cpu",
        c"cpuacct",
        c"cpuset",
        c"memory",
        c"devices",
        c"freezer",
        c"blkio",
        c"pids",
        c"net_cls",
        c"net_prio",
        c"perf_event",
        c"hugetlb",
        c"rdma",
    ];
    let name = CONTROLLERS.into_iter().find(|name| name.to_bytes() == controller.as_bytes())?;
    Some((name, None))
}

fn seen(path: &Path) -> Result<(i64, String), Errno> {
    let stat = fs::metadata(path).map_err(|error| errno_of(&error))?;
    Ok((0, format!("inode {} of device {}", stat.ino(), stat.dev())))
}
