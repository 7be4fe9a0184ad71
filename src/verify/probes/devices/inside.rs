//! What is tried to open a device, or to make one.

use super::nodes::is_opened;
use crate::mounts;
use crate::verify::protocol::{Crossing, Ground, Reply, Topic};
use crate::verify::wall::Wall;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, mknodat, open, openat, statat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DevicesCrossing {
    /// open(2) of the nodes at and below these places.
    There {
        #[serde(with = "crate::verify::escaped::all")]
        places: Vec<PathBuf>,
    },
    /// mknod(2) and open(2), in a tmpfs of its own and where there are folders.
    Make { devices: Vec<u64>, name: String },
    /// A new devtmpfs, and open(2) of its nodes.
    Mount,
    /// A mount of a disk, by a node in a tmpfs or a devtmpfs of its own.
    Disk { kind: String, device: u64, read_only: bool },
}

/// Where a node may be made and opened.
const FOLDERS: [&str; 6] = ["/dev", "/tmp", "/run", "/var/tmp", "/mnt", "/"];

impl Crossing for DevicesCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Devices);

    fn ground(&self) -> Ground {
        match self {
            Self::Disk { .. } => Ground::Apart,
            Self::There { .. } | Self::Make { .. } | Self::Mount => Ground::Here,
        }
    }

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        match self {
            Self::There { places } => {
                let mut answer = Errno::NOENT;
                for place in places {
                    match open_below(place) {
                        Ok(file) => {
                            return Reply::holding("open", place.to_string_lossy(), Ok(file));
                        }
                        Err(Errno::NOENT) => {}
                        Err(errno) => answer = errno,
                    }
                }
                let arg = match places.as_slice() {
                    [one] => format!("nodes in {}", one.display()),
                    several => format!("nodes at {} places", several.len()),
                };
                Reply::plain("open", arg, Err(answer))
            }
            Self::Disk { kind, device, read_only } => {
                Reply::holding("mount", kind, mounted_disk(kind, *device, *read_only))
            }
            Self::Make { devices, name } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let theirs = FOLDERS.iter().map(|folder| open(*folder, flags, Mode::empty()));
                let folders: Vec<_> = std::iter::once(tmpfs()).chain(theirs).collect();
                let all = devices.iter().flat_map(|device| {
                    folders
                        .iter()
                        .map(|folder| make(folder.as_ref().map_err(|e| *e)?, name, *device))
                });
                let mut answer = Errno::NOENT;
                let made = all.filter_map(|made| made.map_err(|errno| answer = errno).ok()).next();
                Reply::holding("mknod", format!("{} disks", devices.len()), made.ok_or(answer))
            }
            Self::Mount => {
                let opened = mounts::new(c"devtmpfs", &[], mounts::Attributes::NONE)
                    .map_err(|error| error.errno)
                    .and_then(|nodes| {
                        let nodes = openat(&nodes, ".", DIRECTORY, Mode::empty())?;
                        open_in(nodes, 0)
                    });
                Reply::holding("mount", "devtmpfs", opened)
            }
        }
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The node at a place, or the first below it that opens.
fn open_below(place: &Path) -> Result<OwnedFd, Errno> {
    let stat = rustix::fs::lstat(place)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => open_in(open(place, DIRECTORY, Mode::empty())?, 0),
        _ if is_opened(&stat) => open(place, READ, Mode::empty()),
        _ => Err(Errno::NOENT),
    }
}

/// The first node in a folder and below it, on one file system and not too deep, that opens.
fn open_in(folder: OwnedFd, depth: usize) -> Result<OwnedFd, Errno> {
    const DEEPEST: usize = 4;
    const MOST: usize = 4096;
    let device = rustix::fs::fstat(&folder)?.st_dev;
    let mut answer = Errno::NOENT;
    let mut below = Vec::new();
    for entry in Dir::read_from(&folder)?.flatten().take(MOST) {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if is_opened(&stat) {
            match openat(&folder, name, READ | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(file) => return Ok(file),
                Err(errno) => answer = errno,
            }
        } else if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && stat.st_dev == device
            && depth < DEEPEST
        {
            below.push(name.to_owned());
        }
    }
    for name in below {
        let Ok(folder) = openat(&folder, &name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) else {
            continue;
        };
        match open_in(folder, depth + 1) {
            Err(Errno::NOENT) => {}
            Err(errno) => answer = errno,
            found => return found,
        }
    }
    Err(answer)
}

/// A tmpfs of its own that does not forbid nodes, mounted nowhere.
fn tmpfs() -> Result<OwnedFd, Errno> {
    mounts::new(c"tmpfs", &[], mounts::Attributes::NONE).map_err(|error| error.errno)
}

fn make(folder: impl AsFd, name: &str, device: u64) -> Result<OwnedFd, Errno> {
    mknodat(&folder, name, FileType::BlockDevice, Mode::from_raw_mode(0o600), device)?;
    let opened = openat(&folder, name, READ, Mode::empty());
    let _ = rustix::fs::unlinkat(&folder, name, AtFlags::empty());
    opened
}

/// Mounts a disk by a node of its own making, or by that of a devtmpfs, in no place. The root of
/// it, named.
fn mounted_disk(kind: &str, device: u64, read_only: bool) -> Result<OwnedFd, Errno> {
    // By a path that begins at the working directory: so nothing has to be mounted anywhere.
    let made = tmpfs().and_then(|own| {
        mknodat(&own, "disk", FileType::BlockDevice, Mode::from_raw_mode(0o600), device)?;
        rustix::process::fchdir(&own)?;
        Ok(PathBuf::from("disk"))
    });
    let node = made.or_else(|_| {
        let nodes = mounts::new(c"devtmpfs", &[], mounts::Attributes::NONE);
        rustix::process::fchdir(nodes.map_err(|error| error.errno)?)?;
        node_of(Path::new("."), device, 0).ok_or(Errno::NODEV)
    })?;
    let kind = CString::new(kind).map_err(|_| Errno::INVAL)?;
    let context = fsopen(&kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", node)?;
    if read_only {
        fsconfig_set_flag(&context, "ro")?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// The node of a disk in a folder, and not too deep below it.
fn node_of(folder: &Path, device: u64, depth: usize) -> Option<PathBuf> {
    const DEEPEST: usize = 2;
    let entries = fs::read_dir(folder).ok()?.flatten();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let is_it = |path: &&PathBuf| {
        rustix::fs::lstat(*path).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice && stat.st_rdev == device
        })
    };
    let here = paths.iter().find(is_it).cloned();
    here.or_else(|| {
        let folders = paths.iter().filter(|path| depth < DEEPEST && path.is_dir());
        folders.filter(|path| !path.is_symlink()).find_map(|path| node_of(path, device, depth + 1))
    })
}
