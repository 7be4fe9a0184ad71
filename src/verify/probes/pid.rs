//! Processes: a process outside, called by its number outside. In a new pid namespace that number
//! is nobody's, or somebody else's.

use super::{Direction, Effect, Outside, Probe, Try, arrived, mounted, planted, read_any};
use crate::error::{errno_text, of_nix, without_number};
use crate::namespace::Namespace;
use crate::sys;
use crate::verify::child::ended;
use crate::verify::protocol::{self, Reply};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, PTracer, Pid, PidfdFlags, PidfdGetfdFlags, Signal, getpid, getppid, getsid,
    kill_process, pidfd_getfd, pidfd_open, set_dumpable_behavior, set_parent_process_death_signal,
    set_ptracer, setsid,
};
use serde::{Deserialize, Serialize};
use std::io::{IoSliceMut, PipeWriter, Read, Write};
use std::path::Path;

/// The probes.
pub const PROBES: [Probe; 6] = [
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

/// A process outside that holds the secret, and no right that would keep anybody of its uid from
/// reading it.
pub struct Canary {
    pid: Pid,
    /// Where the secret lies in its memory.
    address: usize,
    /// The number of its descriptor of a file that holds the secret.
    descriptor: i32,
}

impl Canary {
    pub(super) fn plant(stage: &Stage) -> Result<Self, String> {
        let (mut ready, mut told) = std::io::pipe().map_err(|error| without_number(&error))?;
        let verifier = getpid();
        // The copy has the secret where the original has it.
        let address = stage.secret.as_ptr() as usize;
        let memory = memfd_create(c"rustic-canary", MemfdFlags::CLOEXEC).map_err(errno_text)?;
        rustix::io::write(&memory, stage.secret.as_bytes()).map_err(errno_text)?;
        // SAFETY: the verifier has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        match forked.map_err(errno_text)? {
            Some(pid) => {
                drop(told);
                let canary = Self { pid, address, descriptor: memory.as_raw_fd() };
                match ready.read(&mut [0]) {
                    Ok(1) => Ok(canary),
                    _ => Err("it has ended".into()),
                }
            }
            None => {
                drop(ready);
                if sit(stage, verifier, &told, &memory).map(|()| told.write(&[1])).is_err() {
                    sys::exit_now(1)
                }
                drop(told);
                loop {
                    // SIGKILL is what it waits for: the verifier's, or that of its death.
                    rustix::event::pause();
                }
            }
        }
    }
}

fn sit(
    stage: &Stage,
    verifier: Pid,
    told: &PipeWriter,
    memory: &OwnedFd,
) -> rustix::io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The signal of a death before that call does not come.
    if getppid() != Some(verifier) {
        return Err(Errno::SRCH);
    }
    // The wire to the cleanup process above all: it must end with the verifier.
    // SAFETY: this is a copy of the verifier that uses these two alone and ends with _exit(2) or by
    // a signal: no destructor of the verifier's runs in it.
    #[allow(unsafe_code, reason = "whoever owned the others never runs here")]
    let closed = unsafe { sys::close_all_but(&[told.as_fd(), memory.as_fd()]) };
    closed?;
    setsid()?;
    let name = std::ffi::CString::new(stage.nonce.as_str()).unwrap_or_default();
    rustix::thread::set_name(&name)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    // A kernel without Yama does not know it.
    let _ = set_ptracer(PTracer::Any);
    Ok(())
}

impl Canary {
    /// Its number outside.
    pub(super) fn number(&self) -> i32 {
        number(self.pid)
    }

    /// Who traces it, as the kernel tells it outside; 0 for nobody.
    fn tracer(&self) -> i32 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.number()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = ended(self.pid);
    }
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn memory(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = nobody_traces() {
        return Try::untried("process_vm_readv", reason);
    }
    planted(&outside.canaries.pid, "process_vm_readv", |canary| {
        let secret = &outside.stage.secret;
        let crossing = Crossing::Memory {
            pid: number(canary.pid),
            address: canary.address,
            length: secret.len(),
        };
        let reply = subject.ask(&protocol::Crossing::Pid(crossing));
        // EFAULT: the number is somebody else's inside.
        Try::reading(reply, subject.identity(Namespace::Pid), secret, &[Errno::SRCH, Errno::FAULT])
    })
}

