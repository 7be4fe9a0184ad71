//! The kernel: what the machine has one of, whatever the namespaces are. Its parameters are files
//! of every proc and every sysfs, and root inside may be the uid that they belong to. Nothing is
//! written: a parameter that is open for writing is receipt enough, and it is seen from outside.

use super::{Direction, Effect, Outside, Probe, Try, arrived, mounted, strongest};
use crate::error::{errno_of, of_nix};
use crate::mountinfo;
use crate::mounts;
use crate::spec::Opening;
use crate::sys::rights;
use crate::verify::protocol::{self, Reply};
use crate::verify::shown::Shown;
use crate::verify::target::Target;
use crate::verify::verdict::{Identity, Receipt};
use crate::verify::wall::Wall;
use caps::Capability;
use nix::sched::{CloneFlags, unshare};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 7] = [
    Probe {
        id: "RV-KRN-01",
        wall: Wall::Kernel,
        title: "open a kernel parameter for writing in a /proc: core_pattern, modprobe, sysrq, …",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: parameters,
    },
    Probe {
        id: "RV-KRN-02",
        wall: Wall::Kernel,
        title: "open what the kernel can be told in a /sys for writing: uevent, power, …",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: settings,
    },
    Probe {
        id: "RV-KRN-03",
        wall: Wall::Kernel,
        title: "the same in a /proc of its own making, and where what covers it is taken away",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: uncovered,
    },
    Probe {
        id: "RV-KRN-07",
        wall: Wall::Kernel,
        title: "open any file for writing in a part of /proc or /sys that is mounted alone",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: part,
    },
    Probe {
        id: "RV-KRN-06",
        wall: Wall::Kernel,
        title: "read the kernel's log",
        direction: Direction::In,
        effect: Effect::None,
        attempt: log,
    },
    Probe {
        id: "RV-KRN-05",
        wall: Wall::Kernel,
        title: "read what a /proc tells of the machine's hardware and of addresses in its kernel",
        direction: Direction::In,
        effect: Effect::None,
        attempt: told_of,
    },
    Probe {
        id: "RV-KRN-04",
        wall: Wall::Kernel,
        title: "find a view of the kernel among the mounts: debugfs, tracefs, securityfs, bpf, …",
        direction: Direction::In,
        effect: Effect::None,
        attempt: views,
    },
];

/// Parameters below a proc that change the whole machine. Kernels differ: what is not there is
/// passed over.
const PARAMETERS: [&str; 12] = [
    "sys/kernel/core_pattern",
    "sys/kernel/modprobe",
    "sys/kernel/hotplug",
    "sys/kernel/poweroff_cmd",
    "sys/kernel/usermodehelper/bset",
    "sys/kernel/sysrq",
    "sys/kernel/panic",
    "sys/kernel/printk",
    "sys/fs/binfmt_misc/register",
    "sys/vm/overcommit_memory",
    "sys/fs/file-max",
    "sysrq-trigger",
];

/// The same below a sysfs.
const SETTINGS: [&str; 6] = [
    "kernel/uevent_helper",
    "kernel/uevent_seqnum",
    "kernel/mm/transparent_hugepage/enabled",
    "power/state",
    "kernel/profiling",
    "module/printk/parameters/time",
];

/// Not there, not for this uid, not in this mount.
const WALLED: [Errno; 5] = [Errno::NOENT, Errno::ACCESS, Errno::PERM, Errno::ROFS, Errno::NOSYS];

const IDENTITY: Identity = Identity::NoNamespace;

fn parameters(outside: &Outside<'_>, subject: &Target) -> Try {
    written("proc", &PARAMETERS, outside, subject)
}

fn settings(outside: &Outside<'_>, subject: &Target) -> Try {
    written("sysfs", &SETTINGS, outside, subject)
}

