//! POSIX message queues and System V IPC: the article's crossing, and its sisters.

use super::{
    Direction, Effect, Outside, Probe, Try, arrived, delivered, mounted, planted, strongest,
};
use crate::error::{errno_text, of_nix};
use crate::namespace::Namespace;
use crate::sys;
use crate::sys::sysv::{self, Mechanism as Kind};
use crate::verify::protocol::{self, Reply};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::wall::Wall;
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_close, mq_open, mq_receive, mq_send};
use nix::sys::stat;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The probes. A queue's descriptor that came along is another wall's, [`super::fds`].
pub const PROBES: [Probe; 7] = [
    Probe {
        id: "RV-IPC-01",
        wall: Wall::Ipc,
        title: "send to a POSIX message queue by its name",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: by_name,
    },
    Probe {
        id: "RV-IPC-02",
        wall: Wall::Ipc,
        title: "send to it by its file: an mqueue mount shows the queues of whoever mounted it",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: by_file,
    },
    Probe {
        id: "RV-IPC-04",
        wall: Wall::Ipc,
        title: "read System V shared memory by its key",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: memory,
    },
    Probe {
        id: "RV-IPC-05",
        wall: Wall::Ipc,
        title: "raise a System V semaphore by its key",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: semaphore,
    },
    Probe {
        id: "RV-IPC-06",
        wall: Wall::Ipc,
        title: "send to a System V message queue by its key",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: message,
    },
    Probe {
        id: "RV-IPC-07",
        wall: Wall::Ipc,
        title: "read System V shared memory by its id, which needs no key",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: memory_by_id,
    },
    Probe {
        id: "RV-IPC-08",
        wall: Wall::Ipc,
        title: "find the host's message queues among the mounts",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: by_mount,
    },
];

/// A queue of the stage, 0600, and System V objects behind one key. All of it goes with the stage's
/// IPC namespace.
pub struct Canary {
    pub(super) queue: Result<MqdT, String>,
    objects: Result<Objects, String>,
}

struct Objects {
    key: i32,
    memory: i32,
    semaphore: i32,
    message: i32,
}

/// Room for a mark.
const MESSAGE_SIZE: i64 = 64;

fn queue_name(stage: &Stage) -> String {
    format!("/rustic.{}", stage.nonce)
}

impl Canary {
    pub(super) fn plant(stage: &Stage) -> Self {
        let flags = MQ_OFlag::O_CREAT
            | MQ_OFlag::O_EXCL
            | MQ_OFlag::O_RDWR
            | MQ_OFlag::O_NONBLOCK
            | MQ_OFlag::O_CLOEXEC;
        let attributes = MqAttr::new(0, 4, MESSAGE_SIZE, 0);
        let queue = mq_open(
            queue_name(stage).as_str(),
            flags,
            stat::Mode::S_IRUSR | stat::Mode::S_IWUSR,
            Some(&attributes),
        );
        Self {
            queue: queue.map_err(|errno| format!("mq_open: {errno:?}")),
            objects: objects(stage).map_err(errno_text),
        }
    }

    /// Whether the next message is this one.
    pub(super) fn received(&self, mark: &str) -> bool {
        let mut text = [0; MESSAGE_SIZE as usize];
        self.queue.as_ref().is_ok_and(|queue| {
            mq_receive(queue, &mut text, &mut 0)
                .is_ok_and(|length| text[..length] == *mark.as_bytes())
        })
    }
}

fn objects(stage: &Stage) -> rustix::io::Result<Objects> {
    // IPC_PRIVATE is 0, and negative keys are as good as others.
    let key = stage
        .secret
        .bytes()
        .fold(1, |key: i32, byte| key.wrapping_mul(31).wrapping_add(byte.into()))
        | 1;
    let mut bytes = [0; sysv::LENGTH];
    bytes[..stage.secret.len()].copy_from_slice(stage.secret.as_bytes());
    let memory = sysv::make(Kind::Memory, key)?;
    sysv::write_memory(memory, bytes)?;
    Ok(Objects {
        key,
        memory,
        semaphore: sysv::make(Kind::Semaphore, key)?,
        message: sysv::make(Kind::Queue, key)?,
    })
}

fn by_name(outside: &Outside<'_>, subject: &Target) -> Try {
    let canary = &outside.canaries.ipc;
    planted(&canary.queue, "mq_open", |_| {
        let crossing =
            Crossing::QueueByName { name: queue_name(outside.stage), mark: subject.mark.clone() };
        let reply = subject.ask(&protocol::Crossing::Ipc(crossing));
        let (receipt, seen) = delivered(canary.received(&subject.mark));
        Try::marking(reply, subject.identity(Namespace::Ipc), receipt, seen, &[Errno::NOENT])
    })
}

