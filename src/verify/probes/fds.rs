//! What a process inherits: descriptors that a careless caller has left open, each a way around
//! every other wall, the files behind its standard streams, and variables.

use super::{Direction, Effect, Outside, Probe, Try, arrived, delivered, planted};
use crate::error::{errno_of, errno_text, without_number};
use crate::spec::Opening;
use crate::sys;
use crate::verify::probes::Canaries;
use crate::verify::protocol::{self, Reply};
use crate::verify::stage::Stage;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use nix::sys::personality::Persona;
use rustix::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, fchmod, fstat, memfd_create, open, openat};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Resource, getrlimit, umask};
use rustix::stdio::stdin;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The variable that holds the secret.
pub const VARIABLE: &str = "RUSTIC_CANARY";

/// The first number of the descriptors that are left open: as low as can be, for a caller who may
/// have few.
const FIRST: i32 = 10;

/// The number of one more, above what is often looked at, where the caller may have so many.
const HIGH: i32 = 1100;

/// How far the inside looks where no /proc tells it which there are: as far as the limit says, and
/// at least so far, since limits are lowered after descriptors were opened.
const AT_LEAST: u64 = 65_536;
/// No process has more, fs.nr_open.
const AT_MOST: u64 = 1 << 20;

/// The probes. Two of them are called after the walls that they get around; what is broken when
/// they cross is this one.
pub const PROBES: [Probe; 7] = [
    Probe {
        id: "RV-FD-01",
        wall: Wall::Fds,
        title: "read a file through a descriptor that came along",
        direction: Direction::In,
        effect: Effect::None,
        attempt: file,
    },
    Probe {
        id: "RV-FD-02",
        wall: Wall::Fds,
        title: "change the file behind stdin: re-open it for writing, set its mode",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: change,
    },
    Probe {
        id: "RV-FD-03",
        wall: Wall::Fds,
        title: "read the file behind stdout, which is open for writing only",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: read_again,
    },
    Probe {
        id: "RV-FD-04",
        wall: Wall::Fds,
        title: "have the caller's umask, signal mask, ignored signals or personality",
        direction: Direction::In,
        effect: Effect::None,
        attempt: habits,
    },
    Probe {
        id: "RV-ROOT-03",
        wall: Wall::Fds,
        title: "open the host's files through a directory that came along (CVE-2024-21626)",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: directory,
    },
    Probe {
        id: "RV-IPC-03",
        wall: Wall::Fds,
        title: "send to a message queue through a descriptor that came along",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: queue,
    },
    Probe {
        id: "RV-ENV-01",
        wall: Wall::Fds,
        title: "read a variable of the caller",
        direction: Direction::In,
        effect: Effect::None,
        attempt: variable,
    },
];

/// What is left open.
pub struct Canary {
    memory: OwnedFd,
    root: OwnedFd,
}

impl Canary {
    pub(super) fn plant(stage: &Stage) -> Result<Self, String> {
        let planted = || -> rustix::io::Result<Self> {
            let memory = memfd_create(c"rustic-canary", MemfdFlags::CLOEXEC)?;
            rustix::io::write(&memory, stage.secret.as_bytes())?;
            Ok(Self {
                memory,
                root: open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?,
            })
        };
        planted().map_err(errno_text)
    }
}

