//! What a process inherits: descriptors that a careless caller has left open, each a way around
//! every other wall, and variables.

use super::{Direction, Effect, Outside, Probe, Try, delivered, planted};
use crate::error::{errno_text, of_nix};
use crate::sys;
use crate::verify::probes::Canaries;
use crate::verify::protocol::{self, Reply};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use nix::mqueue::mq_send;
use rustix::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open, openat};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::PathBuf;

/// The variable that holds the secret.
pub const VARIABLE: &str = "RUSTIC_CANARY";

/// The first number of the descriptors that are left open.
const FIRST: i32 = 103;

/// How far the inside looks.
const LAST: i32 = 1023;

/// The probes. Two of them are called after the walls that they get around; what is broken when
/// they cross is this one.
pub const PROBES: [Probe; 4] = [
    Probe {
        id: "RV-FD-01",
        wall: Wall::Fds,
        title: "read a file through a descriptor that came along",
        direction: Direction::In,
        effect: Effect::None,
        attempt: file,
    },
    Probe {
        id: "RV-ROOT-03",
        wall: Wall::Fds,
        title: "open the host's files through a directory that came along (CVE-2024-21626)",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: directory,
    },
    Probe {
        id: "RV-IPC-03",
        wall: Wall::Fds,
        title: "send to a message queue through a descriptor that came along",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: queue,
    },
    Probe {
        id: "RV-ENV-01",
        wall: Wall::Fds,
        title: "read a variable of the caller",
        direction: Direction::In,
        effect: Effect::None,
        attempt: variable,
    },
];

/// What is left open.
pub struct Canary {
    memory: OwnedFd,
    root: OwnedFd,
}

impl Canary {
    pub(super) fn plant(stage: &Stage) -> Result<Self, String> {
        let planted = || -> rustix::io::Result<Self> {
            let memory = memfd_create(c"rustic-canary", MemfdFlags::CLOEXEC)?;
            rustix::io::write(&memory, stage.secret.as_bytes())?;
            Ok(Self {
                memory,
                root: open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?,
            })
        };
        planted().map_err(errno_text)
    }
}

/// Leaves the canaries open where the inside would find them, and nothing else: what the verifier's
/// caller has left open is nobody's business. For the process that becomes rustic, which owns one
/// descriptor itself.
pub fn leave_open(canaries: &Canaries, own: BorrowedFd<'_>) -> Result<(), Errno> {
    let planted =
        canaries.fds.iter().flat_map(|canary| [canary.memory.as_fd(), canary.root.as_fd()]);
    let planted: Vec<BorrowedFd<'_>> =
        planted.chain(canaries.ipc.queue.as_ref().ok().map(AsFd::as_fd)).collect();
    let kept: Vec<BorrowedFd<'_>> = planted.iter().copied().chain([own]).collect();
    sys::close_all_but(&kept)?;
    for fd in planted {
        let copy = fcntl_dupfd_cloexec(fd, FIRST)?;
        fcntl_setfd(&copy, FdFlags::empty())?;
        let _left_open = copy.into_raw_fd();
    }
    Ok(())
}

const IDENTITY: Identity = Identity::NoNamespace;

fn file(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.fds, "pread", |_| {
        let reply = subject.ask(&protocol::Crossing::Fds(Crossing::File));
        Try::reading(reply, IDENTITY, &outside.stage.secret, &[Errno::BADF])
    })
}

fn directory(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.fds, "openat", |_| {
        planted(&outside.canaries.root, "openat", |root| {
            let path = root.file.strip_prefix("/").unwrap_or(&root.file).to_owned();
            let reply = subject.ask(&protocol::Crossing::Fds(Crossing::Directory { path }));
            Try::reading(reply, IDENTITY, &outside.stage.secret, &[Errno::BADF])
        })
    })
}

fn queue(outside: &Outside<'_>, subject: &Target) -> Try {
    let canary = &outside.canaries.ipc;
    planted(&canary.queue, "mq_send", |_| {
        let reply =
            subject.ask(&protocol::Crossing::Fds(Crossing::Queue { mark: subject.mark.clone() }));
        let (receipt, seen) = delivered(canary.received(&subject.mark));
        Try::marking(reply, IDENTITY, receipt, seen, &[Errno::BADF])
    })
}

fn variable(outside: &Outside<'_>, subject: &Target) -> Try {
    let reply = subject.ask(&protocol::Crossing::Fds(Crossing::Variable { name: VARIABLE.into() }));
    Try::reading(reply, IDENTITY, &outside.stage.secret, &[Errno::NOENT])
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// pread(2) on every descriptor from 3 up.
    File,
    /// openat(2) likewise.
    Directory { path: PathBuf },
    /// mq_send(3) likewise.
    Queue { mark: String },
    /// getenv(3).
    Variable { name: String },
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        let descriptors = format!("descriptors 3 to {LAST}");
        match self {
            Self::File => Reply::of("pread", descriptors, all(text)),
            Self::Directory { path } => Reply::of(
                "openat",
                descriptors,
                first(|fd| {
                    text(openat(fd, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
                }),
            ),
            Self::Queue { mark } => {
                let send = |fd: OwnedFd| {
                    mq_send(&sys::message_queue(fd), mark.as_bytes(), 0).map_err(of_nix)?;
                    Ok(String::new())
                };
                Reply::of("mq_send", descriptors, first(send))
            }
            Self::Variable { name } => {
                let value = std::env::var(name).map(|value| (0, value)).map_err(|_| Errno::NOENT);
                Reply::of("getenv", name, value)
            }
        }
    }
}

/// The descriptors that are open, by their numbers, and a copy of each.
fn inherited() -> impl Iterator<Item = (i32, OwnedFd)> {
    (3..=LAST).filter_map(|number| Some((number, sys::copy_of_inherited(number).ok()?)))
}

/// What all descriptors give that give anything. EBADF where none does.
fn all(attempt: impl Fn(OwnedFd) -> Result<String, Errno>) -> Result<(i64, String), Errno> {
    let texts: Vec<String> =
        inherited().filter_map(|(_, copy)| attempt(copy).ok()).take(MOST).collect();
    if texts.is_empty() { Err(Errno::BADF) } else { Ok((texts.len() as i64, texts.join(" "))) }
}

/// How many texts fit into an answer.
const MOST: usize = 64;

/// The first descriptor with which it works, by a copy of it. EBADF where none does.
fn first(attempt: impl Fn(OwnedFd) -> Result<String, Errno>) -> Result<(i64, String), Errno> {
    inherited()
        .find_map(|(number, copy)| Some((i64::from(number), attempt(copy).ok()?)))
        .ok_or(Errno::BADF)
}

fn text(fd: OwnedFd) -> Result<String, Errno> {
    let mut bytes = [0; 64];
    let length = rustix::io::pread(&fd, bytes.as_mut_slice(), 0)?;
    let mut text = String::new();
    bytes[..length].as_ref().read_to_string(&mut text).map_err(|_| Errno::ILSEQ)?;
    Ok(text)
}
