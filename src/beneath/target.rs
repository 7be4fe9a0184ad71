//! The walk to a mount target: one component after another, each to a descriptor.

use super::component::{Found, component, wrong_with};
use super::lookup::{Kind, Links, Lookup, Mounted, Surroundings, Target};
use crate::error::{SysError, printable};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// As many links are followed as the kernel follows, path_resolution(7).
const MOST_LINKS: usize = 40;

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
    target_of(Some(root.as_fd()), lookup, around)
}

/// The same; without a root nothing is there but what will be mounted.
///
/// # Errors
/// Those of [`target()`].
pub(super) fn target_of(
    root: Option<BorrowedFd<'_>>,
    lookup: Lookup<'_>,
    around: &mut dyn Surroundings,
) -> Result<Target, SysError> {
    let kind = lookup.kind;
    let mut walk = Walk::new(root, lookup.links)?;
    let mut rest = parts(lookup.path);
    while !rest.is_empty() {
        walk.go(&mut rest, lookup, around)?;
    }
    let Walk { mut way, path, .. } = walk;
    let Some(file) = way.pop().flatten() else {
        return Err(SysError::new(Errno::NOENT, wrong(&path, "is still to be made")));
    };
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
    Ok(Target { file, path, parent: way.pop().flatten() })
}

/// Where a path is inside behind every link, as far as it is there; the rest of it as it is spelled.
///
/// # Errors
/// EMFILE.
pub(super) fn place(
    root: Option<BorrowedFd<'_>>,
    lookup: Lookup<'_>,
    around: &mut dyn Surroundings,
) -> Result<PathBuf, SysError> {
    let mut walk = Walk::new(root, lookup.links)?;
    let mut rest = parts(lookup.path);
    while !rest.is_empty() {
        if walk.go(&mut rest, lookup, around).is_err() {
            let spelled = |mut path: PathBuf, part: OsString| {
                if part == ".." {
                    path.pop();
                } else {
                    path.push(part);
                }
                path
            };
            return Ok(rest.into_iter().fold(walk.path, spelled));
        }
    }
    Ok(walk.path)
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
    /// The directories from the root to where it is; `None` for one that is not there yet.
    way: Vec<Option<OwnedFd>>,
    /// The same as a path inside.
    path: PathBuf,
    /// How many links.
    followed: usize,
    links: Links,
}

impl Walk {
    fn new(root: Option<BorrowedFd<'_>>, links: Links) -> Result<Self, Errno> {
        let top = root.map(|root| fcntl_dupfd_cloexec(root, 0)).transpose()?;
        Ok(Self { way: vec![top], path: PathBuf::from("/"), followed: 0, links })
    }

    /// Goes one component on. What is left then begins behind it; on an error, with it.
    fn go(
        &mut self,
        rest: &mut VecDeque<OsString>,
        lookup: Lookup<'_>,
        around: &mut dyn Surroundings,
    ) -> Result<(), SysError> {
        let Some(name) = rest.front().cloned() else { return Ok(()) };
        let kind = if rest.len() == 1 { lookup.kind } else { Some(Kind::Directory) };
        let mut onward = VecDeque::new();
        if name == ".." {
            self.up();
        } else {
            self.keep_away_from_the_kernels(&name)?;
            let next = self.path.join(&name);
            let mounted = around.mounted(&next).map_err(|errno| self.failed(errno, &name))?;
            let found = match (mounted, self.here()) {
                (Mounted::This(mount), _) => Ok(Found::File(mount)),
                (Mounted::Empty, _) => Ok(Found::Empty),
                (Mounted::Nothing, Some(dir)) => {
                    component(dir, Path::new(&name), kind, lookup.missing, around)
                }
                (Mounted::Hidden, _) | (Mounted::Nothing, None) => Err(Errno::NOENT),
            };
            match found {
                Ok(Found::File(file)) => self.down(Some(file), &name),
                Ok(Found::Empty) => self.down(None, &name),
                Err(Errno::NOENT) if around.will_be_made(&next) => self.down(None, &name),
                Ok(Found::Link(to)) if self.links != Links::Refused => {
                    onward = self.follow(&name, &to)?;
                }
                Ok(Found::Link(_)) => return Err(self.failed(Errno::LOOP, &name)),
                Err(errno) => return Err(self.failed(errno, &name)),
            }
        }
        rest.pop_front();
        onward.into_iter().rev().for_each(|part| rest.push_front(part));
        Ok(())
    }

    fn here(&self) -> Option<&OwnedFd> {
        self.way.last()?.as_ref()
    }

    fn up(&mut self) {
        if self.way.len() > 1 {
            self.way.pop();
            self.path.pop();
        }
    }

    fn down(&mut self, file: Option<OwnedFd>, name: &OsStr) {
        self.way.push(file);
        self.path.push(name);
    }

    /// A target that is ordered there by its own name follows no link at all.
    fn keep_away_from_the_kernels(&self, name: &OsStr) -> Result<(), SysError> {
        let path = self.path.join(name);
        let kernels = ["/dev", "/proc", "/sys"].into_iter().any(|own| path == Path::new(own));
        if self.links != Links::Inside || !kernels {
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
        // Not about the path.
        if matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOSYS) {
            return errno.into();
        }
        let path = self.path.join(name);
        let what = self.here().map_or("is missing", |here| wrong_with(errno, here, name));
        SysError::new(errno, wrong(&path, what))
    }
}

fn wrong(path: &Path, what: &str) -> String {
    format!("{} {what}", printable(&path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::{AtOnce, Missing};
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
