//! The inside in a mount namespace of its own, where what covers something is taken away.

use crate::error::{errno_of, of_nix};
use crate::mountinfo;
use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use std::path::PathBuf;

/// A mount namespace for this process alone: what it mounts and takes away there, nobody sees.
/// Where that cannot be made sure of, nothing may be mounted or taken away.
pub(super) fn own_mount_namespace() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(of_nix)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    match mount_change("/", private) {
        // Behind a chroot the root is no mount, and each of them is made private by itself.
        Err(Errno::INVAL) => {
            let table = mountinfo::read().map_err(|error| errno_of(&error))?;
            table.iter().try_for_each(|mount| mount_change(&mount.point, private))
        }
        done => done,
    }
}

/// Looks, and takes the topmost mount at one of these places away, as long as nothing is found and
/// one can be taken.
///
/// # Errors
/// Why nothing can be taken away, or what the last look has said.
pub(super) fn uncovered<T>(
    points: &[PathBuf],
    mut look: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut answer = look();
    if answer.is_ok() || points.is_empty() {
        return answer;
    }
    own_mount_namespace()?;
    for point in points {
        while answer.is_err() && unmount(point, UnmountFlags::DETACH).is_ok() {
            answer = look();
        }
    }
    answer
}
