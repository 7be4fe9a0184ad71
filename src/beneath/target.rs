//! Mount targets: one component after another, each to a descriptor.

use super::open;
use crate::error::{SysError, printable};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, mkdirat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// What a mount target must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// Anything else; where it is missing a regular file is made.
    File,
}

/// What becomes of symlinks on the way to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// None is followed: the place is one that a hostile image must not choose.
    Refused,
    /// They lead where they lead from inside: an absolute one begins at the root, and `..` stays
    /// there. One that leads into /dev, /proc or /sys is refused: there are the kernel's own files.
    Inside,
}

/// What becomes of a target that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is made, with what is missing on the way.
    Made,
    /// It is an error.
    Refused,
    /// Nothing is mounted there.
    Skipped,
}

/// A mount target, found or made.
#[derive(Debug)]
pub struct Target {
    /// Its O_PATH descriptor.
    pub file: OwnedFd,
    /// Where it is inside, behind every link.
    pub path: PathBuf,
}

/// As many links are followed as the kernel follows, path_resolution(7).
const MOST_LINKS: usize = 40;

/// A mount target beneath a root. `path` is relative to the root.
///
/// # Errors
/// ELOOP where a component is a symlink and none is followed, and for a loop of them; EXDEV for a
/// link into /dev, /proc or /sys; ENOTDIR or EISDIR where it is of the wrong kind, ENOENT where it
/// is missing and not made; the detail names the path inside.
pub fn target(
    root: impl AsFd,
    path: &Path,
    kind: Kind,
    links: Links,
    missing: Missing,
) -> Result<Target, SysError> {
    let top = open(&root, Path::new("."), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let mut walk = Walk { way: vec![top], path: PathBuf::from("/"), followed: 0, links };
    let mut rest: VecDeque<OsString> = parts(path);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            walk.up();
            continue;
        }
        walk.keep_away_from_the_kernels(&name)?;
        let wanted = if rest.is_empty() { kind } else { Kind::Directory };
        let here = walk.here()?;
        match component(here, Path::new(&name), wanted, missing) {
            Ok(Found::File(file)) => walk.down(file, &name),
            Ok(Found::Link(to)) if links == Links::Inside => {
                for part in walk.follow(&name, &to)?.into_iter().rev() {
                    rest.push_front(part);
                }
            }
            Ok(Found::Link(_)) => return Err(walk.failed(Errno::LOOP, &name)),
            Err(errno) => return Err(walk.failed(errno, &name)),
        }
    }
    let Walk { mut way, path, .. } = walk;
    let file = way.pop().ok_or(Errno::NOENT)?;
    // A link may have ended at a directory, or at the root itself.
    match (kind, FileType::from_raw_mode(fstat(&file)?.st_mode)) {
        (Kind::Directory, FileType::Directory) => Ok(Target { file, path }),
        (Kind::Directory, _) => {
            Err(SysError::new(Errno::NOTDIR, wrong(&path, "is not a directory")))
        }
        (Kind::File, FileType::Directory) => {
            Err(SysError::new(Errno::ISDIR, wrong(&path, "is a directory, not a file")))
        }
        (Kind::File, _) => Ok(Target { file, path }),
    }
}

/// The components of a path, without those that stand for where one is.
fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(part).collect()
}

/// A walk from the root. The way up is the way that was come down: a directory that is moved
/// meanwhile leads nowhere else.
struct Walk {
    /// The directories from the root to where it is.
    way: Vec<OwnedFd>,
    /// The same as a path inside.
    path: PathBuf,
    /// How many links.
    followed: usize,
    links: Links,
}

impl Walk {
    fn here(&self) -> Result<&OwnedFd, SysError> {
        self.way.last().ok_or_else(|| Errno::NOENT.into())
    }

    fn up(&mut self) {
        if self.way.len() > 1 {
            self.way.pop();
            self.path.pop();
        }
    }

    fn down(&mut self, file: OwnedFd, name: &OsStr) {
        self.way.push(file);
        self.path.push(name);
    }

    /// A target that is ordered there by its own name follows no link at all.
    fn keep_away_from_the_kernels(&self, name: &OsStr) -> Result<(), SysError> {
        let path = self.path.join(name);
        let kernels = ["/dev", "/proc", "/sys"].into_iter().any(|own| path == Path::new(own));
        if self.links == Links::Refused || !kernels {
            return Ok(());
        }
        let what = "is where a link of the image leads, and a target must not get there by one";
        Err(SysError::new(Errno::XDEV, wrong(&path, what)))
    }

    /// The components of a link, to be walked next.
    fn follow(&mut self, name: &OsStr, to: &Path) -> Result<VecDeque<OsString>, SysError> {
        self.followed += 1;
        if self.followed > MOST_LINKS {
            let path = self.path.join(name);
            return Err(SysError::new(Errno::LOOP, wrong(&path, "is a link to itself at last")));
        }
        if to.is_absolute() {
            self.way.truncate(1);
            self.path = PathBuf::from("/");
        }
        Ok(parts(to))
    }

