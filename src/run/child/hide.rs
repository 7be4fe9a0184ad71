//! What is hidden: directories under an empty one, files by taking their names away.
//!
//! A mount on a file hides it only until the host puts another file in its place: rename(2) takes
//! the mount away. So in a directory of the caller's not the file is covered but its directory: by a
//! tmpfs with every other name of it as it is now.

use super::{Child, HiddenFile};
use crate::beneath::{self, Kind, Links, Lookup, Missing};
use crate::error::{SysError, printable};
use crate::mounts::{self, Attributes};
use crate::namespace::Switch;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fchown, fstat, mkdirat, openat,
    readlinkat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// As many entries has a directory that is rebuilt: each is a mount.
const MOST_ENTRIES: usize = 10_000;

impl Child<'_> {
    /// Covers a directory, and notes a file down. A link that leads to either is noted down too:
    /// the host could put the file itself in its place.
    pub(super) fn hide(
        &mut self,
        path: &Path,
        required: Switch,
        real: &Path,
    ) -> Result<(), SysError> {
        let missing = |error: &SysError| error.errno == Errno::NOENT && required == Switch::No;
        if let Err(error) = self.hide_link(path)
            && !missing(&error)
        {
            return Err(error);
        }
        let found = match self.target(looked_for(path, None)) {
            // A link that leads nowhere is hidden itself.
            Err(error) if missing(&error) || self.notes(path) => return Ok(()),
            found => found?,
        };
        self.is_where_it_was(&found.path, real)?;
        if FileType::from_raw_mode(fstat(&found.file)?.st_mode) != FileType::Directory {
            let dir = found.parent.ok_or(Errno::ISDIR)?;
            return self.hide_name(dir, &found.path);
        }
        // Two names may lead to one directory.
        if self.covered.contains(&found.path) {
            return Ok(());
        }
        self.lie_under_nothing(&found.path)?;
        self.cover(&found.file)?;
        self.covered.push(found.path);
        Ok(())
    }

    /// The other names of what is hidden were looked for where it was then. An image that could not
    /// be looked at before may have a link into what was ordered: that has other names, perhaps.
    fn is_where_it_was(&self, path: &Path, real: &Path) -> Result<(), SysError> {
        if path == real || !self.attached.iter().any(|ordered| path.starts_with(ordered)) {
            return Ok(());
        }
        let detail = format!(
            "a link leads to {}: that path has to be named",
            printable(&path.to_string_lossy())
        );
        Err(SysError::new(Errno::XDEV, detail))
    }

    fn hide_link(&mut self, path: &Path) -> Result<(), SysError> {
        let (parent, name) = (path.parent(), path.file_name());
        let (Some(parent), Some(name)) = (parent, name) else { return Ok(()) };
        let dir = self.target(looked_for(parent, Some(Kind::Directory)))?;
        let is_link = statat(&dir.file, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
        if is_link { self.hide_name(dir.file, &dir.path.join(name)) } else { Ok(()) }
    }

    fn hide_name(&mut self, dir: OwnedFd, path: &Path) -> Result<(), SysError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::ISDIR.into());
        };
        let file = HiddenFile { dir, path: parent.into(), name: name.into() };
        // What comes later must not lie over it.
        if !self.attached.iter().any(|known| known == path) {
            self.attached.push(path.to_owned());
        }
        self.hidden_files.push(file);
        Ok(())
    }

    /// Whether the last name of a path was noted down, as a link.
    fn notes(&self, path: &Path) -> bool {
        self.hidden_files.last().is_some_and(|file| Some(&*file.name) == path.file_name())
    }

    fn cover(&mut self, dir: &OwnedFd) -> Result<(), SysError> {
        let cover = empty_directory("0555", 0)?;
        mounts::attach(&cover, dir)?;
        self.own.push(super::targets::mount_id(&cover)?);
        self.covers.push(cover);
        Ok(())
    }

    /// Takes every file away that was noted down. Deeper directories first: one that is rebuilt
    /// keeps what was rebuilt below it.
    pub(super) fn hide_files(&mut self) -> Result<(), SysError> {
        let mut files = std::mem::take(&mut self.hidden_files);
        files.sort_by(|one, other| {
            let depth = |file: &HiddenFile| file.path.components().count();
            (depth(other), &other.path).cmp(&(depth(one), &one.path))
        });
        for together in files.chunk_by(|one, other| one.path == other.path) {
            let Some(HiddenFile { dir, path, .. }) = together.first() else { continue };
            let shown = |errno| SysError::new(errno, printable(&path.to_string_lossy()));
            let names: Vec<&OsStr> = together.iter().map(|file| &*file.name).collect();
            if self.is_own(dir)? {
                for name in names {
                    match unlinkat(dir, name, AtFlags::empty()) {
                        Ok(()) | Err(Errno::NOENT) => {}
                        Err(errno) => return Err(shown(errno)),
                    }
                }
            } else {
                self.rebuild(dir, path, &names)?;
            }
        }
        Ok(())
    }

    fn rebuild(&mut self, dir: &OwnedFd, path: &Path, hidden: &[&OsStr]) -> Result<(), SysError> {
        let shown = printable(&path.to_string_lossy());
        let named = |errno| SysError::new(errno, shown.clone());
        // The root of this process is under whatever is mounted on it.
        if path == Path::new("/") {
            let detail = "its directory is the root, which cannot be rebuilt";
            return Err(SysError::new(Errno::BUSY, detail));
        }
        let entries = other_entries(dir, hidden).map_err(named)?;
        if entries.len() > MOST_ENTRIES {
            let detail = format!("{shown} has {} entries: hide it as a whole", entries.len());
            return Err(SysError::new(Errno::TOOBIG, detail));
        }
        let stat = fstat(dir)?;
        let copy = empty_directory(&format!("{:o}", stat.st_mode & 0o7777), entries.len())?;
        mounts::attach(&copy, dir).map_err(named)?;
        // An owner that the user namespace does not map cannot be given.
        let _ = fchown(
            beneath::open(&copy, Path::new("."), OFlags::RDONLY, Mode::empty())?,
            Some(Uid::from_raw(stat.st_uid)),
            Some(Gid::from_raw(stat.st_gid)),
        );
        for entry in entries {
            show(dir, &copy, &entry).map_err(|errno| {
                let entry = printable(&entry.to_string_lossy());
                SysError::new(errno, format!("{shown}/{entry}"))
            })?;
        }
        // At once: a directory above it that is rebuilt next shows a copy of this mount.
        Ok(mounts::forbid_writing(&copy)?)
    }

    /// Makes what hides read-only, and the mounts of these slots.
    pub(super) fn protect_mounts(&mut self, slots: &[usize]) -> Result<(), SysError> {
        self.covers.iter().try_for_each(mounts::forbid_writing)?;
        slots.iter().try_for_each(|&slot| Ok(mounts::forbid_writing(self.mount(slot)?)?))
    }
}

