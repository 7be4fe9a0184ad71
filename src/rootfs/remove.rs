//! Removing a tree that a container has written: as deep as it likes, with directories that forbid
//! it, never through a symlink, and never into what is mounted in it.

use crate::beneath;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, openat, openat2,
    statat, unlinkat,
};
use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Removes a directory with all that is in it. It is fine if there is none. One descriptor is held
/// at a time, whatever the depth: who wrote the tree could make it deeper than there are
/// descriptors or stack.
///
/// # Errors
/// The first thing that could not be removed: EBUSY for a mount, EACCES for what belongs to another
/// id, ESTALE for a directory that somebody has moved meanwhile.
pub fn tree(path: &Path) -> Result<()> {
    tree_in(CWD, path)
}

/// The same by a name in a directory that is open.
///
/// # Errors
/// Those of [`tree`].
pub fn tree_in(dir: impl AsFd, path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    let top = |flags| openat(&dir, &name, flags, Mode::empty());
    let mut here = match open_to_empty(top) {
        Err(Errno::NOENT) => return Ok(()),
        result => result?,
    };
    // The way up is "..": were a directory moved elsewhere meanwhile, it would lead into what is
    // not to be removed. So each step up must come to the directory from which the step down was
    // taken.
    let mut below: Vec<(CString, DeviceInode)> = Vec::new();
    loop {
        if let Some(directory) = empty_of_files(&here)? {
            let above = identity(&here)?;
            here = open_to_empty(|flags| below_on_this_mount(&here, &directory, flags))?;
            below.push((directory, above));
        } else if let Some((emptied, above)) = below.pop() {
            here = openat(
                &here,
                c"..",
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            if identity(&here)? != above {
                return Err(Errno::STALE);
            }
            unlinkat(&here, &emptied, AtFlags::REMOVEDIR)?;
        } else {
            return unlinkat(&dir, &name, AtFlags::REMOVEDIR);
        }
    }
}

/// Device and inode number.
type DeviceInode = (u64, u64);

fn identity(dir: &OwnedFd) -> Result<DeviceInode> {
    let stat = fstat(dir)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Removes everything in a directory until a directory is met; that one's name, or `None` when
/// nothing is left.
fn empty_of_files(dir: &OwnedFd) -> Result<Option<CString>> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno @ (Errno::ISDIR | Errno::PERM)) => {
                let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                return if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    Ok(Some(name.to_owned()))
                } else {
                    Err(errno)
                };
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}

/// A directory in another one, and EBUSY where something is mounted on it: with CAP_SYS_ADMIN and
/// no mount namespace of its own a container can show there what is somebody else's.
fn below_on_this_mount(parent: &OwnedFd, name: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match openat2(parent, name, flags, Mode::empty(), how) {
            // A rename somewhere has raced with it, openat2(2).
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::XDEV) => return Err(Errno::BUSY),
            result => return result,
        }
    }
}

/// A directory of one's own can be emptied whatever its mode says, once the mode is changed.
fn open_to_empty(open: impl Fn(OFlags) -> Result<OwnedFd>) -> Result<OwnedFd> {
    let named = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let read = || open(OFlags::RDONLY | OFlags::DIRECTORY | named);
    let dir = match read() {
        Err(Errno::ACCESS) => {
            beneath::chmod(&open(OFlags::PATH | named)?, Mode::RWXU)?;
            read()?
        }
        result => result?,
    };
    // Of no use to root, and refused where the directory is another id's.
    let _ = fchmod(&dir, Mode::RWXU);
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_there_are_descriptors_is_removed() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let mut here =
            openat(CWD, &root, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
            here = openat(&here, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        std::os::unix::fs::symlink("/", root.join("link")).unwrap();
        tree(&root).unwrap();
        assert!(!root.exists());
        assert_eq!(tree(&root), Ok(()), "nothing is fine");
    }

    #[test]
    fn a_directory_that_is_moved_meanwhile_leads_nowhere_else() {
        use std::fs;
        let mut met = false;
        for _ in 0..50 {
            let top = tempfile::tempdir().unwrap();
            let (root, moved) = (top.path().join("root"), top.path().join("b"));
            let b = root.join("a/b");
            fs::create_dir_all(&b).unwrap();
            fs::write(top.path().join("kept"), "").unwrap();
            (0..3000).for_each(|number| fs::write(b.join(number.to_string()), "").unwrap());
            let before = fs::metadata(&b).unwrap().modified().unwrap();
            let removed = std::thread::scope(|scope| {
                scope.spawn(|| {
                    // As soon as it is being emptied.
                    while fs::metadata(&b).is_ok_and(|stat| stat.modified().unwrap() == before) {}
                    let _ = fs::rename(&b, &moved);
                });
                tree(&root)
            });
            assert!(top.path().join("kept").exists());
            if removed == Err(Errno::STALE) {
                met = true;
                break;
            }
        }
        assert!(met, "the control: once at least the mover was faster");
    }
}
