//! The mounts of the inside, as the kernel tells them to the outside, and what was ordered that has
//! brought each in.

use crate::error::without_number;
use crate::mountinfo::{self, MountInfo};
use crate::namespace::Namespace;
use crate::spec::{Door, Opening};
use rustix::process::getpid;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the caller's own are bound, with what is mounted below, in a user namespace that shares
/// their namespace with it: there the kernel allows no others.
const PROC: &str = "/proc";
const SYS: &str = "/sys";

/// A mount of the inside.
#[derive(Clone, Debug)]
pub struct Shown {
    /// As the mount table has it, seen from the root of the inside.
    pub mount: MountInfo,
    /// The door by which it has come in; `None` where none was ordered for it.
    pub door: Option<String>,
}

/// A way to the tree of the outside.
pub struct Way {
    /// Where that tree is, inside.
    pub root: PathBuf,
    /// What was ordered and makes it one.
    pub door: Option<String>,
}

/// The mounts that a process has below its root, as far as they count.
///
/// # Errors
/// Why they cannot be read, for a reader.
pub fn mounts(
    pid: i32,
    doors: &[Door],
    counts: impl Fn(&MountInfo) -> bool,
) -> Result<Vec<Shown>, String> {
    let path = format!("/proc/{pid}/mountinfo");
    let table = fs::read(&path).map_err(|error| format!("{path}: {}", without_number(&error)))?;
    let ours = mountinfo::read().unwrap_or_default();
    let files = doors.iter().filter_map(|door| {
        let name = door.name.as_str();
        let of_namespace = match door.opening {
            Opening::Namespace(Namespace::Pid) => Some(Path::new(PROC)),
            Opening::Namespace(Namespace::Net) => Some(Path::new(SYS)),
            Opening::Namespace(
                Namespace::Mount
                | Namespace::Uts
                | Namespace::Ipc
                | Namespace::User
                | Namespace::Cgroup
                | Namespace::Time,
            )
            | Opening::Files { .. }
            | Opening::Stdio
            | Opening::Proc
            | Opening::Seccomp
            | Opening::Nest
            | Opening::Chroot
            | Opening::Groups
            | Opening::NewPrivs
            | Opening::Rights(_) => None,
        };
        let ordered = door.opening.files().map(|files| (name, files.source, files.target));
        ordered.or_else(|| of_namespace.map(|place| (name, place, place)))
    });
    let ordered: Vec<(&str, &Path, Vec<Part>)> =
        files.map(|(door, source, target)| (door, target, parts(source, &ours))).collect();
    let shown = |mount: MountInfo| {
        let through = ordered.iter().find(|(_, target, parts)| {
            mount.point.starts_with(target) && parts.iter().any(|part| part.shows(&mount))
        });
        Shown { door: through.map(|(door, ..)| (*door).to_owned()), mount }
    };
    Ok(mountinfo::parse(&table).into_iter().filter(counts).map(shown).collect())
}

/// A part of a file system that is shown by an ordered tree.
struct Part {
    device: u64,
    root: PathBuf,
}

impl Part {
    fn shows(&self, mount: &MountInfo) -> bool {
        let same = self.root == mount.root
            || self.of_this_process().is_some_and(|part| Some(part) == below_first(&mount.root));
        self.device == mount.device && same
    }

    /// What of this process's directory in proc it is: /proc/self is another process for whoever
    /// starts the container.
    fn of_this_process(&self) -> Option<&Path> {
        let own = Path::new("/").join(getpid().as_raw_nonzero().to_string());
        self.root.starts_with(own).then(|| below_first(&self.root)).flatten()
    }
}

/// What stands behind the first part of a path.
fn below_first(path: &Path) -> Option<&Path> {
    let mut parts = path.components();
    parts.nth(1).map(|_| parts.as_path())
}

/// What a path shows outside: the part of the file system that it is on, and every mount below.
fn parts(source: &Path, ours: &[MountInfo]) -> Vec<Part> {
    let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let own = mountinfo::under(&ours.iter().collect::<Vec<_>>(), &source).and_then(|mount| {
        let below = source.strip_prefix(&mount.point).ok()?;
        let root = if below == Path::new("") { mount.root.clone() } else { mount.root.join(below) };
        Some(Part { device: mount.device, root })
    });
    let below =
        ours.iter().filter(|mount| mount.point.starts_with(&source) && mount.point != source);
    own.into_iter()
        .chain(below.map(|mount| Part { device: mount.device, root: mount.root.clone() }))
        .collect()
}