fn looked_for(path: &Path, kind: Option<Kind>) -> Lookup<'_> {
    Lookup { path, kind, links: Links::Inside, missing: Missing::Refused }
}

/// A tmpfs of this mode, with room for so many names and for what is mounted in it.
fn empty_directory(mode: &str, names: usize) -> Result<OwnedFd, SysError> {
    const FURTHER: usize = 1024;
    // A long link takes a page.
    const PAGE: usize = 4096;
    let attributes = Attributes::NO_SUID.union(Attributes::NO_DEVICES);
    let text = |text: String| CString::new(text).ok();
    let options = [
        (c"mode", text(mode.to_owned())),
        (c"size", text(((names + FURTHER) * PAGE).to_string())),
        (c"nr_inodes", text((names + FURTHER).to_string())),
    ];
    mounts::new(c"tmpfs", &options, attributes)
}

/// The names of a directory, but for the hidden ones.
fn other_entries(dir: &OwnedFd, hidden: &[&OsStr]) -> Result<Vec<CString>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let entries = Dir::new(openat(dir, c".", flags, Mode::empty())?)?;
    let name = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_owned())
    };
    let is_another = |name: &CString| {
        let bytes = name.to_bytes();
        bytes != b"." && bytes != b".." && !hidden.iter().any(|hidden| hidden.as_bytes() == bytes)
    };
    entries.map(name).filter(|name| name.as_ref().map_or(true, is_another)).collect()
}

/// Shows an entry of one directory in another: a link is a link of the same text, everything else
/// a mount. One that has vanished meanwhile is passed over.
fn show(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let stat = match statat(from, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat?,
    };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        symlinkat(readlinkat(from, name, Vec::new())?, to, name)?;
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        // An owner that the user namespace does not map cannot be given.
        let _ = chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        return Ok(());
    }
    let entry = match mounts::copy_entry(from, name) {
        Err(Errno::NOENT) => return Ok(()),
        entry => entry?,
    };
    if FileType::from_raw_mode(fstat(&entry)?.st_mode) == FileType::Directory {
        mkdirat(to, name, Mode::from_raw_mode(0o755))?;
    } else {
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(to, name, create, Mode::from_raw_mode(0o444))?;
    }
    mounts::attach_at(entry, to.as_fd(), name)
}
