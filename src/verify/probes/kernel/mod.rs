//! The kernel: what the machine has one of, whatever the namespaces are. Its parameters are files
//! of every proc and every sysfs, and root inside may be the uid that they belong to. Nothing is
//! written: a parameter that is open for writing is receipt enough, and it is seen from outside.

pub mod canary;
pub mod inside;

use super::find::{by_ways, mounted};
use super::receipt::arrived;
use super::right::none_to_keep;
use crate::spec::Opening;
use crate::verify::attempt::{Try, strongest};
use crate::verify::files::FileCrossing;
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::protocol::Reply;
use crate::verify::shown::Shown;
use crate::verify::target::Target;
use crate::verify::verdict::{Identity, Receipt};
use crate::verify::wall::Wall;
use canary::KernelCanary;
use caps::Capability;
use inside::KernelCrossing;
use rustix::io::Errno;
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
        paths.extend(by_ways(outside, subject, &Path::new(top).join(file)));
    }
    if paths.is_empty() {
        return Try::untried("open", &format!("no {kind} is mounted inside"));
    }
    let reply = subject.ask(&KernelCrossing::Write { paths });
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
    if subject.role.is_open() {
        places.push(("/proc/sys/vm".into(), "/sys/vm".into()));
    }
    let (points, roots) = places.into_iter().unzip();
    let crossing = KernelCrossing::WriteBelow { points, roots };
    let reply = subject.ask(&crossing);
    let opened = opened(&reply, subject);
    let door = opened.as_ref().and_then(|path| subject.door_at(path));
    judged(reply, opened, subject).through(door)
}

/// What the outside has read last in the log, inside too.
fn log(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("syslog", |canary: &KernelCanary| {
        let Some(last) = canary.last_of_the_log() else {
            return Try::untried("syslog", "the caller may not read it itself, or it is empty");
        };
        let reply = subject.ask(&KernelCrossing::Log);
        let right = subject.role.right(Capability::CAP_SYSLOG);
        let filter = || subject.role.door(|opening| *opening == Opening::Seccomp);
        Try::reading(reply, IDENTITY, last, &WALLED).through(right.or_else(filter))
    })
}

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
        return Try::untried("mount", &none_to_keep(Capability::CAP_SYS_ADMIN));
    }
    let crossing = KernelCrossing::Uncover {
        places: subject.points("proc"),
        files: PARAMETERS.iter().map(PathBuf::from).collect(),
    };
    let reply = subject.ask(&crossing);
    let opened = opened(&reply, subject);
    judged(reply, opened, subject).through(subject.role.right(Capability::CAP_SYS_ADMIN))
}

fn told_of(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("open", |canary: &KernelCanary| {
        let tried = canary.first_lines().iter().flat_map(|(file, line)| {
            let mut paths = subject.paths_of("proc", Path::new(file));
            paths.extend(by_ways(outside, subject, &Path::new("/proc").join(file)));
            paths.into_iter().map(move |path| told_by(path, line, subject))
        });
        strongest(tried).unwrap_or_else(|| Try::untried("open", "no proc is mounted inside"))
    })
}

fn told_by(path: PathBuf, line: &str, subject: &Target) -> Try {
    let door = subject.door_for(&path);
    let reply = subject.ask(&FileCrossing::Read { path });
    let walled = [Errno::NOENT, Errno::ACCESS, Errno::PERM];
    let attempt = Try::reading(reply, IDENTITY, line, &walled);
    let seen = match attempt.receipt {
        Receipt::Absent => "not what the host's says",
        Receipt::Arrived | Receipt::Admitted => "the host's says the same",
    };
    let open = || subject.role.door(|opening| *opening == Opening::Proc);
    Try { outside: seen.into(), ..attempt }.through(door.or_else(open))
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
