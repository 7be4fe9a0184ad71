//! Which ids the container has, `--ids`, and who may be left what root inside writes, `--suid-ok`.

use super::arguments::Words;
use super::{FileOptions, Rootfs, RunOptions, Writing, shown};
use crate::error::Failure;
use crate::host::{Host, UserNamespace};
use crate::mountinfo::{self, MountInfo};
use crate::namespace::{Choice, Namespace, Namespaces, Switch};
pub use crate::walls::id_range::{COUNT, Ids};
use caps::Capability;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The ids of root's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdOptions {
    /// The range outside; any that is free where none is named.
    pub range: Option<Ids>,
    /// Whether root inside may leave set-user-ID files of the host's root where others reach them.
    pub suid_ok: Switch,
}

/// The caller's supplementary groups, in CMD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supplementary {
    /// Given up, where the kernel lets that be done.
    Dropped,
    /// Kept on purpose.
    Kept,
}

impl Default for IdOptions {
    fn default() -> Self {
        Self { range: None, suid_ok: Switch::No }
    }
}

impl IdOptions {
    pub(super) fn say(&self, words: &mut Words) {
        words.given("ids", self.range.map(|ids| format!("{}:{}", ids.start, ids.count)));
        if self.suid_ok == Switch::Yes {
            words.flag("suid-ok");
        }
    }
}

impl RunOptions {
    /// Whether the ids that were ordered can be had, and what is written with them stays where only
    /// root is.
    ///
    /// # Errors
    /// `--ids` where the container has none of its own; a directory that is written and that others
    /// reach.
    pub(super) fn check_ids(
        &self,
        namespaces: &Namespaces,
        (rootfs, files): (&Rootfs, &FileOptions),
        cap_mask: u64,
        host: &Host,
    ) -> Result<(), Failure> {
        if self.ids.range.is_some() && !has_range(namespaces, host) {
            return Err(Failure::new("--ids: this container has no ids of its own")
                .why("root of the machine gives them, with --user yes")
                .man("user_namespaces(7)"));
        }
        let idmapped = files.binds.iter().filter(|bind| bind.idmapped == Switch::Yes);
        let has_others = has_other_ids(namespaces, host);
        if let (Some(bind), false) = (idmapped.clone().next(), has_others) {
            let target = shown(&bind.target);
            return Err(Failure::new(format!("--bind {target}: idmap needs ids of its own"))
                .why("root of the machine gives them, with --user yes")
                .man("mount_setattr(2)"));
        }
        if has_others && cap_mask & Capability::CAP_SYS_ADMIN.bitmask() != 0 {
            files.nothing_to_undo_in_the_kernels_places()?;
        }
        // Without a mount that shows other owners what is written is nobody's on the host.
        let is_shown = has_others && namespaces.is_new(Namespace::Mount);
        if !is_shown || self.ids.suid_ok == Switch::Yes {
            return Ok(());
        }
        let writable = idmapped.filter(|bind| bind.writable == Switch::Yes);
        let mut written: Vec<&Path> = writable.map(|bind| bind.source.as_path()).collect();
        if let (Rootfs::Directory(directory), Writing::Allowed) = (rootfs, self.writing) {
            written.push(directory);
        }
        if written.is_empty() {
            return Ok(());
        }
        let mounts = mountinfo::here()?;
        for place in written {
            only_root_reaches(place, place, &mounts)?;
            let below = mounts.iter().map(|mount| mount.point.as_path());
            let mut below = below.filter(|point| *point != place && point.starts_with(place));
            below.try_for_each(|point| only_root_reaches(place, point, &mounts))?;
        }
        Ok(())
    }
}

/// Whether the container has ids of its own: root of the machine gives them.
pub fn has_range(namespaces: &Namespaces, host: &Host) -> bool {
    *namespaces.get(Namespace::User) == Choice::New && may_show_ids(host)
}

/// Whether the ids of the container are not the caller's: a range of its own, or those of a user
/// namespace that root of the machine joins.
pub fn has_other_ids(namespaces: &Namespaces, host: &Host) -> bool {
    *namespaces.get(Namespace::User) != Choice::Shared && may_show_ids(host)
}

/// Whether the caller is root of the machine, who gives ids to others and shows files with them.
pub(super) fn may_show_ids(host: &Host) -> bool {
    // To mount, to write the maps, to give files to who is 0 inside.
    let rights = [
        Capability::CAP_SYS_ADMIN,
        Capability::CAP_SETUID,
        Capability::CAP_SETGID,
        Capability::CAP_CHOWN,
    ];
    host.uid == 0
        && rights.into_iter().all(|right| host.holds(right))
        && host.user_namespace == UserNamespace::Initial
}

/// What root inside writes belongs on the disk to the host's root: a set-user-ID file there gives
/// its rights to whoever can run it. A directory above it must be root's alone, wherever it is
/// mounted: one that root inside has he can open to others.
fn only_root_reaches(ordered: &Path, path: &Path, mounts: &[MountInfo]) -> Result<(), Failure> {
    const OTHERS_SEARCH: u32 = 0o011;
    let keeps_out = |path: &Path| {
        fs::metadata(path).is_ok_and(|stat| stat.uid() == 0 && stat.mode() & OTHERS_SEARCH == 0)
    };
    let is_reached = |path: &PathBuf| !path.ancestors().skip(1).any(keeps_out);
    let Some(open) = mountinfo::aliases(path, mounts).into_iter().find(is_reached) else {
        return Ok(());
    };
    let (ordered, open) = (shown(ordered), shown(&open));
    Err(Failure::new(format!("{ordered}: others can reach what root inside would write there"))
        .why(format!(
            "no directory above {open} is root's and closed to others, and a set-user-ID file that \
             it leaves is the host's root's"
        ))
        .remedy("a place below a directory of mode 700, --read-only, --ephemeral, or --suid-ok")
        .man("chmod(2)"))
}
