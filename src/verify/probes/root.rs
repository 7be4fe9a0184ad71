//! The root: a file of the host that nothing inside shows, and the ways to it that a change of root
//! leaves open. What is mounted inside is looked at in [`super::files`].

use super::right::none_to_keep;
use super::{Direction, Effect, Outside, Probe, Try, arrived, heard, planted};
use crate::error::{errno_of, errno_text, without_number};
use crate::namespace::Namespace;
use crate::sys::handle;
use crate::verify::nsenter::{Seen, look};
use crate::verify::protocol::{self, Outcome, Reply};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::OwnedFd;
use rustix::fs::{Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, accessat, open};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The probes. Descriptors are another wall's, [`super::fds`].
pub const PROBES: [Probe; 7] = [
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
    Probe {
        id: "RV-ROOT-11",
        wall: Wall::Root,
        title: "open shared memory by its POSIX name: a file of /dev/shm, which no ipc namespace \
            hides",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: shared_memory,
    },
    Probe {
        id: "RV-ROOT-12",
        wall: Wall::Root,
        title: "have the launcher's own program to write, behind /proc/self/exe (CVE-2019-5736)",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: program,
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
    /// The name of a file in the stage's own /dev/shm, or why there is none.
    shared_memory: Result<String, String>,
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
            let shared_memory = plant_shared_memory(stage);
            Ok(Self { file, folders, _nameless: nameless, handles, socket, shared_memory })
        };
        planted().map_err(|error| without_number(&error))
    }
}

/// In a /dev/shm of the stage's: the host's is left alone.
fn plant_shared_memory(stage: &Stage) -> Result<String, String> {
    let folder = Path::new(SHARED_MEMORY);
    // The stage's own directory may be there: then it is not covered.
    if let Ok(below) = stage.directory.strip_prefix(folder) {
        return Ok(format!("{}/secret", below.display()));
    }
    let name = format!("rustic.{}", stage.nonce);
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("rustic", folder, "tmpfs", flags, Some(c"mode=1777,size=64k"))
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

/// Always ordered, and made by no namespace: what the inside has for a root is never ours.
const IDENTITY: Identity = Identity::NoNamespace;

/// What a change of root answers: there is no such file, it leads elsewhere, or through folders
/// that the inside may not search.
const WALLED: [Errno; 3] = [Errno::NOENT, Errno::NOTDIR, Errno::ACCESS];

fn path(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.root, "open", |canary| {
        let reply = subject.ask(&protocol::Crossing::Read { path: canary.file.clone() });
        Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
            .through(subject.door_at(&canary.file))
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
        .through(subject.role.right(Capability::CAP_SYS_CHROOT))
        .through(subject.door_at(&canary.file))
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
                Some(_) => {
                    let mounts = subject.mounts().iter().map(|shown| shown.mount.point.clone());
                    std::iter::once(PathBuf::from("/")).chain(mounts).collect()
                }
                None => canary.folders.clone(),
            };
            let reply = subject
                .ask(&protocol::Crossing::Root(Crossing::Handle { on, handles: handles.clone() }));
            Try::reading(
                reply,
                IDENTITY,
                &outside.stage.secret,
                &[Errno::PERM, Errno::STALE, Errno::OPNOTSUPP, Errno::ACCESS],
            )
            .through(subject.role.right(Capability::CAP_DAC_READ_SEARCH))
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
        Try::marking(reply, IDENTITY, receipt, seen, &WALLED).through(subject.door_at(&canary.file))
    })
}

fn relative(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.root, "open", |canary| {
        let up: PathBuf = std::iter::repeat_n("..", 32).collect();
        let path = up.join(canary.file.strip_prefix("/").unwrap_or(&canary.file));
        let mut reply = subject.ask(&protocol::Crossing::Read { path });
        reply.arg = format!("../ (32 times) {}", canary.file.display());
        Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
            .through(subject.door_at(&canary.file))
    })
}

fn shared_memory(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.root, "shm_open", |canary| {
        planted(&canary.shared_memory, "shm_open", |name| {
            let path = Path::new(SHARED_MEMORY).join(name);
            let mut reply = subject.ask(&protocol::Crossing::Read { path: path.clone() });
            (reply.call, reply.arg) = ("shm_open".into(), format!("/{name}"));
            Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
                .through(subject.door_at(&path))
        })
    })
}

/// Nothing is opened for writing: the kernel would refuse it as long as the program runs, and allow
/// it afterwards. That the file is the host's, on a mount that can be written, is the crossing.
fn program(_: &Outside<'_>, subject: &Target) -> Try {
    let file = |pid: &str| rustix::fs::stat(format!("/proc/{pid}/exe"));
    let (Ok(ours), Ok(theirs)) = (file("self"), file(&subject.pid.to_string())) else {
        return Try::unplanted("access", "whose program it is could not be read");
    };
    let same = (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino);
    let reply = subject.ask(&protocol::Crossing::Root(Crossing::Program));
    let may = matches!(reply.outcome, Outcome::Done(..));
    let seen = if same { "it is the host's file" } else { "it is a copy in memory" };
    Try::marking(
        reply,
        IDENTITY,
        arrived(same && may),
        seen,
        &[Errno::ACCESS, Errno::ROFS, Errno::NOENT, Errno::PERM],
    )
    .or_stayed()
    .or_nothing_to_find(subject, "the caller may not write it itself")
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
    /// access(2) of /proc/self/exe, for writing.
    Program,
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
