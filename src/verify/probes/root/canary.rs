//! The files outside.

use crate::error::{errno_of, errno_text, without_number};
use crate::sys::handle;
use crate::verify::outside::Canary;
use crate::verify::stage::{Scene, Stage};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, mount};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Files outside that hold the secret.
pub struct RootCanary {
    /// One with a name, which everybody may read.
    pub file: PathBuf,
    /// One without on each file system of the host that is shown inside on purpose; they are there
    /// as long as they are open.
    _nameless: Vec<OwnedFd>,
    /// Where they are.
    pub(super) folders: Vec<PathBuf>,
    /// Their handles.
    pub(super) handles: Result<Vec<(i32, Vec<u8>)>, String>,
    /// A socket beside the first.
    pub(super) socket: UnixListener,
    /// The name of a file in the stage's own /dev/shm, or why there is none.
    pub(super) shared_memory: Result<String, String>,
}

impl Canary for RootCanary {
    fn plant(stage: &Stage, shown: &[PathBuf]) -> Result<Self, String> {
        let planted = || -> std::io::Result<Self> {
            let file = stage.directory.join("secret");
            write(&fs::File::create(&file)?.into(), &stage.secret, 0o644)?;
            let path = stage.directory.join("socket");
            let socket = UnixListener::bind(&path)?;
            socket.set_nonblocking(true)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
            let folders = shown.iter().filter_map(|path| {
                if path.is_dir() { Some(path.as_path()) } else { path.parent() }
            });
            let folders = folders.chain([stage.directory.as_path()]);
            let (folders, nameless): (Vec<PathBuf>, Vec<OwnedFd>) = folders
                .filter_map(|folder| Some((folder.to_owned(), nameless(folder, &stage.secret)?)))
                .unzip();
            let handles: Vec<(i32, Vec<u8>)> =
                nameless.iter().filter_map(|fd| handle::name(fd).ok()).collect();
            let handles = if handles.is_empty() {
                Err("no file system here has handles".to_owned())
            } else {
                Ok(handles)
            };
            let shared_memory = plant_shared_memory(stage);
            Ok(Self { file, folders, _nameless: nameless, handles, socket, shared_memory })
        };
        planted().map_err(|error| without_number(&error))
    }
}

/// In a /dev/shm of the stage's: the host's is left alone.
fn plant_shared_memory(stage: &Stage) -> Result<String, String> {
    let folder = Path::new(SHARED_MEMORY);
    if stage.scene == Scene::Host {
        return Err("the real host's /dev/shm is left alone".into());
    }
    // The stage's own directory may be there: then it is not covered.
    if let Ok(below) = stage.directory.strip_prefix(folder) {
        return Ok(format!("{}/secret", below.display()));
    }
    let name = format!("rustic.{}", stage.nonce);
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    // Other launchers have locks there.
    mount("rustic", folder, "tmpfs", flags, Some(c"mode=1777,size=16m"))
        .and_then(|()| {
            let file = fs::File::create(folder.join(&name)).map_err(|error| errno_of(&error))?;
            write(&file.into(), &stage.secret, 0o644).map_err(|error| errno_of(&error))
        })
        .map(|()| name)
        .map_err(errno_text)
}

/// Where shm_open(3) and sem_open(3) have their files, shm_overview(7).
pub const SHARED_MEMORY: &str = "/dev/shm";

/// O_TMPFILE: nothing of it is left, whoever is killed.
fn nameless(directory: &Path, secret: &str) -> Option<OwnedFd> {
    let fd = open(
        directory,
        OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o644),
    )
    .ok()?;
    write(&fd, secret, 0o644).ok()?;
    Some(fd)
}

fn write(fd: &OwnedFd, secret: &str, mode: u32) -> std::io::Result<()> {
    rustix::io::write(fd, secret.as_bytes())?;
    Ok(rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))?)
}
