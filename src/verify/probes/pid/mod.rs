//! Processes: a process outside, called by its number outside. In a new pid namespace that number
//! is nobody's, or somebody else's.

pub mod canary;
pub mod inside;

use super::find::{mounted, read_any};
use super::receipt::arrived;
use super::root::canary::RootCanary;
use crate::namespace::Namespace;
use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use canary::PidCanary;
use inside::PidCrossing;
use rustix::io::Errno;
use std::path::Path;

/// The probes.
pub const PROBES: [Probe; 7] = [
    Probe {
        id: "RV-PID-01",
        wall: Wall::Pid,
        title: "read the memory of a process outside",
        direction: Direction::In,
        effect: Effect::None,
        attempt: memory,
    },
    Probe {
        id: "RV-PID-02",
        wall: Wall::Pid,
        title: "ask for the session of a process outside, which needs no right",
        direction: Direction::In,
        effect: Effect::None,
        attempt: session,
    },
    Probe {
        id: "RV-PID-03",
        wall: Wall::Pid,
        title: "find it in /proc: a /proc shows the pid namespace of whoever mounted it",
        direction: Direction::In,
        effect: Effect::None,
        attempt: comm,
    },
    Probe {
        id: "RV-PID-07",
        wall: Wall::Pid,
        title: "take a descriptor of a process outside, pidfd_getfd(2)",
        direction: Direction::In,
        effect: Effect::None,
        attempt: descriptor,
    },
    Probe {
        id: "RV-PID-08",
        wall: Wall::Pid,
        title: "trace a process outside, which goes on undisturbed (PTRACE_SEIZE)",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: trace,
    },
    Probe {
        id: "RV-PID-10",
        wall: Wall::Pid,
        title: "find processes of the outside among the mounts: a whole proc, or a part of it",
        direction: Direction::In,
        effect: Effect::None,
        attempt: by_mount,
    },
    Probe {
        id: "RV-PID-11",
        wall: Wall::Pid,
        title: "find it in a /proc that something covers, which is taken away",
        direction: Direction::In,
        effect: Effect::None,
        attempt: covered,
    },
];

/// What is broken when it crosses is the root.
pub const ROOT: Probe = Probe {
    id: "RV-PID-06",
    wall: Wall::Root,
    title: "reach the host's files through the /proc/PID/root of a process outside",
    direction: Direction::In,
    effect: Effect::None,
    attempt: root,
};

fn memory(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = nobody_traces() {
        return Try::untried("process_vm_readv", reason);
    }
    outside.planted("process_vm_readv", |canary: &PidCanary| {
        let secret = &outside.stage.secret;
        let crossing = PidCrossing::Memory {
            pid: canary.number(),
            address: canary.address,
            length: secret.len(),
        };
        let reply = subject.ask(&crossing);
        // EFAULT: the number is somebody else's inside.
        Try::reading(reply, subject.identity(Namespace::Pid), secret, &[Errno::SRCH, Errno::FAULT])
            .or_filtered()
    })
}

/// The canary leads a session of its own, whose number is that of the process where both sides
/// count alike. Inside of another pid namespace nobody who has the same number leads one: only its
/// process 1 does.
fn session(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("getsid", |canary: &PidCanary| {
        let pid = canary.number();
        let reply = subject.ask(&PidCrossing::Session { pid });
        Try::reading(
            reply,
            subject.identity(Namespace::Pid),
            &format!("session {pid}."),
            &[Errno::SRCH],
        )
    })
}

fn comm(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("open", |canary: &PidCanary| {
        let comm = format!("{}/comm", canary.number());
        read_any(
            subject,
            subject.points("proc").iter().map(|proc| proc.join(&comm)).collect(),
            subject.identity(Namespace::Pid),
            &outside.stage.nonce,
            &[Errno::NOENT],
        )
    })
}

/// Whoever may mount takes away what covers the /proc of the outside.
fn covered(outside: &Outside<'_>, subject: &Target) -> Try {
    let covered = subject.covered("proc");
    if covered.is_empty() && !subject.role.is_open() {
        return Try::untried("umount2", "no /proc is covered by something");
    }
    outside.planted("umount2", |canary: &PidCanary| {
        let points: Vec<std::path::PathBuf> =
            if subject.role.is_open() { vec!["/proc".into()] } else { covered };
        // What lies at the top, or what was ordered below it.
        let places = subject.mounts().iter().filter(|shown| points.contains(&shown.mount.point));
        let door = places.filter_map(|shown| shown.door.clone()).next();
        let reply = subject.ask(&PidCrossing::Uncover { pid: canary.number(), points });
        let walled = [Errno::NOENT, Errno::PERM, Errno::INVAL, Errno::ACCESS];
        Try::reading(reply, subject.identity(Namespace::Pid), &outside.stage.nonce, &walled)
            .through(door)
    })
}

fn descriptor(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = nobody_traces() {
        return Try::untried("pidfd_getfd", reason);
    }
    outside.planted("pidfd_getfd", |canary: &PidCanary| {
        let crossing =
            PidCrossing::Descriptor { pid: canary.number(), descriptor: canary.descriptor };
        let reply = subject.ask(&crossing);
        let walled = [Errno::SRCH, Errno::BADF, Errno::INVAL];
        Try::reading(reply, subject.identity(Namespace::Pid), &outside.stage.secret, &walled)
            .or_elsewhere()
            .or_filtered()
    })
}

fn trace(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = nobody_traces() {
        return Try::untried("ptrace", reason);
    }
    outside.planted("ptrace", |canary: &PidCanary| {
        let crossing = PidCrossing::Trace { pid: canary.number() };
        let reply = subject.ask(&crossing);
        let tracer = canary.tracer();
        let traced = tracer != 0 && tracer == subject.crosser();
        let seen = if traced { "our process is traced" } else { "nobody traces our process" };
        Try::marking(reply, subject.identity(Namespace::Pid), arrived(traced), seen, &[Errno::SRCH])
            .or_stayed()
            .or_filtered()
    })
}

/// A proc of the host's shows the processes of the host wherever it is, and so does a directory of
/// one of them.
fn by_mount(outside: &Outside<'_>, subject: &Target) -> Try {
    let devices = outside.stage.host.devices(|kind| kind == "proc");
    // Its network and its namespaces are other walls'.
    let of_others = |part: &Path| part.starts_with("net") || part.starts_with("ns");
    let alone: Vec<u64> = subject
        .parts_of_processes()
        .filter(|(_, part)| !of_others(part))
        .map(|(shown, _)| shown.mount.id)
        .collect();
    mounted(subject, &devices, subject.identity(Namespace::Pid), |shown, _| {
        shown.mount.root == Path::new("/") || alone.contains(&shown.mount.id)
    })
}

/// Files of the host, through a process that can be named. It is the wall of the root that is
/// crossed, and the door is that of the processes.
fn root(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("open", |canary: &PidCanary| {
        outside.planted("open", |root: &RootCanary| {
            // Also where the way is none: what it answers is told.
            let path = format!("{}/root{}", canary.number(), root.file.display());
            read_any(
                subject,
                subject.points("proc").iter().map(|proc| proc.join(&path)).collect(),
                Identity::NoNamespace,
                &outside.stage.secret,
                &[Errno::NOENT, Errno::ACCESS, Errno::PERM],
            )
            .through(subject.role.shares(Namespace::Pid))
        })
    })
}

/// Why nobody traces anybody here.
fn nobody_traces() -> Option<&'static str> {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
        .is_ok_and(|scope| scope.trim() == "3")
        .then_some(
            "kernel.yama.ptrace_scope is 3: nobody reads another's memory, inside or outside",
        )
}
