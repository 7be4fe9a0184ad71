//! What a run makes outside of its container, and takes away again at its end: in the warden, and
//! in the parent where the warden was killed.

use crate::beneath::{Kind, MadeTarget};
use crate::error::printable;
use crate::ready::queue::{self, Name};
use crate::rootfs::remove;
use crate::run::streams;
use crate::sys;
use crate::walls::id_range::IdRange;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Something outside of the container.
#[derive(Clone, Debug)]
pub enum Resource {
    /// Pipes behind standard streams that are CMD's for this run: the stream of each, and the
    /// owner that it gets back.
    PipeOwners(Vec<(usize, u32)>),
    /// The name of the parent's queue.
    Queue(Name),
    /// The directory that an image was unpacked into for this run alone.
    RunDirectory(PathBuf),
    /// Mount targets in directories of the caller's: which ones shows when the child looks for
    /// them. Each process has a list of its own.
    Targets(Rc<RefCell<Vec<MadeTarget>>>),
    /// The names of the locks of a range of ids.
    IdRange(Rc<IdRange>),
}

impl Resource {
    /// Takes it away; to do so again changes nothing. `within` is the user namespace of the
    /// container, where its root may remove what nobody outside may.
    ///
    /// # Errors
    /// What kept it; it is still there then.
    pub fn remove(&self, within: Option<&OwnedFd>) -> Result<()> {
        match self {
            Self::PipeOwners(before) => {
                streams::give_back(before);
                Ok(())
            }
            Self::Queue(name) => queue::remove(name).map_err(|error| error.errno),
            Self::RunDirectory(path) => remove_directory(path, within),
            Self::IdRange(range) => range.remove(),
            // The last one first: it may be in one that was made before.
            Self::Targets(made) => {
                let made = std::mem::take(&mut *made.borrow_mut());
                let failed: Vec<Errno> =
                    made.iter().rev().filter_map(|one| one.remove().err()).collect();
                failed.first().map_or(Ok(()), |&errno| Err(errno))
            }
        }
    }
}

impl fmt::Display for Resource {
    /// What it is, for "cannot remove …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PipeOwners(_) => f.write_str("CMD's ownership of the standard streams"),
            Self::Queue(name) => write!(f, "message queue {}", name.shown()),
            Self::RunDirectory(path) => f.write_str(&printable(&path.to_string_lossy())),
            Self::Targets(_) => f.write_str("a mount target that was made"),
            Self::IdRange(range) => write!(f, "the lock of the ids from {}", range.ids.start),
        }
    }
}

/// Which resources are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that stay until the container has ended. The queue has a step of the parent's.
    AllButQueue,
    /// All of them: nobody else will.
    All,
}

/// Takes them away, whatever becomes of each. What is left, by its place, with the reason.
pub fn remove_all(
    resources: &[Resource],
    which: Which,
    within: Option<&OwnedFd>,
) -> Vec<(usize, Errno)> {
    let wanted = |resource: &Resource| match resource {
        Resource::Queue(_) => which == Which::All,
        Resource::PipeOwners(_)
        | Resource::RunDirectory(_)
        | Resource::Targets(_)
        | Resource::IdRange(_) => true,
    };
    let all = resources.iter().enumerate().filter(|(_, resource)| wanted(resource));
    all.filter_map(|(place, resource)| Some((place, resource.remove(within).err()?))).collect()
}

/// Makes a mount target for this run, or shares it, and keeps in mind that it has to be removed. A
/// descriptor of it, where it is not the caller's own.
///
/// # Errors
/// Those of [`MadeTarget::claim`].
pub fn claim_target(
    resources: &[Resource],
    dir: &OwnedFd,
    name: &[u8],
    kind: Kind,
) -> Result<Option<OwnedFd>> {
    let claimed = MadeTarget::claim(dir.as_fd(), Path::new(OsStr::from_bytes(name)), kind)?;
    let Some(target) = claimed else { return Ok(None) };
    let file = target.file()?;
    Ok(keep(resources, target).then_some(file))
}

/// Keeps in mind what another process of this run has claimed, should that one be killed.
pub fn note_target(resources: &[Resource], dir: OwnedFd, name: Vec<u8>, file: OwnedFd) {
    keep(resources, MadeTarget::claimed(dir, OsString::from_vec(name).into(), file));
}

/// Whether it was not known yet. Two mounts may be in one directory that was made, and a second
/// lock would keep the first.
fn keep(resources: &[Resource], target: MadeTarget) -> bool {
    let mut lists = resources.iter().filter_map(|resource| match resource {
        Resource::Targets(list) => Some(list),
        Resource::PipeOwners(_)
        | Resource::Queue(_)
        | Resource::RunDirectory(_)
        | Resource::IdRange(_) => None,
    });
    let Some(list) = lists.next() else { return false };
    let mut list = list.borrow_mut();
    let is_new = !list.iter().any(|known| known.is_same(&target));
    if is_new {
        list.push(target);
    }
    is_new
}

/// Files of subordinate ids in directories of subordinate ids: only the root of the user namespace
/// that has them may remove them.
fn remove_directory(path: &Path, within: Option<&OwnedFd>) -> Result<()> {
    match (remove::tree(path), within) {
        (Err(_), Some(namespace)) => {
            // SAFETY: the warden has one thread.
            #[allow(unsafe_code, reason = "fork(2) with one thread")]
            let forked = unsafe { sys::fork() };
            if let Some(child) = forked? {
                let _ =
                    rustix::io::retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED));
                return remove::tree(path);
            }
            let _ = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))
                .and_then(|()| remove::tree(path));
            sys::exit_now(0)
        }
        (removed, _) => removed,
    }
}