/// The canary leads a session of its own, whose number is that of the process where both sides
/// count alike. Inside of another pid namespace nobody who has the same number leads one: only its
/// process 1 does.
fn session(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.pid, "getsid", |canary| {
        let pid = number(canary.pid);
        let reply = subject.ask(&protocol::Crossing::Pid(Crossing::Session { pid }));
        Try::reading(
            reply,
            subject.identity(Namespace::Pid),
            &format!("session {pid}."),
            &[Errno::SRCH],
        )
    })
}

fn comm(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.pid, "open", |canary| {
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

fn descriptor(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = nobody_traces() {
        return Try::untried("pidfd_getfd", reason);
    }
    planted(&outside.canaries.pid, "pidfd_getfd", |canary| {
        let crossing = Crossing::Descriptor { pid: canary.number(), descriptor: canary.descriptor };
        let reply = subject.ask(&protocol::Crossing::Pid(crossing));
        let walled = [Errno::SRCH, Errno::BADF, Errno::INVAL];
        Try::reading(reply, subject.identity(Namespace::Pid), &outside.stage.secret, &walled)
            .or_elsewhere()
    })
}

fn trace(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = nobody_traces() {
        return Try::untried("ptrace", reason);
    }
    planted(&outside.canaries.pid, "ptrace", |canary| {
        let crossing = Crossing::Trace { pid: canary.number() };
        let reply = subject.ask(&protocol::Crossing::Pid(crossing));
        let tracer = canary.tracer();
        let traced = tracer != 0 && tracer == subject.crosser();
        let seen = if traced { "our process is traced" } else { "nobody traces our process" };
        Try::marking(reply, subject.identity(Namespace::Pid), arrived(traced), seen, &[Errno::SRCH])
            .or_stayed()
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
    planted(&outside.canaries.pid, "open", |canary| {
        planted(&outside.canaries.root, "open", |root| {
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

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// process_vm_readv(2).
    Memory { pid: i32, address: usize, length: usize },
    /// getsid(2).
    Session { pid: i32 },
    /// pidfd_open(2), pidfd_getfd(2) and pread(2).
    Descriptor { pid: i32, descriptor: i32 },
    /// ptrace(2), PTRACE_SEIZE.
    Trace { pid: i32 },
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        match *self {
            Self::Memory { pid, address, length } => {
                let mut bytes = vec![0; length];
                let remote = [RemoteIoVec { base: address, len: length }];
                let read = process_vm_readv(
                    nix::unistd::Pid::from_raw(pid),
                    &mut [IoSliceMut::new(&mut bytes)],
                    &remote,
                );
                let read =
                    read.map(|count| (count as i64, String::from_utf8_lossy(&bytes).into_owned()));
                Reply::of("process_vm_readv", format!("pid {pid}"), read.map_err(of_nix))
            }
            Self::Session { pid } => {
                let session =
                    Pid::from_raw(pid).ok_or(Errno::SRCH).and_then(|pid| getsid(Some(pid)));
                let told = session.map(|session| {
                    (i64::from(number(session)), format!("session {}.", number(session)))
                });
                Reply::of("getsid", format!("pid {pid}"), told)
            }
            Self::Descriptor { pid, descriptor } => {
                let text = Pid::from_raw(pid)
                    .ok_or(Errno::SRCH)
                    .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
                    .and_then(|pidfd| pidfd_getfd(pidfd, descriptor, PidfdGetfdFlags::empty()))
                    .and_then(|file| {
                        let mut bytes = [0; 64];
                        let length = rustix::io::pread(&file, bytes.as_mut_slice(), 0)?;
                        Ok((0, String::from_utf8_lossy(&bytes[..length]).into_owned()))
                    });
                Reply::of("pidfd_getfd", format!("pid {pid}, {descriptor}"), text)
            }
            Self::Trace { pid } => {
                Reply::plain("ptrace", format!("PTRACE_SEIZE, pid {pid}"), sys::seize(pid))
            }
        }
    }
}
