//! CMD, looked for in the tree as it will be.

use super::{Child, opened};
use crate::beneath::Tree;
use crate::error::SysError;
use crate::run::exec;
use crate::run::step::Mount;
use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl Child<'_> {
    /// ENOENT where no candidate is there. What cannot be looked at is left to execve(2).
    pub(super) fn find_cmd(
        &self,
        cmd: &[CString],
        env: &[CString],
        workdir: &CStr,
        mounts: &[Rc<Mount>],
        hidden: &[PathBuf],
    ) -> Result<(), SysError> {
        let mut tree = Tree::new(opened(self.root.as_ref())?)?;
        for mount in mounts {
            match self.mount(mount.slot) {
                Ok(made) => tree.mount(&mount.target, made)?,
                // What only the child can make: /proc and its like.
                Err(_) => tree.mount_empty(&mount.target)?,
            };
        }
        hidden.iter().try_for_each(|path| tree.hide(path))?;
        let Some(name) = cmd.first() else { return Err(Errno::NOENT.into()) };
        let workdir = Path::new(OsStr::from_bytes(workdir.to_bytes()));
        let is_missing = |path: &CString| {
            let path = workdir.join(OsStr::from_bytes(path.to_bytes()));
            let found = tree.look(&path).map_err(|error| error.errno);
            matches!(found, Err(Errno::NOENT | Errno::NOTDIR)) && !is_dangling(&mut tree, &path)
        };
        if name.is_empty() || exec::candidates(name, env).iter().all(is_missing) {
            return Err(Errno::NOENT.into());
        }
        Ok(())
    }
}

/// Whether it is a link that leads nowhere: execve(2) will say so.
fn is_dangling(tree: &mut Tree, path: &Path) -> bool {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
    tree.look(parent)
        .is_ok_and(|parent| statat(parent.file, name, AtFlags::SYMLINK_NOFOLLOW).is_ok())
}
