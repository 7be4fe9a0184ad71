//! The walk to a mount target: one component after another, each to a descriptor.

use super::lookup::{Kind, Links, Lookup, Missing, Surroundings, Target};
use super::mark::is_marked;
use super::open;
use crate::error::{SysError, printable};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// As many links are followed as the kernel follows, path_resolution(7).
const MOST_LINKS: usize = 40;

/// So often is a component looked at again that vanishes as soon as it was seen.
const RACES: usize = 32;

/// A mount target beneath a root.
///
/// # Errors
/// ELOOP where a component is a symlink and none is followed, and for a loop of them; EXDEV for a
/// link into /dev, /proc or /sys; ENOTDIR or EISDIR where it is of the wrong kind, ENOENT where it
/// is missing and not made; the detail names the path inside.
pub fn target(
    root: impl AsFd,
    lookup: Lookup<'_>,
    around: &mut dyn Surroundings,
) -> Result<Target, SysError> {
    let Lookup { path, kind, links, missing } = lookup;
    let top = open(&root, Path::new("."), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let mut walk = Walk { way: vec![top], path: PathBuf::from("/"), followed: 0, links };
    let mut rest: VecDeque<OsString> = parts(path);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            walk.up();
            continue;
        }
        walk.keep_away_from_the_kernels(&name)?;
        let wanted = if rest.is_empty() { kind } else { Some(Kind::Directory) };
        match around.mounted(&walk.path.join(&name)) {
            Ok(Some(mount)) => {
                walk.down(mount, &name);
                continue;
            }
            Ok(None) => {}
            Err(errno) => return Err(walk.failed(errno, &name)),
        }
        let here = walk.here()?;
        match component(here, Path::new(&name), wanted, missing, around) {
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
        (Some(Kind::Directory), FileType::Directory) | (None, _) => {}
        (Some(Kind::Directory), _) => {
            return Err(SysError::new(Errno::NOTDIR, wrong(&path, "is not a directory")));
        }
        (Some(Kind::File), FileType::Directory) => {
            return Err(SysError::new(Errno::ISDIR, wrong(&path, "is a directory, not a file")));
        }
        (Some(Kind::File), _) => {}
    }
    Ok(Target { file, path, parent: way.pop() })
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

fn component(
    dir: &OwnedFd,
    name: &Path,
    kind: Option<Kind>,
    missing: Missing,
    around: &mut dyn Surroundings,
) -> Result<Found, Errno> {
    for _ in 0..RACES {
        match (open(dir, name, OFlags::PATH, Mode::empty()), kind) {
            // Another run on the same directory may have been faster; what it made is looked at
            // like everything else.
            (Err(Errno::NOENT), Some(kind)) if missing == Missing::Made => {
                around.make(dir.as_fd(), name, kind)?;
            }
            (Ok(fd), kind) => {
                let stat = fstat(&fd)?;
                let is_made = missing == Missing::Made
                    && (is_marked(&stat) || around.bears_the_mark(dir.as_fd(), name));
                let Some(made) = kind.filter(|_| is_made) else {
                    return of_kind(fd, &stat, kind);
                };
                around.share(dir.as_fd(), name, made)?;
                // Shared or not, it is used only if it still is what the name shows.
                let is_there = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|now| (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino));
                if is_there {
                    return of_kind(fd, &stat, kind);
                }
            }
            (Err(errno), _) => return Err(errno),
        }
    }
    Err(Errno::BUSY)
}

fn of_kind(fd: OwnedFd, stat: &Stat, kind: Option<Kind>) -> Result<Found, Errno> {
    match (kind, FileType::from_raw_mode(stat.st_mode)) {
        // Of the descriptor, so that it is this link's and no other's, readlinkat(2).
        (_, FileType::Symlink) => {
            let to = readlinkat(&fd, c"", Vec::new())?.into_bytes();
            Ok(Found::Link(OsString::from_vec(to).into()))
        }
        (Some(Kind::Directory) | None, FileType::Directory) => Ok(Found::File(fd)),
        (Some(Kind::Directory), _) => Err(Errno::NOTDIR),
        (Some(Kind::File), FileType::Directory) => Err(Errno::ISDIR),
        (Some(Kind::File) | None, _) => Ok(Found::File(fd)),
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
        Ok(_) if errno == Errno::BUSY => "is locked, or comes and goes",
        Ok(_) => "cannot be used",
        Err(Errno::NOENT) if matches!(errno, Errno::NOENT | Errno::ROFS) => "is missing",
        Err(Errno::NOENT) => "is missing, and cannot be made",
        Err(_) => "cannot be reached",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::AtOnce;
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
        let (path, kind, links) = (Path::new(path), Some(Kind::File), Links::Inside);
        target(&root, Lookup { path, kind, links, missing }, &mut AtOnce).map(|target| target.path)
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
