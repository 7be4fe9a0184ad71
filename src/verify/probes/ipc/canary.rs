//! A message queue of the stage, and System V objects behind one key. All of it goes with the
//! stage's IPC namespace; on the real host there is the queue alone, and the cleanup process.

use crate::error::errno_text;
use crate::sys::sysv::{self, Mechanism};
use crate::verify::outside::Canary;
use crate::verify::stage::{Scene, Stage, queue_name};
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive};
use nix::sys::stat;
use std::path::PathBuf;

/// A queue, 0600.
pub struct QueueCanary {
    /// Its descriptor.
    pub queue: MqdT,
}

/// Room for a mark.
const MESSAGE_SIZE: i64 = 64;

impl Canary for QueueCanary {
    fn plant(stage: &Stage, _: &[PathBuf]) -> Result<Self, String> {
        let flags = MQ_OFlag::O_CREAT
            | MQ_OFlag::O_EXCL
            | MQ_OFlag::O_RDWR
            | MQ_OFlag::O_NONBLOCK
            | MQ_OFlag::O_CLOEXEC;
        let attributes = MqAttr::new(0, 4, MESSAGE_SIZE, 0);
        let queue = mq_open(
            queue_name(&stage.nonce).as_str(),
            flags,
            stat::Mode::S_IRUSR | stat::Mode::S_IWUSR,
            Some(&attributes),
        );
        Ok(Self { queue: queue.map_err(|errno| format!("mq_open: {errno:?}"))? })
    }
}

impl QueueCanary {
    /// Whether the next message is this one.
    pub fn received(&self, mark: &str) -> bool {
        let mut text = [0; MESSAGE_SIZE as usize];
        mq_receive(&self.queue, &mut text, &mut 0)
            .is_ok_and(|length| text[..length] == *mark.as_bytes())
    }
}

/// Objects behind one key, by their ids.
pub struct SysvCanary {
    /// The key.
    pub(super) key: i32,
    /// Shared memory that holds the secret.
    pub(super) memory: i32,
    /// A semaphore.
    pub(super) semaphore: i32,
    /// A message queue.
    pub(super) message: i32,
}

impl Canary for SysvCanary {
    fn plant(stage: &Stage, _: &[PathBuf]) -> Result<Self, String> {
        if stage.scene == Scene::Host {
            return Err("the real host's objects of System V are left alone".into());
        }
        let planted = || -> rustix::io::Result<Self> {
            // IPC_PRIVATE is 0, and negative keys are as good as others.
            let key = stage
                .secret
                .bytes()
                .fold(1, |key: i32, byte| key.wrapping_mul(31).wrapping_add(byte.into()))
                | 1;
            let mut bytes = [0; sysv::LENGTH];
            bytes[..stage.secret.len()].copy_from_slice(stage.secret.as_bytes());
            let memory = sysv::make(Mechanism::Memory, key)?;
            sysv::write_memory(memory, bytes)?;
            Ok(Self {
                key,
                memory,
                semaphore: sysv::make(Mechanism::Semaphore, key)?,
                message: sysv::make(Mechanism::Queue, key)?,
            })
        };
        planted().map_err(errno_text)
    }
}
