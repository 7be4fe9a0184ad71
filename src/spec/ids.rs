//! Which ids the container has, `--ids`, and who may be left what root inside writes, `--suid-ok`.

use super::arguments::Words;
use super::{Rootfs, RunOptions, Writing, shown};
use crate::error::Failure;
use crate::host::{Host, UserNamespace};
use crate::namespace::{Choice, Namespace, Namespaces, Switch};
pub use crate::walls::id_range::{COUNT, Ids};
use caps::Capability;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The ids of root's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdOptions {
    /// The range outside; any that is free where none is named.
    pub range: Option<Ids>,
    /// Whether root inside may leave set-user-ID files of the host's root where others reach them.
    pub suid_ok: Switch,
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
        rootfs: &Rootfs,
        host: &Host,
    ) -> Result<(), Failure> {
        let has_range = has_range(namespaces, host);
        if self.ids.range.is_some() && !has_range {
            return Err(Failure::new("--ids: this container has no ids of its own")
                .why("root of the machine gives them, with --user yes and --mount yes")
                .man("user_namespaces(7)"));
        }
        let idmapped = self.files.binds.iter().filter(|bind| bind.idmapped == Switch::Yes);
        if let (Some(bind), false) = (idmapped.clone().next(), has_range) {
            let target = shown(&bind.target);
            return Err(Failure::new(format!("--bind {target}: idmap needs ids of its own"))
                .why("root of the machine gives them, with --user yes and --mount yes")
                .man("mount_setattr(2)"));
        }
        if self.ids.suid_ok == Switch::Yes {
            return Ok(());
        }
        if let Rootfs::Directory(directory) = rootfs
            && has_range
            && self.writing == Writing::Allowed
        {
            only_root_reaches(directory)?;
        }
        let mut written =
            idmapped.filter(|bind| bind.writable == Switch::Yes && bind.source.is_dir());
        written.try_for_each(|bind| only_root_reaches(&bind.source))
    }
}

/// Whether the container has ids of its own: root of the machine gives them, and to show files with
/// them takes mounts.
pub fn has_range(namespaces: &Namespaces, host: &Host) -> bool {
    host.uid == 0
        && host.holds(Capability::CAP_SYS_ADMIN)
        && host.user_namespace == UserNamespace::Initial
        && *namespaces.get(Namespace::User) == Choice::New
        && namespaces.is_new(Namespace::Mount)
}

/// What root inside writes belongs on the disk to the host's root: a set-user-ID file there gives
/// its rights to whoever can run it. Some directory on the way must be root's alone.
fn only_root_reaches(directory: &Path) -> Result<(), Failure> {
    const OTHERS_SEARCH: u32 = 0o011;
    let keeps_out = |path: &Path| {
        fs::metadata(path).is_ok_and(|stat| stat.uid() == 0 && stat.mode() & OTHERS_SEARCH == 0)
    };
    if directory.ancestors().any(keeps_out) {
        return Ok(());
    }
    let shown = shown(directory);
    Err(Failure::new(format!("{shown}: others can reach what root inside would write there"))
        .why("a set-user-ID file that it leaves is the host's root's")
        .remedy(format!("chmod 700 {shown}, --read-only, --ephemeral, or --suid-ok"))
        .man("chmod(2)"))
}
