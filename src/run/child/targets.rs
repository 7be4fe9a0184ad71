//! Mount targets: looked for, made where they are missing, and by whom.

use super::{Child, opened};
use crate::beneath::{self, AtOnce, Kind, Lookup, Surroundings, Target};
use crate::error::{SysError, printable};
use crate::mounts;
use crate::namespace::Switch;
use crate::run::control::{FarEnd, Order, Report};
use crate::run::step::Mount;
use crate::run::wire::Received;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Gid, StatxFlags, Uid, chownat, statx};
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is missing is made here where the place vanishes with the container. In a directory of
/// the caller's the warden makes it, who takes it away again whatever becomes of the child.
struct AtTheWarden<'a> {
    gate: &'a FarEnd,
    own: &'a [u64],
    owner: Option<(Uid, Gid)>,
}

impl Surroundings for AtTheWarden<'_> {
    fn make(&mut self, dir: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<(), Errno> {
        if self.own.contains(&mount_id(dir)?) {
            return OfRootInside(self.owner).make(dir, name, kind);
        }
        self.claim(dir, name, kind)
    }

    fn share(&mut self, dir: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<(), Errno> {
        if self.own.contains(&mount_id(dir)?) {
            return Ok(());
        }
        self.claim(dir, name, kind)
    }

    fn bears_the_mark(&self, dir: BorrowedFd<'_>, name: &Path) -> bool {
        let is_own = mount_id(dir).is_ok_and(|id| self.own.contains(&id));
        !is_own && beneath::is_made(dir, name)
    }
}

/// What is missing is made there and then, and belongs to root inside.
pub(super) struct OfRootInside(pub(super) Option<(Uid, Gid)>);

impl Surroundings for OfRootInside {
    fn make(&mut self, dir: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<(), Errno> {
        AtOnce.make(dir, name, kind)?;
        self.0.map_or(Ok(()), |(uid, gid)| {
            chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    fn share(&mut self, _: BorrowedFd<'_>, _: &Path, _: Kind) -> Result<(), Errno> {
        Ok(())
    }
}

impl AtTheWarden<'_> {
    fn claim(&self, dir: BorrowedFd<'_>, name: &Path, kind: Kind) -> Result<(), Errno> {
        let name = name.as_os_str().as_bytes().to_vec();
        self.gate.pass(&Report::Claim { name, kind }, dir)?;
        match self.gate.wait() {
            Received::Message(Order::Claimed, _) => Ok(()),
            Received::Message(Order::NotClaimed(errno), _) | Received::Failed(errno) => Err(errno),
            Received::Message(..) | Received::Nothing => Err(Errno::BADMSG),
            Received::Closed => Err(Errno::PIPE),
        }
    }
}

/// The mount that a file is on, statx(2), Linux 5.8.
pub(super) fn mount_id(file: impl AsFd) -> Result<u64, Errno> {
    Ok(statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}

impl Child<'_> {
    /// Finds a target beneath the root, or has it made.
    pub(super) fn target(&self, lookup: Lookup<'_>) -> Result<Target, SysError> {
        let mut around = AtTheWarden { gate: &self.given.gate, own: &self.own, owner: self.owner };
        let target = beneath::target(opened(self.root.as_ref())?, lookup, &mut around)?;
        self.tell_target(&Path::new("/").join(lookup.path), &target.path);
        Ok(target)
    }

    /// Whether what is made in a directory vanishes with the container.
    pub(super) fn is_own(&self, dir: impl AsFd) -> Result<bool, Errno> {
        Ok(self.own.contains(&mount_id(dir)?))
    }

    pub(super) fn attach(&mut self, mount: &Mount) -> Result<(), SysError> {
        let Mount { slot, target: ref path, kind, links, missing, ordered, .. } = *mount;
        let found = match self.target(Lookup { path, kind: Some(kind), links, missing }) {
            Err(error) if error.errno == Errno::NOENT && missing == beneath::Missing::Skipped => {
                return Ok(());
            }
            found => found?,
        };
        if ordered == Switch::Yes {
            self.lie_under_nothing(&found.path)?;
        }
        Ok(mounts::attach(self.mount(slot)?, found.file)?)
    }

    /// Two orders may have targets that differ only by links, and a link may lead from a deep path
    /// to a high one: then the one that is attached last would hide the other.
    pub(super) fn lie_under_nothing(&mut self, path: &Path) -> Result<(), SysError> {
        let under = self.attached.iter().find(|earlier| earlier.starts_with(path));
        if let Some(under) = under {
            let shown = |path: &Path| printable(&path.to_string_lossy());
            let detail = format!(
                "it is {}, and would hide what was ordered for {}",
                shown(path),
                shown(under)
            );
            return Err(SysError::new(Errno::EXIST, detail));
        }
        self.attached.push(path.to_owned());
        Ok(())
    }
}