/// Opens them in every file system of a kind that is mounted inside.
fn written(kind: &str, files: &[&str], outside: &Outside<'_>, subject: &Target) -> Try {
    let mut paths: Vec<PathBuf> =
        files.iter().flat_map(|file| subject.paths_of(kind, Path::new(file))).collect();
    let top = if kind == "proc" { "/proc" } else { "/sys" };
    for file in files {
        paths.extend(outside.by_ways(subject, &Path::new(top).join(file)));
    }
    if paths.is_empty() {
        return Try::untried("open", &format!("no {kind} is mounted inside"));
    }
    let reply = subject.ask(&protocol::Crossing::Kernel(Crossing::Write { paths }));
    let opened = opened(&reply, subject);
    let door = opened.as_ref().and_then(|path| subject.door_for(path));
    judged(reply, opened, subject)
        .through(door.or_else(|| subject.role.door(|opening| *opening == Opening::Proc)))
}

/// Parts of a proc or a sysfs that are mounted to be written. The control looks where every kernel
/// has parameters.
fn part(_: &Outside<'_>, subject: &Target) -> Try {
    let parts = subject.mounts().iter().filter(|Shown { mount, .. }| {
        let written = mount.attributes.split(',').next() == Some("rw");
        let is_part = mount.root != Path::new("/");
        written && is_part && matches!(mount.kind.as_str(), "proc" | "sysfs")
    });
    let of_a_process: Vec<u64> =
        subject.parts_of_processes().map(|(shown, _)| shown.mount.id).collect();
    let parts = parts.filter(|shown| !of_a_process.contains(&shown.mount.id));
    let mut places: Vec<(PathBuf, PathBuf)> =
        parts.map(|Shown { mount, .. }| (mount.point.clone(), mount.root.clone())).collect();
    if subject.role.ordered().is_none() {
        places.push(("/proc/sys/vm".into(), "/sys/vm".into()));
    }
    let (points, roots) = places.into_iter().unzip();
    let crossing = Crossing::WriteBelow { points, roots };
    let reply = subject.ask(&protocol::Crossing::Kernel(crossing));
    let opened = opened(&reply, subject);
    let door = opened.as_ref().and_then(|path| subject.door_at(path));
    judged(reply, opened, subject).through(door)
}

/// What the outside has read last in the log, inside too.
fn log(outside: &Outside<'_>, subject: &Target) -> Try {
    let last = outside.canaries.log.get_or_init(|| {
        let ours = rights::kernel_log(LOG_OUTSIDE).ok()?;
        ours.lines().rev().find(|line| line.len() > 20).map(str::to_owned)
    });
    let Some(last) = last else {
        return Try::untried("syslog", "the caller may not read it itself, or it is empty");
    };
    let reply = subject.ask(&protocol::Crossing::Kernel(Crossing::Log));
    let right = subject.role.right(Capability::CAP_SYSLOG);
    let filter = || subject.role.door(|opening| *opening == Opening::Seccomp);
    Try::reading(reply, IDENTITY, last, &WALLED).through(right.or_else(filter))
}

/// How much of the log is read, in bytes: inside more may have come since.
const LOG_OUTSIDE: usize = 1024;
const LOG_INSIDE: usize = 8192;

fn judged(reply: Reply, opened: Option<PathBuf>, subject: &Target) -> Try {
    let seen = match &opened {
        Some(path) => format!("it holds {} open for writing", path.display()),
        None => "it holds nothing of it open".to_owned(),
    };
    Try::marking(reply, IDENTITY, arrived(opened.is_some()), seen, &WALLED)
        .or_nothing_to_find(subject, "the caller may write none of it itself")
}

/// What the inside holds open for writing, as the kernel tells it outside: a file of a proc or of a
/// sysfs. Which it is the order has said, and no other was asked for.
fn opened(reply: &Reply, subject: &Target) -> Option<PathBuf> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    const SYSFS_MAGIC: i64 = 0x6265_6572;
    let held = subject.held(reply.number()?).ok()?;
    let is_one =
        held.file_system().is_ok_and(|kind| [PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&kind));
    (held.is_writable() && is_one).then(|| PathBuf::from(&reply.arg))
}

