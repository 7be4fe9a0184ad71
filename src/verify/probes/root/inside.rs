//! What is tried to get out of a root.

use crate::error::errno_of;
use crate::sys::handle;
use crate::verify::probes::uncover::own_mount_namespace;
use crate::verify::protocol::{Crossing, Ground, Reply, Topic};
use crate::verify::wall::Wall;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, accessat, open};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootCrossing {
    /// chroot(2) into a directory, up from the working directory that stayed outside of it, chroot
    /// there, and open.
    Climb {
        #[serde(with = "crate::verify::escaped")]
        path: PathBuf,
    },
    /// open_by_handle_at(2) with each of these handles, on each of these places.
    Handle {
        #[serde(with = "crate::verify::escaped::all")]
        on: Vec<PathBuf>,
        handles: Vec<(i32, Vec<u8>)>,
    },
    /// connect(2) to a path.
    Connect {
        #[serde(with = "crate::verify::escaped")]
        path: PathBuf,
        mark: String,
    },
    /// umount2(2) of the root, setns(2) into the own mount namespace, and open.
    Beneath {
        #[serde(with = "crate::verify::escaped")]
        path: PathBuf,
    },
    /// access(2) of /proc/self/exe, for writing.
    Program,
}

impl Crossing for RootCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Root);

    fn ground(&self) -> Ground {
        match self {
            Self::Climb { .. } | Self::Beneath { .. } => Ground::Apart,
            Self::Handle { .. } | Self::Connect { .. } | Self::Program => Ground::Here,
        }
    }

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        match self {
            Self::Climb { path } => match climbed(path) {
                Ok(text) => {
                    Reply::of("open", format!("{} after climbing", path.display()), Ok((0, text)))
                }
                Err(("open", errno)) => {
                    Reply::of("open", format!("{} after climbing", path.display()), Err(errno))
                }
                Err((call, errno)) => Reply::of(call, "to climb", Err(errno)),
            },
            Self::Beneath { path } => {
                let told = beneath(path).map(|text| (0, text));
                Reply::of("umount2", "/, and setns to its own mnt", told)
            }
            Self::Handle { on, handles } => {
                let text = by_any_handle(on, handles);
                Reply::of(
                    "open_by_handle_at",
                    format!("{} places", on.len()),
                    text.map(|text| (0, text)),
                )
            }
            Self::Program => {
                let may = accessat(CWD, "/proc/self/exe", Access::WRITE_OK, AtFlags::EACCESS);
                Reply::plain("access", "/proc/self/exe, W_OK", may)
            }
            Self::Connect { path, mark } => {
                let sent = UnixStream::connect(path)
                    .and_then(|mut stream| stream.write_all(mark.as_bytes()));
                Reply::plain(
                    "connect",
                    path.to_string_lossy(),
                    sent.map_err(|error| errno_of(&error)),
                )
            }
        }
    }
}

/// What the first handle that leads somewhere leads to; else the last answer, a missing right
/// before any other.
fn by_any_handle(places: &[PathBuf], handles: &[(i32, Vec<u8>)]) -> Result<String, Errno> {
    let mut answer = Errno::STALE;
    for place in places.iter().filter(|place| place.is_dir() || place.is_file()) {
        let Ok(on) =
            open(place, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        else {
            continue;
        };
        for (kind, bytes) in handles {
            match handle::open(&on, *kind, bytes) {
                Ok(file) => return content(file.into()).map_err(|error| errno_of(&error)),
                Err(Errno::PERM) => answer = Errno::PERM,
                Err(_) => {}
            }
        }
    }
    Err(answer)
}

fn content(file: fs::File) -> std::io::Result<String> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text)?;
    Ok(text)
}

fn climbed(path: &Path) -> Result<String, (&'static str, Errno)> {
    // Above every folder: from below the one that becomes the root nothing is climbed.
    rustix::process::chdir("/").map_err(|errno| ("chdir", errno))?;
    let into = |result, folder: PathBuf| {
        if result == Ok(()) { result } else { rustix::process::chroot(&folder) }
    };
    folders().into_iter().fold(Err(Errno::NOTEMPTY), into).map_err(|errno| ("chroot", errno))?;
    for _ in 0..64 {
        rustix::process::chdir("..").map_err(|errno| ("chdir", errno))?;
    }
    rustix::process::chroot(".").map_err(|errno| ("chroot", errno))?;
    fs::File::open(path).and_then(content).map_err(|error| ("open", errno_of(&error)))
}

/// What is below the root mount: a mount namespace is entered at its own root, whatever the root of
/// who enters it was.
fn beneath(path: &Path) -> Result<String, Errno> {
    /// So many roots lie on each other at the most.
    const DEEPEST: usize = 8;
    own_mount_namespace()?;
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    for _ in 0..DEEPEST {
        move_into_thread_name_spaces(own.as_fd(), ThreadNameSpaceType::MOUNT)?;
        match fs::File::open(path).and_then(content) {
            Ok(text) => return Ok(text),
            Err(_) => unmount("/", UnmountFlags::DETACH)?,
        }
    }
    Err(Errno::NOENT)
}

fn folders() -> Vec<PathBuf> {
    let root = open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let entries = root.and_then(|root| Dir::read_from(&root)).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type() == FileType::Directory);
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "." && name != "..").map(|name| Path::new("/").join(name)).collect()
}
