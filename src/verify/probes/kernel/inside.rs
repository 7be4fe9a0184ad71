//! What is tried to set the kernel, or to hear it.

use crate::mounts;
use crate::sys::rights;
use crate::verify::probes::uncover::own_mount_namespace;
use crate::verify::protocol::{Crossing, Ground, Reply, Topic};
use crate::verify::wall::Wall;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How much of the log is read, in bytes: more than outside, since more may have come since.
const LOG_INSIDE: usize = 8192;

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelCrossing {
    /// open(2) for writing.
    Write {
        #[serde(with = "crate::verify::escaped::all")]
        paths: Vec<PathBuf>,
    },
    /// The same of every file at and below these points, which show these parts of a file system.
    WriteBelow {
        #[serde(with = "crate::verify::escaped::all")]
        points: Vec<PathBuf>,
        #[serde(with = "crate::verify::escaped::all")]
        roots: Vec<PathBuf>,
    },
    /// syslog(2), SYSLOG_ACTION_READ_ALL.
    Log,
    /// The same below a new proc, and below these with the mounts over them taken away.
    Uncover {
        #[serde(with = "crate::verify::escaped::all")]
        places: Vec<PathBuf>,
        files: Vec<PathBuf>,
    },
}

impl Crossing for KernelCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Kernel);

    fn ground(&self) -> Ground {
        match self {
            Self::Uncover { .. } => Ground::Apart,
            Self::Write { .. } | Self::WriteBelow { .. } | Self::Log => Ground::Here,
        }
    }

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        match self {
            Self::Write { paths } => {
                told(first_opened(paths.iter().cloned(), |path| open_to_write(CWD, path)))
            }
            Self::WriteBelow { points, roots } => {
                let below = points.iter().zip(roots).flat_map(|(point, root)| {
                    let mut files = Vec::new();
                    walk(point, root, 0, &mut files);
                    files
                });
                told(first_opened(below, |path| open_to_write(CWD, path)))
            }
            Self::Log => {
                let text = rights::kernel_log(LOG_INSIDE).map(|text| (0, text));
                Reply::of("syslog", "SYSLOG_ACTION_READ_ALL", text)
            }
            Self::Uncover { places, files } => {
                let fresh = mounts::new(c"proc", &[], mounts::Attributes::NONE)
                    .map_err(|error| error.errno)
                    .and_then(|proc| {
                        first_opened(files.iter().cloned(), |file| open_to_write(&proc, file))
                    });
                told(fresh.or_else(|errno| {
                    if places.is_empty() { Err(errno) } else { unmounted(places, files) }
                }))
            }
        }
    }
}

/// The files at and below a point that somebody may write, but for those that each namespace has of
/// its own: parameters of the network and of System V IPC, and the host name.
fn walk(point: &Path, root: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    const DEEPEST: usize = 5;
    const MOST: usize = 512;
    const OWN: [&str; 8] = [
        "/sys/net",
        "/sys/user",
        "/sys/fs/mqueue",
        "/sys/kernel/shm",
        "/sys/kernel/msg",
        "/sys/kernel/sem",
        "/sys/kernel/hostname",
        "/sys/kernel/domainname",
    ];
    let own = OWN.iter().any(|own| root.to_string_lossy().starts_with(own));
    let Ok(stat) = fs::symlink_metadata(point) else { return };
    if own || files.len() >= MOST || depth > DEEPEST || stat.is_symlink() {
        return;
    }
    if stat.is_file() && stat.permissions().mode() & 0o222 != 0 {
        files.push(point.to_owned());
    }
    for entry in fs::read_dir(point).into_iter().flatten().flatten().filter(|_| stat.is_dir()) {
        let name = entry.file_name();
        walk(&point.join(&name), &root.join(&name), depth + 1, files);
    }
}

/// Takes away what is mounted over these files and above, in a mount namespace of its own.
fn unmounted(places: &[PathBuf], files: &[PathBuf]) -> Result<(PathBuf, OwnedFd), Errno> {
    own_mount_namespace()?;
    let paths: Vec<PathBuf> = places
        .iter()
        .flat_map(|place| files.iter().map(|file| place.join(file)).collect::<Vec<_>>())
        .collect();
    let mut answer = Errno::PERM;
    for path in &paths {
        for above in path.ancestors().take_while(|above| !places.iter().any(|one| one == above)) {
            // Masks lie above each other.
            while unmount(above, UnmountFlags::DETACH).is_ok() {}
        }
        match open_to_write(CWD, path) {
            Ok(file) => return Ok((path.clone(), file)),
            Err(errno) => answer = errno,
        }
    }
    Err(answer)
}

fn open_to_write(dir: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(dir, path, flags, Mode::empty())
}

/// The first of these that opens; else why the last of those that are there does not.
fn first_opened(
    mut paths: impl Iterator<Item = PathBuf>,
    open: impl Fn(&Path) -> Result<OwnedFd, Errno>,
) -> Result<(PathBuf, OwnedFd), Errno> {
    let mut answer = Errno::NOENT;
    paths
        .find_map(|path| match open(&path) {
            Ok(file) => Some((path, file)),
            Err(Errno::NOENT) => None,
            Err(errno) => {
                answer = errno;
                None
            }
        })
        .ok_or(answer)
}

/// What was opened, by its path; it stays open.
fn told(opened: Result<(PathBuf, OwnedFd), Errno>) -> Reply {
    match opened {
        Ok((path, file)) => Reply::holding("open", path.to_string_lossy(), Ok(file)),
        Err(errno) => Reply::plain("open", "for writing", Err(errno)),
    }
}
