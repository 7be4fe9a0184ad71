//! What is mounted in the stage while a container runs.

use super::scene::Scene;
use crate::mountinfo::{self, MountInfo};
use rustix::mount::{UnmountFlags, unmount};
use std::collections::BTreeSet;

/// The mounts of the stage at some time, by their ids. What has come since then goes with it: what
/// a leak has left there would stand in the way of the next container.
pub struct MountsBefore {
    before: BTreeSet<u64>,
    scene: Scene,
}

impl MountsBefore {
    /// As they are. On the real host nothing is taken away: others mount there too.
    pub fn now(scene: Scene) -> Self {
        let table = mountinfo::read().unwrap_or_default();
        Self { before: table.into_iter().map(|mount| mount.id).collect(), scene }
    }

    /// What has come since.
    pub fn new_ones(&self) -> Vec<MountInfo> {
        mountinfo::read()
            .unwrap_or_default()
            .into_iter()
            .filter(|mount| !self.before.contains(&mount.id))
            .collect()
    }

    /// Takes away what is new, the last first.
    fn restore(&self) {
        take_away(&self.new_ones());
    }
}

impl Drop for MountsBefore {
    fn drop(&mut self) {
        if self.scene == Scene::Stage {
            self.restore();
        }
    }
}

/// Takes mounts away, the last first.
pub fn take_away(mounts: &[MountInfo]) {
    for mount in mounts.iter().rev() {
        let _ = unmount(&mount.point, UnmountFlags::DETACH);
    }
}
