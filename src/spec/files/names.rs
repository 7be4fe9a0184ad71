//! What of the host's files is seen inside, and a hidden one's other names.

use super::{FileOptions, FileOrder, Hide};
use crate::beneath::{self, AtOnce, Links, Lookup, Missing};
use crate::error::{Failure, errno_of};
use crate::mountinfo::{self, MountInfo};
use crate::namespace::Switch;
use crate::spec::{Rootfs, Spec, Writing, shown};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A tree of the host's that is seen inside.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// On the host, without symlinks.
    pub host: &'a Path,
    /// Inside.
    pub inside: &'a Path,
    /// Whether what is written inside arrives on the host.
    pub writable: Switch,
    /// Whether it is the directory itself, and not an overlay over it.
    direct: Switch,
}

/// A hidden path of the host's.
struct Hidden<'a> {
    seen: Seen<'a>,
    /// On the host, without symlinks.
    host: PathBuf,
    stat: Metadata,
}

impl FileOptions {
    /// The trees that are seen, the root first where it is a directory.
    fn seen<'a>(&'a self, rootfs: &'a Rootfs, writing: Writing) -> Vec<Seen<'a>> {
        let root = match rootfs {
            Rootfs::Directory(directory) => Some(Seen {
                host: directory,
                inside: Path::new("/"),
                writable: yes_if(writing == Writing::Allowed),
                direct: yes_if(writing != Writing::Ephemeral),
            }),
            Rootfs::Builtin | Rootfs::Archive(_) | Rootfs::Stored(_) => None,
        };
        let binds = self.binds.iter().map(|bind| Seen {
            host: &bind.source,
            inside: &bind.target,
            writable: bind.writable,
            direct: Switch::Yes,
        });
        let overlays = self.overlays.iter().map(|overlay| Seen {
            host: &overlay.lower,
            inside: &overlay.target,
            writable: Switch::No,
            direct: Switch::No,
        });
        root.into_iter().chain(binds).chain(overlays).collect()
    }

    /// The deepest order that a path inside lies in or is.
    fn over(&self, path: &Path) -> Option<FileOrder<'_>> {
        let mut all = self.parents_first().into_iter();
        all.rfind(|order| path.starts_with(order.target()))
    }

    /// What a path inside shows of the host, if it is there.
    fn hidden<'a>(&self, path: &Path, seen: &[Seen<'a>]) -> Option<Hidden<'a>> {
        let above = self.over(path.parent()?).map_or(Path::new("/"), FileOrder::target);
        let seen = *seen.iter().find(|seen| seen.inside == above)?;
        let below = path.strip_prefix(above).ok()?;
        let host = if above == Path::new("/") {
            // A link leads where it leads from inside.
            let root = File::open(seen.host).ok()?;
            let (links, missing) = (Links::Inside, Missing::Refused);
            let sought = Lookup { path: below, kind: None, links, missing };
            let found = beneath::target(&root, sought, &mut AtOnce).ok()?;
            seen.host.join(found.path.strip_prefix("/").ok()?)
        } else {
            std::fs::canonicalize(seen.host.join(below)).ok()?
        };
        let stat = std::fs::symlink_metadata(&host).ok()?;
        host.starts_with(seen.host).then_some(Hidden { seen, host, stat })
    }

    /// The same with every hidden path hidden under its other names, too: those that a second bind
    /// gives it, and those that a mount of the host's gives it.
    ///
    /// # Errors
    /// A path that is hidden and ordered at once.
    pub(in crate::spec) fn hidden_everywhere(
        mut self,
        rootfs: &Rootfs,
        writing: Writing,
    ) -> Result<Self, Failure> {
        if self.hides.is_empty() {
            return Ok(self);
        }
        let mounts = mountinfo::read().map_err(|error| {
            Failure::new("cannot read /proc/self/mountinfo").errno(errno_of(&error))
        })?;
        let mut further = Vec::new();
        for hide in &self.hides {
            let seen = self.seen(rootfs, writing);
            let Some(hidden) = self.hidden(&hide.path, &seen) else { continue };
            for host in aliases(&hidden.host, &mounts) {
                for tree in &seen {
                    further.extend(self.other_name(hide, &host, tree)?);
                }
            }
        }
        for path in further {
            if self.hides.iter().all(|hide| hide.path != path) {
                self.hides.push(Hide { path, required: Switch::Yes });
            }
        }
        // As they are said, so that the same words make the same.
        self.hides.sort_by_key(|hide| hide.required == Switch::No);
        Ok(self)
    }

    /// Where a tree shows a hidden path of the host under another name.
    fn other_name(
        &self,
        hide: &Hide,
        host: &Path,
        tree: &Seen<'_>,
    ) -> Result<Option<PathBuf>, Failure> {
        let shows_itself = tree.host.starts_with(host);
        if shows_itself {
            if tree.inside.starts_with(&hide.path) {
                return Ok(None);
            }
            return Err(Failure::new(format!(
                "{} is hidden, and ordered to be seen on {}",
                shown(&hide.path),
                shown(tree.inside)
            ))
            .why(format!("both are {} of the host", shown(tree.host)))
            .remedy(format!("a target below {} to show it there", shown(&hide.path))));
        }
        let Ok(below) = host.strip_prefix(tree.host) else { return Ok(None) };
        let inside = tree.inside.join(below);
        let is_of_the_tree =
            self.over(&inside).map_or(Path::new("/"), FileOrder::target) == tree.inside;
        Ok(Some(inside).filter(|inside| is_of_the_tree && *inside != hide.path))
    }
}

