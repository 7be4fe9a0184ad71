//! The file systems of the host, as they were before the stage was made: what of them is found
//! inside has come through a wall.

use crate::mountinfo::{self, MountInfo};
use crate::namespace::Namespace;
use crate::walls::proc_masks::VIEWS_OF_THE_KERNEL;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open, stat};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The file systems of the host.
pub struct HostMounts {
    /// Its mount table.
    table: Vec<MountInfo>,
    /// Those that show the kernel, held open: the device numbers of what is gone are used anew.
    _held: Vec<OwnedFd>,
    /// Its namespaces by device and inode, in the order of the table: whoever has called lives
    /// there.
    namespaces: Vec<Option<(u64, u64)>>,
}

impl HostMounts {
    /// Those of the mount namespace that this process is in.
    pub fn here() -> Self {
        let table = mountinfo::read().unwrap_or_default();
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Each once, since the caller may have few descriptors.
        let views = table.iter().filter(|mount| VIEWS_OF_THE_KERNEL.contains(&mount.kind.as_str()));
        let each: BTreeMap<u64, &MountInfo> = views.map(|mount| (mount.device, mount)).collect();
        let held = each
            .values()
            .filter_map(|mount| open(&mount.point, flags, Mode::empty()).ok())
            .collect();
        let link = |namespace: Namespace| {
            let path = format!("/proc/self/ns/{}", namespace.proc_entry());
            stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino))
        };
        Self { table, _held: held, namespaces: Namespace::ALL.into_iter().map(link).collect() }
    }

    /// Adds a file system of the host that it has mounted nowhere.
    pub fn add(&mut self, mount: MountInfo, held: OwnedFd) {
        self.table.push(mount);
        self._held.push(held);
    }

    /// The devices of the host's file systems of some kinds.
    pub fn devices(&self, wanted: impl Fn(&str) -> bool) -> BTreeSet<u64> {
        let of_table = self.table.iter().filter(|mount| wanted(&mount.kind));
        of_table.map(|mount| mount.device).collect()
    }

    /// Where the host has file systems of some kinds mounted.
    pub fn points(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &Path> {
        self.table
            .iter()
            .filter(move |mount| wanted(&mount.kind))
            .map(|mount| mount.point.as_path())
    }

    /// A namespace of the host's, by device and inode.
    pub fn namespace(&self, namespace: Namespace) -> Option<(u64, u64)> {
        *self.namespaces.get(namespace as usize)?
    }

    /// The mount that the host's root is on.
    pub fn root(&self) -> Option<&MountInfo> {
        self.table.iter().rev().find(|mount| mount.point.as_os_str() == "/")
    }

    /// The same, if that is a disk which can be mounted again.
    pub fn disk(&self) -> Option<&MountInfo> {
        let root = self.root()?;
        (rustix::fs::major(root.device) != 0).then_some(root)
    }
}
