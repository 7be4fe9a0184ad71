//! The kernel: what the machine has one of, whatever the namespaces are. Its parameters are files
//! of every proc and every sysfs, and root inside may be the uid that they belong to. Nothing is
//! written: a parameter that is open for writing is receipt enough, and it is seen from outside.

use super::{Direction, Effect, Outside, Probe, Try, arrived, mounted, rank};
use crate::error::of_nix;
use crate::mountinfo;
use crate::mounts;
use crate::spec::Opening;
use crate::verify::protocol::{self, Reply};
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
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 5] = [
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
fn written(kind: &str, files: &[&str], _: &Outside<'_>, subject: &Target) -> Try {
    let paths: Vec<PathBuf> =
        files.iter().flat_map(|file| subject.paths_of(kind, Path::new(file))).collect();
    if paths.is_empty() {
        return Try::untried("open", &format!("no {kind} is mounted inside"));
    }
    let reply = subject.ask(&protocol::Crossing::Kernel(Crossing::Write { paths }));
    let opened = opened(&reply, subject, files);
    let door = opened.as_ref().and_then(|path| subject.door_at(path));
    judged(reply, opened, subject)
        .through(door.or_else(|| subject.role.door(|opening| *opening == Opening::Proc)))
}

fn judged(reply: Reply, opened: Option<PathBuf>, subject: &Target) -> Try {
    let seen = match &opened {
        Some(path) => format!("it holds {} open for writing", path.display()),
        None => "it holds nothing of it open".to_owned(),
    };
    Try::marking(reply, IDENTITY, arrived(opened.is_some()), seen, &WALLED)
        .or_stayed()
        .or_nothing_to_find(subject, "the caller may write none of it itself")
}

/// What the inside holds open for writing, as the kernel tells it outside: one of these files. Its
/// path is that which the inside has used.
fn opened(reply: &Reply, subject: &Target, files: &[&str]) -> Option<PathBuf> {
    let held = subject.held(reply.number()?).ok()?;
    let is_one = files.iter().any(|file| held.link.ends_with(file.trim_start_matches("sys/")));
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
    let opened = opened(&reply, subject, &PARAMETERS);
    judged(reply, opened, subject).through(subject.role.right(Capability::CAP_SYS_ADMIN))
}

/// What is hidden because it tells of hardware and of the kernel's memory: files with a first line
/// that does not change.
const HIDDEN: [&str; 5] = ["interrupts", "kallsyms", "acpi/wakeup", "driver/rtc", "scsi/scsi"];

fn told_of(_: &Outside<'_>, subject: &Target) -> Try {
    let known = HIDDEN.iter().filter_map(|file| {
        let read = protocol::Crossing::Read { path: Path::new("/proc").join(file) }.attempt(None);
        let line = read.data().lines().next().map(str::trim).filter(|line| !line.is_empty())?;
        Some((*file, line.to_owned()))
    });
    let tried = known.flat_map(|(file, line)| {
        subject.paths_of("proc", Path::new(file)).into_iter().map(move |path| {
            let door = subject.door_at(&path);
            let reply = subject.ask(&protocol::Crossing::Read { path });
            let walled = [Errno::NOENT, Errno::ACCESS, Errno::PERM];
            let attempt = Try::reading(reply, IDENTITY, &line, &walled);
            let seen = match attempt.receipt {
                Receipt::Absent => "not what the host's says",
                Receipt::Arrived | Receipt::Admitted => "the host's says the same",
            };
            let open = || subject.role.door(|opening| *opening == Opening::Proc);
            Try { outside: seen.into(), ..attempt }.through(door.or_else(open))
        })
    });
    tried
        .reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })
        .unwrap_or_else(|| Try::untried("open", "no proc is mounted inside"))
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
    Write { paths: Vec<PathBuf> },
    /// The same below a new proc, and below these with the mounts over them taken away.
    Uncover { places: Vec<PathBuf>, files: Vec<PathBuf> },
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        match self {
            Self::Write { paths } => {
                told(first_opened(paths.iter().cloned(), |path| open_to_write(CWD, path)))
            }
            Self::Uncover { places, files } => {
                let fresh = mounts::new(c"proc", &[], mounts::Attributes::NONE)
                    .map_err(|error| error.errno)
                    .and_then(|proc| {
                        first_opened(files.iter().cloned(), |file| open_to_write(&proc, file))
                    });
                told(fresh.or_else(|_| unmounted(places, files)))
            }
        }
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
pub(super) fn own_mount_namespace() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(of_nix)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    match mount_change("/", private) {
        // Behind a chroot the root is no mount, and each of them is made private by itself.
        Err(Errno::INVAL) => mountinfo::read()
            .unwrap_or_default()
            .iter()
            .try_for_each(|mount| mount_change(&mount.point, private)),
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
