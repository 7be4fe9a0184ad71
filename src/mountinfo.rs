//! The mounts of a mount namespace, proc_pid_mountinfo(5).

use crate::error::{Failure, errno_of};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A line of /proc/PID/mountinfo, proc_pid_mountinfo(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountInfo {
    /// Its number, which is used anew after it is gone.
    pub id: u64,
    /// The number of the mount that it is mounted on.
    pub parent: u64,
    /// The device number of its file system, as stat(2) tells it.
    pub device: u64,
    /// The directory or file of its file system that it shows at its mount point.
    pub root: PathBuf,
    /// The mount point, seen from the root of the reader.
    pub point: PathBuf,
    /// The mount's own options.
    pub attributes: String,
    /// The peer groups that mounts travel to or come from: `shared:N`, `master:N`,
    /// `propagate_from:N`.
    pub peers: Vec<u64>,
    /// The file system's type.
    pub kind: String,
    /// What mount(2) was given as its source.
    pub source: OsString,
    /// The file system's own options.
    pub options: String,
}

/// The mounts of this process.
///
/// # Errors
/// No /proc.
pub fn read() -> io::Result<Vec<MountInfo>> {
    fs::read("/proc/self/mountinfo").map(|table| parse(&table))
}

/// The same, for a start that cannot go on without them.
///
/// # Errors
/// No /proc.
pub fn here() -> Result<Vec<MountInfo>, Failure> {
    read().map_err(|error| Failure::new("cannot read /proc/self/mountinfo").errno(errno_of(&error)))
}

/// The mount that a path is on, found as the kernel finds it: from the root on, to whatever is
/// mounted on the way, and at one place to the uppermost. What lies below another is passed by,
/// with all that is mounted on it. `None` below a root that is no mount of its own.
pub fn under<'a>(mounts: &[&'a MountInfo], path: &Path) -> Option<&'a MountInfo> {
    let is_known = |id: u64| mounts.iter().any(|mount| mount.id == id);
    let next = |on: Option<&MountInfo>| {
        let on_it = mounts.iter().filter(|mount| match on {
            Some(on) => mount.parent == on.id && mount.id != on.id,
            None => mount.parent == mount.id || !is_known(mount.parent),
        });
        let on_the_way = on_it.filter(|mount| path.starts_with(&mount.point));
        on_the_way.min_by_key(|mount| mount.point.components().count()).copied()
    };
    let mut found = next(None)?;
    while let Some(mount) = next(Some(found)) {
        found = mount;
    }
    Some(found)
}

/// Every path of the host that shows what this one shows, or a part of it: itself, and what is
/// mounted of its file system elsewhere.
pub fn aliases(path: &Path, mounts: &[MountInfo]) -> Vec<PathBuf> {
    let all: Vec<&MountInfo> = mounts.iter().collect();
    let within = under(&all, path).and_then(|mount| {
        let below = path.strip_prefix(&mount.point).ok()?;
        Some((mount.device, joined(&mount.root, below)))
    });
    let others = within.into_iter().flat_map(|(device, within)| {
        let of_it = mounts.iter().filter(move |mount| mount.device == device);
        of_it.filter_map(move |mount| {
            let whole = within.strip_prefix(&mount.root).ok();
            let whole = whole.map(|below| joined(&mount.point, below));
            let part = || mount.root.starts_with(&within).then(|| mount.point.clone());
            whole.or_else(part).filter(|other| is_seen(other, mount))
        })
    });
    let mut found = vec![path.to_owned()];
    found.extend(others);
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether a path shows this mount, and none that lies over it.
fn is_seen(path: &Path, mount: &MountInfo) -> bool {
    fs::symlink_metadata(path).is_ok_and(|stat| stat.dev() == mount.device)
}

/// A path with nothing behind it stays without a slash.
pub fn joined(path: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { path.to_owned() } else { path.join(below) }
}

/// The mounts in a table; a line that is none is passed over.
pub fn parse(table: &[u8]) -> Vec<MountInfo> {
    table.split(|&byte| byte == b'\n').filter_map(mount).collect()
}

fn mount(line: &[u8]) -> Option<MountInfo> {
    let mut fields = line.split(|&byte| byte == b' ');
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let id = text(fields.next()?).parse().ok()?;
    let parent = text(fields.next()?).parse().ok()?;
    let device = text(fields.next()?);
    let (major, minor) = device.split_once(':')?;
    let device = rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?);
    let (root, point) = (path(fields.next()?), path(fields.next()?));
    let attributes = text(fields.next()?);
    // Behind them stand optional fields, which end with a hyphen.
    let optional = fields.by_ref().take_while(|&field| field != b"-");
    let peers = optional.filter_map(|field| text(field).split_once(':')?.1.parse().ok()).collect();
    let (kind, source, options) =
        (text(fields.next()?), OsString::from_vec(unescaped(fields.next()?)), text(fields.next()?));
    Some(MountInfo { id, parent, device, root, point, attributes, peers, kind, source, options })
}

fn path(field: &[u8]) -> PathBuf {
    OsString::from_vec(unescaped(field)).into()
}

/// A field as it is: space, tab, newline and backslash are written in octal.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\')
            .then(|| tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_is_undone_and_nothing_else() {
        assert_eq!(unescaped(br"/a\040b\134"), b"/a b\\");
        assert_eq!(unescaped(br"/a\9"), br"/a\9");
    }

    #[test]
    fn a_line_is_read_with_and_without_optional_fields() {
        let table = b"36 35 98:0 /sub /a\\040b rw,noatime master:1 shared:7 - ext3 /dev/root \
            rw,errors=continue\n41 31 0:38 / /c rw - cgroup2 none rw\nx\n";
        let mounts = parse(table);
        assert_eq!(mounts.len(), 2);
        assert_eq!(
            (mounts[0].id, mounts[0].root.as_path(), mounts[0].point.as_path()),
            (36, "/sub".as_ref(), "/a b".as_ref())
        );
        assert_eq!(
            (mounts[0].attributes.as_str(), mounts[1].attributes.as_str()),
            ("rw,noatime", "rw")
        );
        assert_eq!(
            (mounts[0].kind.as_str(), mounts[0].source.to_str(), mounts[0].options.as_str()),
            ("ext3", Some("/dev/root"), "rw,errors=continue")
        );
        assert_eq!(
            (mounts[0].peers.as_slice(), mounts[1].peers.as_slice()),
            ([1, 7].as_slice(), [].as_slice())
        );
        assert_eq!((mounts[1].id, mounts[1].parent, mounts[1].kind.as_str()), (41, 31, "cgroup2"));
    }

    #[test]
    fn a_path_is_on_the_mount_that_is_met_on_the_way() {
        let table = b"5 1 0:5 / / rw - ext4 a rw\n9 7 0:9 / /p rw - proc p rw\n7 5 0:7 / /p rw - \
            tmpfs t rw\n6 7 0:6 / /p/s rw - tmpfs covered rw\n8 9 0:8 / /p/q rw - tmpfs t rw\n";
        let mounts = parse(table);
        let mounts: Vec<&MountInfo> = mounts.iter().collect();
        let id = |path: &str| under(&mounts, Path::new(path)).map(|mount| mount.id);
        assert_eq!(
            (id("/p/1"), id("/p"), id("/px"), id("/")),
            (Some(9), Some(9), Some(5), Some(5))
        );
        assert_eq!((id("/p/s/x"), id("/p/q/x")), (Some(9), Some(8)));
        assert_eq!(under(&mounts[1..2], Path::new("/elsewhere")), None);
    }
}
