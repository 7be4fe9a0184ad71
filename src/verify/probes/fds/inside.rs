//! What is tried with descriptors, streams and variables that came along.

use crate::error::errno_of;
use crate::sys;
use crate::verify::protocol::{Crossing, Reply, Topic};
use crate::verify::wall::Wall;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fchmod, open, openat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::stdio::stdin;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// How far the inside looks where no /proc tells it which there are: as far as the limit says, and
/// at least so far, since limits are lowered after descriptors were opened.
const AT_LEAST: u64 = 65_536;
/// No process has more, fs.nr_open.
const AT_MOST: u64 = 1 << 20;

/// What is tried inside; the fields are the arguments of the calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FdsCrossing {
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
pub(super) struct Swept {
    /// Texts of files.
    pub(super) read: Vec<String>,
    /// Texts of a file below directories.
    pub(super) opened: Vec<String>,
    /// How many have taken a message.
    pub(super) sent: u32,
}

impl Crossing for FdsCrossing {
    const TOPIC: Topic = Topic::Wall(Wall::Fds);

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
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
