//! The root: a file of the host that nothing inside shows, and the ways to it that a change of root
//! leaves open.

use super::right::none_to_keep;
use super::{Direction, Effect, Outside, Probe, Try, heard, planted};
use crate::error::{errno_of, without_number};
use crate::mountinfo;
use crate::namespace::Namespace;
use crate::sys::handle;
use crate::verify::nsenter::{Seen, look};
use crate::verify::protocol::{self, Reply};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags, open};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The probes. Descriptors are another wall's, [`super::fds`].
pub const PROBES: [Probe; 5] = [
    Probe {
        id: "RV-ROOT-01",
        wall: Wall::Root,
        title: "open a file of the host by its path",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: path,
    },
    Probe {
        id: "RV-ROOT-02",
        wall: Wall::Root,
        title: "climb out: a second chroot below a working directory that stays above it",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: climb,
    },
    Probe {
        id: "RV-ROOT-04",
        wall: Wall::Root,
        title: "open a file of the host by its handle",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: by_handle,
    },
    Probe {
        id: "RV-ROOT-06",
        wall: Wall::Root,
        title: "connect to a socket of the host by its path, which no network namespace hides",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: connect,
    },
    Probe {
        id: "RV-ROOT-07",
        wall: Wall::Root,
        title: "open a file of the host from the working directory that came along",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: relative,
    },
];

/// Files outside that hold the secret.
pub struct Canary {
    /// One with a name, which everybody may read.
    pub file: PathBuf,
    /// One without on each file system of the host that is shown inside on purpose; they are there
    /// as long as they are open.
    _nameless: Vec<OwnedFd>,
    /// Where they are.
    folders: Vec<PathBuf>,
    /// Their handles.
    handles: Result<Vec<(i32, Vec<u8>)>, String>,
    socket: UnixListener,
}

impl Canary {
    pub(super) fn plant(stage: &Stage, shown: &[PathBuf]) -> Result<Self, String> {
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
            Ok(Self { file, folders, _nameless: nameless, handles, socket })
        };
        planted().map_err(|error| without_number(&error))
    }
}

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

/// Always ordered, and made by no namespace: what the inside has for a root is never ours.
const IDENTITY: Identity = Identity::NoNamespace;

/// What a change of root answers: there is no such file, or it leads elsewhere.
const WALLED: [Errno; 2] = [Errno::NOENT, Errno::NOTDIR];

fn path(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.root, "open", |canary| {
        let reply = subject.ask(&protocol::Crossing::Read { path: canary.file.clone() });
        Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
    })
}

fn climb(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.may(Capability::CAP_SYS_CHROOT) {
        return Try::untried("chroot", &none_to_keep(Capability::CAP_SYS_CHROOT));
    }
    planted(&outside.canaries.root, "chroot", |canary| {
        let reply =
            subject.ask(&protocol::Crossing::Root(Crossing::Climb { path: canary.file.clone() }));
        // EPERM: without CAP_SYS_CHROOT nobody climbs.
        Try::reading(
            reply,
            IDENTITY,
            &outside.stage.secret,
            &[Errno::PERM, Errno::NOENT, Errno::NOTDIR],
        )
    })
}

fn by_handle(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.holds(Capability::CAP_DAC_READ_SEARCH) {
        return Try::untried("open_by_handle_at", &none_to_keep(Capability::CAP_DAC_READ_SEARCH));
    }
    planted(&outside.canaries.root, "open_by_handle_at", |canary| {
        planted(&canary.handles, "open_by_handle_at", |handles| {
            // The control looks where the files are.
            let on = match subject.role.ordered() {
                Some(_) => vec![PathBuf::from("/")],
                None => canary.folders.clone(),
            };
            let reply = subject
                .ask(&protocol::Crossing::Root(Crossing::Handle { on, handles: handles.clone() }));
            Try::reading(
                reply,
                IDENTITY,
                &outside.stage.secret,
                &[Errno::PERM, Errno::STALE, Errno::OPNOTSUPP],
            )
        })
    })
}

fn connect(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.root, "connect", |canary| {
        let path = canary.file.with_file_name("socket");
        let reply = subject
            .ask(&protocol::Crossing::Root(Crossing::Connect { path, mark: subject.mark.clone() }));
        let (receipt, seen) =
            heard(canary.socket.accept().map(|(stream, _)| stream), &subject.mark);
        Try::marking(reply, IDENTITY, receipt, seen, &WALLED)
    })
}

fn relative(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.root, "open", |canary| {
        let up: PathBuf = std::iter::repeat_n("..", 32).collect();
        let path = up.join(canary.file.strip_prefix("/").unwrap_or(&canary.file));
        let mut reply = subject.ask(&protocol::Crossing::Read { path });
        reply.arg = format!("../ (32 times) {}", canary.file.display());
        Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
    })
}

/// What a reader must know of a root that holds and behind which the host's tree is.
pub const REMARK: &str = "the host's tree is still there, behind a chroot: all that holds is that \
    nobody inside may call chroot(2)";

/// Whether the host's tree is still there, for whoever enters the mount namespace. A chroot(2)
/// leaves it, out of reach of who may not call chroot; pivot_root(2) takes it away. `None` where it
/// cannot be looked for.
pub fn behind(outside: &Outside<'_>, subject: &Target) -> Option<Seen> {
    let (Ok(canary), Ok(sides)) = (&outside.canaries.root, subject.sides(Namespace::Mount)) else {
        return None;
    };
    look(sides, |_| fs::read_to_string(&canary.file).is_ok_and(|text| text == outside.stage.secret))
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// chroot(2) into a directory, up from the working directory that stayed outside of it, chroot
    /// there, and open.
    Climb { path: PathBuf },
    /// open_by_handle_at(2) with each of these handles, on each of these places and of the mounts
    /// that are seen.
    Handle { on: Vec<PathBuf>, handles: Vec<(i32, Vec<u8>)> },
    /// connect(2) to a path.
    Connect { path: PathBuf, mark: String },
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
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
            Self::Handle { on, handles } => {
                let seen =
                    mountinfo::read().unwrap_or_default().into_iter().map(|mount| mount.point);
                let places: Vec<PathBuf> = on.iter().cloned().chain(seen).collect();
                let text = by_any_handle(&places, handles);
                Reply::of(
                    "open_by_handle_at",
                    format!("{} mounts", places.len()),
                    text.map(|text| (0, text)),
                )
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

fn folders() -> Vec<PathBuf> {
    let root = open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let entries = root.and_then(|root| Dir::read_from(&root)).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type() == FileType::Directory);
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "." && name != "..").map(|name| Path::new("/").join(name)).collect()
}