impl Spec {
    /// What is to be said of hidden files that the host can reach by other ways, or whose directory
    /// is not what it was.
    pub(in crate::spec) fn warnings_of_hides(&self) -> Vec<String> {
        let seen = self.files.seen(&self.rootfs, self.writing);
        let hides = self.files.hides.iter();
        let files = hides.filter_map(|hide| Some((hide, self.files.hidden(&hide.path, &seen)?)));
        let files = files.filter(|(_, hidden)| !hidden.stat.is_dir());
        let said = files.flat_map(|(hide, hidden)| {
            let (path, parent) = (shown(&hide.path), hide.path.parent().map(shown));
            let names = hidden.stat.nlink();
            let linked = (names > 1).then(|| {
                format!("{path} is hidden, and its file has {names} names: another may be seen")
            });
            let is_rebuilt =
                hidden.seen.writable == Switch::Yes && hidden.seen.direct == Switch::Yes;
            let rebuilt = parent.filter(|_| is_rebuilt).map(|parent| {
                format!(
                    "to hide {path}, {parent} shows the names that it has at the start: none can \
                     be made, renamed or removed in it"
                )
            });
            linked.into_iter().chain(rebuilt)
        });
        let mut said: Vec<String> = said.collect();
        said.dedup();
        said
    }
}

/// Every path of the host that shows what this one shows: itself, and through other mounts of its
/// file system.
fn aliases(path: &Path, mounts: &[MountInfo]) -> Vec<PathBuf> {
    let all: Vec<&MountInfo> = mounts.iter().collect();
    let within = mountinfo::under(&all, path).and_then(|mount| {
        let below = path.strip_prefix(&mount.point).ok()?;
        Some((mount.device, mount.root.join(below)))
    });
    let others = within.into_iter().flat_map(|(device, within)| {
        let of_it = mounts.iter().filter(move |mount| mount.device == device);
        of_it.filter_map(move |mount| {
            let below = within.strip_prefix(&mount.root).ok()?;
            Some(if below.as_os_str().is_empty() {
                mount.point.clone()
            } else {
                mount.point.join(below)
            })
        })
    });
    let is_same = |other: &PathBuf| match (other.symlink_metadata(), path.symlink_metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    };
    let mut found = vec![path.to_owned()];
    found.extend(others.filter(is_same));
    found.sort_unstable();
    found.dedup();
    found
}

const fn yes_if(condition: bool) -> Switch {
    if condition { Switch::Yes } else { Switch::No }
}