    fn failed(&self, errno: Errno, name: &OsStr) -> SysError {
        let path = self.path.join(name);
        let what = self.here().map_or("cannot be reached", |here| found(errno, here, name));
        SysError::new(errno, wrong(&path, what))
    }
}

fn wrong(path: &Path, what: &str) -> String {
    format!("{} {what}", printable(&path.to_string_lossy()))
}

/// What a component is.
enum Found {
    /// Not a symlink: its O_PATH descriptor.
    File(OwnedFd),
    /// A symlink, and where it leads.
    Link(PathBuf),
}

fn component(dir: &OwnedFd, name: &Path, kind: Kind, missing: Missing) -> Result<Found, Errno> {
    match open(dir, name, OFlags::PATH, Mode::empty()) {
        Err(Errno::NOENT) if missing == Missing::Made => {
            let made = match kind {
                Kind::Directory => mkdirat(dir, name, Mode::from_raw_mode(0o755)),
                Kind::File => {
                    let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                    open(dir, name, create, Mode::from_raw_mode(0o644)).map(drop)
                }
            };
            // Another run on the same directory may have been faster; what it made is looked at
            // like everything else.
            match made {
                Ok(()) | Err(Errno::EXIST) => component(dir, name, kind, Missing::Refused),
                Err(errno) => Err(errno),
            }
        }
        Ok(fd) => match (kind, FileType::from_raw_mode(fstat(&fd)?.st_mode)) {
            // Of the descriptor, so that it is this link's and no other's, readlinkat(2).
            (_, FileType::Symlink) => {
                let to = readlinkat(&fd, c"", Vec::new())?.into_bytes();
                Ok(Found::Link(OsString::from_vec(to).into()))
            }
            (Kind::Directory, FileType::Directory) => Ok(Found::File(fd)),
            (Kind::Directory, _) => Err(Errno::NOTDIR),
            (Kind::File, FileType::Directory) => Err(Errno::ISDIR),
            (Kind::File, _) => Ok(Found::File(fd)),
        },
        Err(errno) => Err(errno),
    }
}

/// What stands where a target was looked for, in words.
fn found(errno: Errno, dir: &OwnedFd, name: &OsStr) -> &'static str {
    let kind = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        Ok(FileType::Symlink) => "is a symlink, and none is followed there",
        Ok(FileType::Directory) if errno == Errno::ISDIR => "is a directory, not a file",
        Ok(_) if errno == Errno::NOTDIR => "is not of the right kind",
        Ok(_) => "cannot be used",
        Err(Errno::NOENT) => "is missing",
        Err(_) => "cannot be reached",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// Follows a path in a tree with links, and tells where it has come to.
    fn followed(links: &[(&str, &str)], path: &str, missing: Missing) -> Result<PathBuf, SysError> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        fs::create_dir_all(dir.path().join("proc")).unwrap();
        fs::write(dir.path().join("usr/bin/f"), "").unwrap();
        for (at, to) in links {
            symlink(to, dir.path().join(at)).unwrap();
        }
        let root = fs::File::open(dir.path()).unwrap();
        target(&root, Path::new(path), Kind::File, Links::Inside, missing).map(|target| target.path)
    }

    #[test]
    fn links_lead_where_they_lead_from_inside() {
        let found = |links: &[(&str, &str)], path| followed(links, path, Missing::Refused).unwrap();
        let at = PathBuf::from("/usr/bin/f");
        assert_eq!(found(&[("bin", "usr/bin")], "bin/f"), at);
        assert_eq!(found(&[("bin", "/usr/bin")], "bin/f"), at);
        assert_eq!(found(&[("bin", "../../../../usr/bin")], "bin/f"), at);
        assert_eq!(found(&[("a", "b"), ("b", "/c"), ("c", "usr/../usr/bin")], "a/f"), at);
        assert_eq!(found(&[("usr/g", "../g"), ("g", "./usr/bin/f")], "usr/g"), at);
    }

    #[test]
    fn what_a_link_leads_to_is_made() {
        let made = followed(&[("resolv", "/run/systemd/x")], "resolv", Missing::Made).unwrap();
        assert_eq!(made, PathBuf::from("/run/systemd/x"));
        let missing = followed(&[("resolv", "/run/x")], "resolv", Missing::Refused).unwrap_err();
        assert_eq!((missing.errno, &missing.detail[..]), (Errno::NOENT, "/run is missing"));
    }

    #[test]
    fn a_loop_and_a_way_to_the_kernels_files_are_refused() {
        let refused =
            |links: &[(&str, &str)], path| followed(links, path, Missing::Made).unwrap_err().errno;
        assert_eq!(refused(&[("a", "b"), ("b", "a")], "a/f"), Errno::LOOP);
        assert_eq!(refused(&[("a", "/proc/sys")], "a/f"), Errno::XDEV);
        assert_eq!(refused(&[("a", "usr/../proc")], "a"), Errno::XDEV);
        assert_eq!(refused(&[("a", "usr")], "a/bin"), Errno::ISDIR);
        assert_eq!(refused(&[("a", "/")], "a"), Errno::ISDIR);
    }
}
