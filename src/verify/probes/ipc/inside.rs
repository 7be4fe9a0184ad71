//! What is tried on queues, shared memory and semaphores.

use crate::error::of_nix;
use crate::sys;
use crate::sys::sysv::{self, Mechanism};
use crate::verify::protocol::{Crossing, Reply, Topic};
use crate::verify::wall::Wall;
use nix::mqueue::{MQ_OFlag, MqdT, mq_close, mq_open, mq_send};
use nix::sys::stat;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpcCrossing {
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

impl Crossing for IpcCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Ipc);

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
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
                let bytes = sysv::find(Mechanism::Memory, *key).and_then(sysv::read_memory);
                Reply::of("shmget", key_name(key), bytes.map(text))
            }
            Self::MemoryById { id } => {
                Reply::of("shmat", format!("id {id}"), sysv::read_memory(*id).map(text))
            }
            Self::Semaphore { key } => Reply::plain(
                "semget",
                key_name(key),
                sysv::find(Mechanism::Semaphore, *key).and_then(sysv::raise),
            ),
            Self::Message { key, mark } => {
                let sent = sysv::find(Mechanism::Queue, *key)
                    .and_then(|id| sysv::send(id, mark.as_bytes()));
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