fn uncovered(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.holds(Capability::CAP_SYS_ADMIN) {
        return Try::untried("mount", &super::right::none_to_keep(Capability::CAP_SYS_ADMIN));
    }
    let crossing = Crossing::Uncover {
        places: subject.points("proc"),
        files: PARAMETERS.iter().map(PathBuf::from).collect(),
    };
    let reply = subject.ask(&protocol::Crossing::Kernel(crossing));
    let opened = opened(&reply, subject);
    judged(reply, opened, subject).through(subject.role.right(Capability::CAP_SYS_ADMIN))
}

/// What is hidden because it tells of hardware and of the kernel's memory: files with a first line
/// that does not change.
const HIDDEN: [&str; 5] = ["interrupts", "kallsyms", "acpi/wakeup", "driver/rtc", "scsi/scsi"];

fn told_of(outside: &Outside<'_>, subject: &Target) -> Try {
    let known = outside.canaries.hidden.get_or_init(|| {
        let first_line = |file: &&'static str| {
            let path = Path::new("/proc").join(file);
            let read = protocol::Crossing::Read { path }.attempt(None);
            let line = read.data().lines().next().map(str::trim).filter(|line| !line.is_empty())?;
            Some((*file, line.to_owned()))
        };
        HIDDEN.iter().filter_map(first_line).collect()
    });
    let tried = known.iter().flat_map(|(file, line)| {
        let mut paths = subject.paths_of("proc", Path::new(file));
        paths.extend(outside.by_ways(subject, &Path::new("/proc").join(file)));
        paths.into_iter().map(move |path| {
            let door = subject.door_for(&path);
            let reply = subject.ask(&protocol::Crossing::Read { path });
            let walled = [Errno::NOENT, Errno::ACCESS, Errno::PERM];
            let attempt = Try::reading(reply, IDENTITY, line, &walled);
            let seen = match attempt.receipt {
                Receipt::Absent => "not what the host's says",
                Receipt::Arrived | Receipt::Admitted => "the host's says the same",
            };
            let open = || subject.role.door(|opening| *opening == Opening::Proc);
            Try { outside: seen.into(), ..attempt }.through(door.or_else(open))
        })
    });
    strongest(tried).unwrap_or_else(|| Try::untried("open", "no proc is mounted inside"))
}

/// File systems that are the whole kernel's, and no namespace's.
const VIEWS: [&str; 11] = [
    "binfmt_misc",
    "bpf",
    "configfs",
    "debugfs",
    "efivarfs",
    "fusectl",
    "pstore",
    "resctrl",
    "securityfs",
    "selinuxfs",
    "tracefs",
];

fn views(outside: &Outside<'_>, subject: &Target) -> Try {
    let devices = outside.stage.host.devices(|kind| VIEWS.contains(&kind));
    mounted(subject, &devices, IDENTITY, |_, _| true)
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// open(2) for writing.
    Write {
        #[serde(with = "crate::verify::escaped::all")]
        paths: Vec<PathBuf>,
    },
    /// The same of every file at and below these points, which show these parts of a file system.
    WriteBelow {
        #[serde(with = "crate::verify::escaped::all")]
        points: Vec<PathBuf>,
        #[serde(with = "crate::verify::escaped::all")]
        roots: Vec<PathBuf>,
    },
    /// syslog(2), SYSLOG_ACTION_READ_ALL.
    Log,
    /// The same below a new proc, and below these with the mounts over them taken away.
    Uncover {
        #[serde(with = "crate::verify::escaped::all")]
        places: Vec<PathBuf>,
        files: Vec<PathBuf>,
    },
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        match self {
            Self::Write { paths } => {
                told(first_opened(paths.iter().cloned(), |path| open_to_write(CWD, path)))
            }
            Self::WriteBelow { points, roots } => {
                let below = points.iter().zip(roots).flat_map(|(point, root)| {
                    let mut files = Vec::new();
                    walk(point, root, 0, &mut files);
                    files
                });
                told(first_opened(below, |path| open_to_write(CWD, path)))
            }
            Self::Log => {
                let text = rights::kernel_log(LOG_INSIDE).map(|text| (0, text));
                Reply::of("syslog", "SYSLOG_ACTION_READ_ALL", text)
            }
            Self::Uncover { places, files } => {
                let fresh = mounts::new(c"proc", &[], mounts::Attributes::NONE)
                    .map_err(|error| error.errno)
                    .and_then(|proc| {
                        first_opened(files.iter().cloned(), |file| open_to_write(&proc, file))
                    });
                told(fresh.or_else(|errno| {
                    if places.is_empty() { Err(errno) } else { unmounted(places, files) }
                }))
            }
        }
    }
}

