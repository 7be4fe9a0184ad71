//! Processes: a process outside, called by its number outside. In a new pid namespace that number
//! is nobody's, or somebody else's.

use super::{Direction, Effect, Outside, Probe, Try, planted};
use crate::error::{errno_text, of_nix, without_number};
use crate::namespace::Namespace;
use crate::sys;
use crate::verify::child::ended;
use crate::verify::protocol::{self, Reply};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::wall::Wall;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, PTracer, Pid, Signal, getpid, getppid, getsid, kill_process,
    set_dumpable_behavior, set_parent_process_death_signal, set_ptracer, setsid,
};
use serde::{Deserialize, Serialize};
use std::io::{IoSliceMut, PipeWriter, Read, Write};

/// The probes.
pub const PROBES: [Probe; 4] = [
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
        id: "RV-PID-06",
        wall: Wall::Pid,
        title: "reach the host's files through that process's /proc/PID/root",
        direction: Direction::In,
        effect: Effect::None,
        attempt: root,
    },
];

/// A process outside that holds the secret, and no right that would keep anybody of its uid from
/// reading it.
pub struct Canary {
    pid: Pid,
    /// Where the secret lies in its memory.
    address: usize,
}

impl Canary {
    pub(super) fn plant(stage: &Stage) -> Result<Self, String> {
        let (mut ready, mut told) = std::io::pipe().map_err(|error| without_number(&error))?;
        let verifier = getpid();
        // The copy has the secret where the original has it.
        let address = stage.secret.as_ptr() as usize;
        match sys::fork().map_err(errno_text)? {
            Some(pid) => {
                drop(told);
                let canary = Self { pid, address };
                match ready.read(&mut [0]) {
                    Ok(1) => Ok(canary),
                    _ => Err("it has ended".into()),
                }
            }
            None => {
                drop(ready);
                if sit(stage, verifier, &told).map(|()| told.write(&[1])).is_err() {
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

fn sit(stage: &Stage, verifier: Pid, told: &PipeWriter) -> rustix::io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The signal of a death before that call does not come.
    if getppid() != Some(verifier) {
        return Err(Errno::SRCH);
    }
    // The wire to the cleanup process above all: it must end with the verifier.
    sys::close_all_but(&[told.as_fd()])?;
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
    if std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
        .is_ok_and(|scope| scope.trim() == "3")
    {
        return Try::untried(
            "process_vm_readv",
            "kernel.yama.ptrace_scope is 3: nobody reads another's memory, inside or outside",
        );
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
        let path = format!("/proc/{}/comm", number(canary.pid)).into();
        let reply = subject.ask(&protocol::Crossing::Read { path });
        Try::reading(reply, subject.identity(Namespace::Pid), &outside.stage.nonce, &[Errno::NOENT])
    })
}

fn root(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.pid, "open", |canary| {
        planted(&outside.canaries.root, "open", |root| {
            let path = format!("/proc/{}/root{}", number(canary.pid), root.file.display()).into();
            let reply = subject.ask(&protocol::Crossing::Read { path });
            Try::reading(
                reply,
                subject.identity(Namespace::Pid),
                &outside.stage.secret,
                &[Errno::NOENT],
            )
        })
    })
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
        }
    }
}
