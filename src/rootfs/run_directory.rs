//! The directories of runs without a mount namespace: one each, locked while its warden lives,
//! removed by it. What a killed warden has left is swept by a later run.

use crate::rootfs::keeper::Keeper;
use rustix::fd::{IntoRawFd, OwnedFd};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, mkdirat, openat};
use rustix::io::Result;
use rustix::rand::{GetRandomFlags, getrandom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What their names begin with.
const PREFIX: &str = "rustic-run-";

/// A directory that is younger may not have its lock yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A new name in a folder.
///
/// # Errors
/// Those of getrandom(2).
pub fn name_in(folder: &Path) -> Result<PathBuf> {
    Ok(folder.join(format!("{PREFIX}{}", random()?)))
}

/// Sixteen random digits.
pub(super) fn random() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// Makes the directory for its owner alone, and holds its lock until this process ends.
///
/// # Errors
/// EEXIST, EACCES, ENOSPC.
pub fn make(path: &Path) -> Result<()> {
    mkdirat(CWD, path, Mode::RWXU)?;
    let _held_until_exit = locked(path)?.into_raw_fd();
    Ok(())
}

fn locked(path: &Path) -> Result<OwnedFd> {
    let dir = openat(
        CWD,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
    Ok(dir)
}

/// Removes what nobody has locked any more, of this user's, in a folder. What cannot be removed is
/// left to its owner.
pub fn sweep(folder: &Path, uid: u32, keeper: &Keeper) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let old = entry.metadata().is_ok_and(|stat| {
            stat.is_dir()
                && stat.uid() == uid
                && stat.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > YOUNG))
        });
        if old
            && entry.file_name().to_string_lossy().starts_with(PREFIX)
            && locked(&entry.path()).is_ok()
        {
            let _ = keeper.remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_takes_what_is_old_and_free_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, age: u64| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            let time = std::time::SystemTime::now() - Duration::from_secs(age);
            std::fs::File::open(&path).unwrap().set_modified(time).unwrap();
            path
        };
        let (old, young, other, held) = (
            made("rustic-run-1", 100),
            made("rustic-run-2", 1),
            made("other", 100),
            made("rustic-run-3", 100),
        );
        let lock = locked(&held).unwrap();
        let host = crate::host::Host::read().unwrap();
        sweep(folder.path(), host.uid, &Keeper::of(&host));
        assert!(!old.exists() && young.exists() && other.exists() && held.exists());
        drop(lock);
        sweep(folder.path(), host.uid, &Keeper::of(&host));
        assert!(!held.exists());
    }
}