/// Leaves the canaries open where the inside would find them, and `own` under the number `channel`,
/// and nothing else: what the verifier's caller has left open is nobody's business. For the process
/// that becomes rustic.
pub fn leave_open(canaries: &Canaries, own: BorrowedFd<'_>, channel: i32) -> Result<(), Errno> {
    let planted =
        canaries.fds.iter().flat_map(|canary| [canary.memory.as_fd(), canary.root.as_fd()]);
    let planted: Vec<BorrowedFd<'_>> =
        planted.chain(canaries.ipc.queue.as_ref().ok().map(AsFd::as_fd)).collect();
    let kept: Vec<BorrowedFd<'_>> = planted.iter().copied().chain([own]).collect();
    // SAFETY: this is a copy of the verifier that becomes another program or ends with _exit(2): no
    // destructor of the verifier's runs in it, and only what is kept is used below.
    #[allow(unsafe_code, reason = "whoever owned the others never runs here")]
    let closed = unsafe { sys::close_all_but(&kept) };
    closed?;
    let leave = |fd: BorrowedFd<'_>, number| {
        let copy = fcntl_dupfd_cloexec(fd, number)?;
        fcntl_setfd(&copy, FdFlags::empty())?;
        let _left_open = copy.into_raw_fd();
        Ok::<_, Errno>(())
    };
    if getrlimit(Resource::Nofile).current.is_none_or(|limit| limit > HIGH as u64)
        && let Some(memory) = planted.first()
    {
        leave(*memory, HIGH)?;
    }
    let own = fcntl_dupfd_cloexec(own, FIRST)?;
    for fd in planted {
        leave(fd, FIRST)?;
    }
    // SAFETY: what had that number has been copied, and is not used again, as above.
    #[allow(unsafe_code, reason = "whoever owned what had the number never runs here")]
    let left = unsafe { sys::put_at_number(own.as_fd(), channel) };
    left
}

/// The files behind the stdin and the stdout of one subject.
pub struct Streams {
    /// What it gets as stdin, to be read only.
    pub input: OwnedFd,
    /// What it gets as stdout, to be written only. It holds the secret.
    pub output: OwnedFd,
    /// The file behind stdin, for the outside to look at.
    behind_input: fs::File,
}

impl Streams {
    /// Makes them.
    ///
    /// # Errors
    /// Why they cannot be made, for a reader.
    pub fn make(stage: &Stage, mark: &str) -> Result<Self, String> {
        let file = |name: &str, content: &str| {
            let path = stage.directory.join(format!("{name}.{mark}"));
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(content.as_bytes())?;
            Ok::<_, std::io::Error>((path, file))
        };
        let made = || -> std::io::Result<Self> {
            let ((input, behind_input), (output, _)) =
                (file("stdin", "what is read\n")?, file("stdout", &stage.secret)?);
            let streams = Self {
                input: fs::File::open(&input)?.into(),
                output: fs::OpenOptions::new().append(true).open(&output)?.into(),
                behind_input,
            };
            // They stay as long as they are open.
            fs::remove_file(input).and_then(|()| fs::remove_file(output))?;
            Ok(streams)
        };
        made().map_err(|error| without_number(&error))
    }

    /// Whether the file behind stdin has the mark, or another mode than it was made with.
    fn is_changed(&self, mark: &str) -> bool {
        let mut text = [0; 256];
        let length = rustix::io::pread(&self.behind_input, text.as_mut_slice(), 0).unwrap_or(0);
        let mode = fstat(&self.behind_input).map_or(0o600, |stat| stat.st_mode & 0o7777);
        mode != 0o600 || String::from_utf8_lossy(&text[..length]).contains(mark)
    }
}

const IDENTITY: Identity = Identity::NoNamespace;

/// One look at every descriptor serves three probes.
fn sweep(outside: &Outside<'_>, subject: &Target, call: &str) -> Reply {
    let path = outside.canaries.root.as_ref().map(|root| root.file.as_path());
    let path = path.unwrap_or(Path::new("/")).strip_prefix("/").unwrap_or(Path::new("."));
    let reply = subject.swept(|| {
        let crossing = Crossing::Sweep { path: path.to_owned(), mark: subject.mark.clone() };
        protocol::Crossing::Fds(crossing)
    });
    Reply { call: call.into(), ..reply }
}

/// What one kind of attempt has brought back, out of the look at all.
fn part(mut reply: Reply, part: impl Fn(Swept) -> Option<String>) -> Reply {
    if let protocol::Outcome::Done(count, data) = &reply.outcome {
        reply.arg = format!("{count} descriptors");
        let found = serde_json::from_str(data).ok().and_then(part);
        reply.outcome = match found {
            Some(text) => protocol::Outcome::Done(*count, text),
            None => protocol::Outcome::Refused(Errno::BADF.raw_os_error()),
        };
    }
    reply
}

fn file(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.fds, "pread", |_| {
        let reply = part(sweep(outside, subject, "pread"), |swept| joined(swept.read));
        Try::reading(reply, IDENTITY, &outside.stage.secret, &[Errno::BADF])
    })
}