fn by_file(outside: &Outside<'_>, subject: &Target) -> Try {
    let canary = &outside.canaries.ipc;
    planted(&canary.queue, "open", |_| {
        let name = queue_name(outside.stage)[1..].to_owned();
        let mounts = subject.points("mqueue").into_iter().map(|folder| folder.join(&name));
        let ways = outside.by_ways(subject, &outside.stage.queues().join(&name));
        let tried = mounts.chain(ways).map(|path| {
            let door = subject.door_for(&path);
            let mark = subject.mark.clone();
            let reply = subject.ask(&protocol::Crossing::Ipc(Crossing::QueueByFile { path, mark }));
            let (receipt, seen) = delivered(canary.received(&subject.mark));
            Try::marking(
                reply,
                subject.identity(Namespace::Ipc),
                receipt,
                seen,
                &[Errno::NOENT, Errno::ACCESS],
            )
            .through(door)
            .or_closed()
        });
        strongest(tried).unwrap_or_else(|| Try::untried("open", "no mqueue is mounted inside"))
    })
}

fn by_mount(outside: &Outside<'_>, subject: &Target) -> Try {
    let devices = outside.stage.host.devices(|kind| kind == "mqueue");
    mounted(subject, &devices, subject.identity(Namespace::Ipc), |_, _| true)
}

fn memory_by_id(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.ipc.objects, "shmat", |objects| {
        let crossing = Crossing::MemoryById { id: objects.memory };
        let reply = subject.ask(&protocol::Crossing::Ipc(crossing));
        let walled = [Errno::INVAL, Errno::IDRM, Errno::ACCESS];
        Try::reading(reply, subject.identity(Namespace::Ipc), &outside.stage.secret, &walled)
    })
}

fn memory(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.ipc.objects, "shmget", |objects| {
        let reply = subject.ask(&protocol::Crossing::Ipc(Crossing::Memory { key: objects.key }));
        Try::reading(
            reply,
            subject.identity(Namespace::Ipc),
            &outside.stage.secret,
            &[Errno::NOENT],
        )
    })
}

fn semaphore(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.ipc.objects, "semget", |objects| {
        let before = sysv::value(objects.semaphore);
        let reply = subject.ask(&protocol::Crossing::Ipc(Crossing::Semaphore { key: objects.key }));
        let after = sysv::value(objects.semaphore);
        let raised = matches!((before, after), (Ok(before), Ok(after)) if after > before);
        let seen = if raised { "the semaphore was raised" } else { "the semaphore is as it was" };
        Try::marking(
            reply,
            subject.identity(Namespace::Ipc),
            arrived(raised),
            seen,
            &[Errno::NOENT],
        )
    })
}

fn message(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.ipc.objects, "msgget", |objects| {
        let reply = subject.ask(&protocol::Crossing::Ipc(Crossing::Message {
            key: objects.key,
            mark: subject.mark.clone(),
        }));
        let (receipt, seen) = delivered(
            sysv::receive(objects.message).is_ok_and(|text| text == subject.mark.as_bytes()),
        );
        Try::marking(reply, subject.identity(Namespace::Ipc), receipt, seen, &[Errno::NOENT])
    })
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// mq_open(3) and mq_send(3).
    QueueByName { name: String, mark: String },
    /// open(2) in a mounted mqueue, and mq_send(3).
    QueueByFile {
        #[serde(with = "crate::verify::escaped")]
        path: PathBuf,
        mark: String,
    },
    /// shmget(2) and shmat(2).
    Memory { key: i32 },
    /// shmat(2).
    MemoryById { id: i32 },
    /// semget(2) and semop(2).
    Semaphore { key: i32 },
    /// msgget(2) and msgsnd(2).
    Message { key: i32, mark: String },
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        let key_name = |key: &i32| format!("key {key:#x}");
        match self {
            Self::QueueByName { name, mark } => {
                let sent = mq_open(
                    name.as_str(),
                    MQ_OFlag::O_WRONLY | MQ_OFlag::O_NONBLOCK,
                    stat::Mode::empty(),
                    None,
                )
                .and_then(|queue| sent_and_closed(queue, mark));
                Reply::plain("mq_open", name, sent.map_err(of_nix))
            }
            Self::QueueByFile { path, mark } => {
                let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let sent = open(path, flags, Mode::empty()).and_then(|file| {
                    sent_and_closed(sys::message_queue(file), mark).map_err(of_nix)
                });
                Reply::plain("open", path.to_string_lossy(), sent)
            }
            Self::Memory { key } => {
                let bytes = sysv::find(Kind::Memory, *key).and_then(sysv::read_memory);
                Reply::of("shmget", key_name(key), bytes.map(text))
            }
            Self::MemoryById { id } => {
                Reply::of("shmat", format!("id {id}"), sysv::read_memory(*id).map(text))
            }
            Self::Semaphore { key } => Reply::plain(
                "semget",
                key_name(key),
                sysv::find(Kind::Semaphore, *key).and_then(sysv::raise),
            ),
            Self::Message { key, mark } => {
                let sent =
                    sysv::find(Kind::Queue, *key).and_then(|id| sysv::send(id, mark.as_bytes()));
                Reply::plain("msgget", key_name(key), sent)
            }
        }
    }
}

fn text(bytes: [u8; sysv::LENGTH]) -> (i64, String) {
    (0, String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned())
}

/// Sends, and leaves nothing open for the next crossing to find: an MqdT does not close itself.
fn sent_and_closed(queue: MqdT, mark: &str) -> nix::Result<()> {
    let sent = mq_send(&queue, mark.as_bytes(), 0);
    mq_close(queue).and(sent)
}