/// The files at and below a point that somebody may write, but for those that each namespace has of
/// its own: parameters of the network and of System V IPC, and the host name.
fn walk(point: &Path, root: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    const DEEPEST: usize = 5;
    const MOST: usize = 512;
    const OWN: [&str; 8] = [
        "/sys/net",
        "/sys/user",
        "/sys/fs/mqueue",
        "/sys/kernel/shm",
        "/sys/kernel/msg",
        "/sys/kernel/sem",
        "/sys/kernel/hostname",
        "/sys/kernel/domainname",
    ];
    let own = OWN.iter().any(|own| root.to_string_lossy().starts_with(own));
    let Ok(stat) = fs::symlink_metadata(point) else { return };
    if own || files.len() >= MOST || depth > DEEPEST || stat.is_symlink() {
        return;
    }
    if stat.is_file() && stat.permissions().mode() & 0o222 != 0 {
        files.push(point.to_owned());
    }
    for entry in fs::read_dir(point).into_iter().flatten().flatten().filter(|_| stat.is_dir()) {
        let name = entry.file_name();
        walk(&point.join(&name), &root.join(&name), depth + 1, files);
    }
}

/// Takes away what is mounted over these files and above, in a mount namespace of its own.
fn unmounted(places: &[PathBuf], files: &[PathBuf]) -> Result<(PathBuf, OwnedFd), Errno> {
    own_mount_namespace()?;
    let paths: Vec<PathBuf> = places
        .iter()
        .flat_map(|place| files.iter().map(|file| place.join(file)).collect::<Vec<_>>())
        .collect();
    let mut answer = Errno::PERM;
    for path in &paths {
        for above in path.ancestors().take_while(|above| !places.iter().any(|one| one == above)) {
            // Masks lie above each other.
            while unmount(above, UnmountFlags::DETACH).is_ok() {}
        }
        match open_to_write(CWD, path) {
            Ok(file) => return Ok((path.clone(), file)),
            Err(errno) => answer = errno,
        }
    }
    Err(answer)
}

/// A mount namespace for this process alone: what it mounts and takes away there, nobody sees.
/// Where that cannot be made sure of, nothing may be mounted or taken away.
fn own_mount_namespace() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(of_nix)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    match mount_change("/", private) {
        // Behind a chroot the root is no mount, and each of them is made private by itself.
        Err(Errno::INVAL) => {
            let table = mountinfo::read().map_err(|error| errno_of(&error))?;
            table.iter().try_for_each(|mount| mount_change(&mount.point, private))
        }
        done => done,
    }
}

fn open_to_write(dir: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(dir, path, flags, Mode::empty())
}

/// The first of these that opens; else why the last of those that are there does not.
fn first_opened(
    mut paths: impl Iterator<Item = PathBuf>,
    open: impl Fn(&Path) -> Result<OwnedFd, Errno>,
) -> Result<(PathBuf, OwnedFd), Errno> {
    let mut answer = Errno::NOENT;
    paths
        .find_map(|path| match open(&path) {
            Ok(file) => Some((path, file)),
            Err(Errno::NOENT) => None,
            Err(errno) => {
                answer = errno;
                None
            }
        })
        .ok_or(answer)
}

/// What was opened, by its path; it stays open.
fn told(opened: Result<(PathBuf, OwnedFd), Errno>) -> Reply {
    match opened {
        Ok((path, file)) => Reply::holding("open", path.to_string_lossy(), Ok(file)),
        Err(errno) => Reply::plain("open", "for writing", Err(errno)),
    }
}