fn directory(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.canaries.fds, "openat", |_| {
        planted(&outside.canaries.root, "openat", |_| {
            let reply = part(sweep(outside, subject, "openat"), |swept| joined(swept.opened));
            Try::reading(reply, IDENTITY, &outside.stage.secret, &[Errno::BADF])
        })
    })
}

fn queue(outside: &Outside<'_>, subject: &Target) -> Try {
    let canary = &outside.canaries.ipc;
    planted(&canary.queue, "mq_send", |_| {
        let sent = |swept: Swept| (swept.sent > 0).then(String::new);
        let reply = part(sweep(outside, subject, "mq_send"), sent);
        let (receipt, seen) = delivered(canary.received(&subject.mark));
        Try::marking(reply, IDENTITY, receipt, seen, &[Errno::BADF])
    })
}

fn joined(texts: Vec<String>) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// What a stream that is none of the host's answers: a view of the file is read-only, a pipe has
/// nobody's file behind it, and where there is no /proc nothing is opened again.
const WALLED: [Errno; 6] =
    [Errno::ROFS, Errno::ACCESS, Errno::PERM, Errno::NOENT, Errno::BADF, Errno::AGAIN];

fn change(_: &Outside<'_>, subject: &Target) -> Try {
    planted(&subject.streams, "open", |streams| {
        let crossing = Crossing::Change { mark: subject.mark.clone() };
        let reply = subject.ask(&protocol::Crossing::Fds(crossing));
        let changed = streams.is_changed(&subject.mark);
        let seen = if changed { "the file was changed" } else { "the file is as it was" };
        Try::marking(reply, IDENTITY, arrived(changed), seen, &WALLED)
            .or_stayed()
            .through(subject.role.door(|opening| *opening == Opening::Stdio))
    })
}

fn read_again(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&subject.streams, "open", |_| {
        let reply = subject.ask(&protocol::Crossing::Fds(Crossing::ReadAgain));
        Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
            .through(subject.role.door(|opening| *opening == Opening::Stdio))
    })
}

/// What no caller has: they are set by the process that becomes rustic, and looked for in what the
/// kernel tells of the probe outside.
const ODD_UMASK: u32 = 0o137;
const ODD_BLOCKED: i32 = 50;
const ODD_IGNORED: i32 = 51;

/// Sets them.
pub fn take_odd_habits() -> Result<(), Errno> {
    umask(Mode::from_raw_mode(ODD_UMASK));
    sys::block_signal(ODD_BLOCKED)?;
    sys::ignore_signal(ODD_IGNORED)?;
    // A filter around rustic may refuse it; then the others are looked for.
    let _ = nix::sys::personality::set(Persona::ADDR_NO_RANDOMIZE);
    Ok(())
}

fn habits(_: &Outside<'_>, subject: &Target) -> Try {
    let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", subject.pid));
    let (status, persona) = match (read("status"), read("personality")) {
        (Ok(status), Ok(persona)) => (status, persona),
        (Err(error), _) | (_, Err(error)) => {
            return Try::unplanted("read", &without_number(&error));
        }
    };
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let has = |name: &str, signal: i32| {
        u64::from_str_radix(&value(name), 16).is_ok_and(|mask| mask >> (signal - 1) & 1 == 1)
    };
    let odd = i64::from(Persona::ADDR_NO_RANDOMIZE.bits());
    let found: Vec<&str> = [
        (u32::from_str_radix(&value("Umask:"), 8) == Ok(ODD_UMASK), "umask"),
        (has("SigBlk:", ODD_BLOCKED), "blocked signal"),
        (has("SigIgn:", ODD_IGNORED), "ignored signal"),
        (i64::from_str_radix(persona.trim(), 16).is_ok_and(|bits| bits & odd != 0), "personality"),
    ]
    .into_iter()
    .filter_map(|(there, name)| there.then_some(name))
    .collect();
    let seen = match found.as_slice() {
        [] => "it has habits of its own".to_owned(),
        found => format!("it has the caller's {}", found.join(", ")),
    };
    // Nothing has to be tried: it is so, or it is not.
    let reply = Reply::plain("execve", "with odd ones", Ok(()));
    Try::marking(reply, IDENTITY, arrived(!found.is_empty()), seen, &[]).or_stayed()
}

