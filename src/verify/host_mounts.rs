//! The file systems of the host, as they were before the stage was made: what of them is found
//! inside has come through a wall.

use crate::mountinfo::{self, Mount};
use crate::walls::proc_masks::VIEWS_OF_THE_KERNEL;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use std::collections::BTreeSet;

/// The file systems of the host.
pub struct HostMounts {
    /// Its mount table.
    table: Vec<Mount>,
    /// Those that show the kernel, held open: the device numbers of what is gone are used anew.
    _held: Vec<OwnedFd>,
}

impl HostMounts {
    /// Those of the mount namespace that this process is in.
    pub fn here() -> Self {
        let table = mountinfo::read().unwrap_or_default();
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = table
            .iter()
            .filter(|mount| VIEWS_OF_THE_KERNEL.contains(&mount.kind.as_str()))
            .filter_map(|mount| open(&mount.point, flags, Mode::empty()).ok())
            .collect();
        Self { table, _held: held }
    }

    /// Adds a file system of the host that it has mounted nowhere.
    pub fn add(&mut self, mount: Mount, held: OwnedFd) {
        self.table.push(mount);
        self._held.push(held);
    }

    /// The devices of the host's file systems of some kinds.
    pub fn devices(&self, wanted: impl Fn(&str) -> bool) -> BTreeSet<u64> {
        let of_table = self.table.iter().filter(|mount| wanted(&mount.kind));
        of_table.map(|mount| mount.device).collect()
    }

    /// The mount that the host's root is on, if that is a disk which can be mounted again.
    pub fn disk(&self) -> Option<&Mount> {
        let root = self.table.iter().rev().find(|mount| mount.point.as_os_str() == "/")?;
        (rustix::fs::major(root.device) != 0).then_some(root)
    }
}
