//! What a careless caller has left open.

use crate::error::errno_text;
use crate::verify::outside::{Canaries, Canary};
use crate::verify::probes::ipc::canary::QueueCanary;
use crate::verify::stage::Stage;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use std::path::PathBuf;

/// What is left open.
pub struct FdsCanary {
    /// A file in memory that holds the secret.
    memory: OwnedFd,
    /// The root directory.
    root: OwnedFd,
}

impl Canary for FdsCanary {
    fn plant(stage: &Stage, _: &[PathBuf]) -> Result<Self, String> {
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

/// The canaries that are left open for the inside to find, a message queue among them.
pub fn left_open(canaries: &Canaries) -> Vec<BorrowedFd<'_>> {
    let files = canaries.get::<FdsCanary>().into_iter();
    let files = files.flat_map(|canary| [canary.memory.as_fd(), canary.root.as_fd()]);
    files.chain(canaries.get::<QueueCanary>().ok().map(|canary| canary.queue.as_fd())).collect()
}