fn variable(outside: &Outside<'_>, subject: &Target) -> Try {
    let reply = subject.ask(&protocol::Crossing::Fds(Crossing::Variable { name: VARIABLE.into() }));
    Try::reading(reply, IDENTITY, &outside.stage.secret, &[Errno::NOENT])
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// pread(2), openat(2) and mq_send(3) on every descriptor from 3 up.
    Sweep {
        #[serde(with = "crate::verify::escaped")]
        path: PathBuf,
        mark: String,
    },
    /// open(2) of /proc/self/fd/0 for writing, and fchmod(2) of stdin.
    Change { mark: String },
    /// open(2) of /proc/self/fd/1 for reading.
    ReadAgain,
    /// getenv(3).
    Variable { name: String },
}

/// What the look at every descriptor has brought back.
#[derive(Default, Serialize, Deserialize)]
struct Swept {
    read: Vec<String>,
    opened: Vec<String>,
    sent: u32,
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self) -> Reply {
        match self {
            Self::Sweep { path, mark } => {
                let (mut swept, mut count) = (Swept::default(), 0);
                for fd in inherited() {
                    count += 1;
                    let file = || openat(fd, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
                    swept.read.extend(text(fd).ok().filter(|text| !text.is_empty()));
                    swept.opened.extend(file().and_then(text).ok());
                    swept.sent += u32::from(sys::send_to_queue(fd, mark.as_bytes()).is_ok());
                }
                swept.read.truncate(MOST);
                swept.opened.truncate(MOST);
                let data = serde_json::to_string(&swept).unwrap_or_default();
                Reply::of("pread", "", Ok((count, data)))
            }
            Self::Change { mark } => {
                let written = fs::OpenOptions::new()
                    .append(true)
                    .custom_flags(OFlags::NONBLOCK.bits() as i32)
                    .open("/proc/self/fd/0")
                    .and_then(|mut file| file.write_all(mark.as_bytes()))
                    .map_err(|error| errno_of(&error));
                let set = fchmod(stdin(), Mode::from_raw_mode(0o640));
                Reply::plain("open", "/proc/self/fd/0, O_WRONLY", written.or(set))
            }
            Self::ReadAgain => {
                let text = open(
                    "/proc/self/fd/1",
                    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .and_then(|file| {
                    let mut bytes = [0; 64];
                    let length = rustix::io::read(&file, bytes.as_mut_slice())?;
                    Ok((0, String::from_utf8_lossy(&bytes[..length]).into_owned()))
                });
                Reply::of("open", "/proc/self/fd/1, O_RDONLY", text)
            }
            Self::Variable { name } => {
                let value = std::env::var(name).map(|value| (0, value)).map_err(|_| Errno::NOENT);
                Reply::of("getenv", name, value)
            }
        }
    }
}

/// How many texts fit into an answer.
const MOST: usize = 64;

/// The descriptors from 3 up that are open.
fn inherited() -> Vec<BorrowedFd<'static>> {
    let listed: Vec<i32> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(AT_MOST);
    let range = 3..limit.clamp(AT_LEAST, AT_MOST) as i32;
    // A /proc of another pid namespace has no /proc/self.
    let numbers = if listed.is_empty() { range.collect() } else { listed };
    // SAFETY: this process closes none while it looks at them.
    #[allow(unsafe_code, reason = "what this process has open is looked at, whoever owns it")]
    let borrowed = |number| unsafe { sys::borrow_by_number(number) };
    numbers.into_iter().filter(|&fd| fd > 2).filter_map(|fd| borrowed(fd).ok()).collect()
}

fn text(fd: impl AsFd) -> Result<String, Errno> {
    let mut bytes = [0; 64];
    let length = rustix::io::pread(&fd, bytes.as_mut_slice(), 0)?;
    let mut text = String::new();
    bytes[..length].as_ref().read_to_string(&mut text).map_err(|_| Errno::ILSEQ)?;
    Ok(text)
}
