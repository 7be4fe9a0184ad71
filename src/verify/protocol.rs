//! What passes between the verifier outside and the probe inside: an order to try one crossing, and
//! the answer. Both are one JSON value, a message each, on the probe's stdin and stdout.

use crate::error::{errno_of, printable};
use crate::verify::probes::{
    cgroup, devices, enter, fds, ipc, kernel, keyring, mnt, net, pid, root, terminal, time, user,
    uts,
};
use crate::verify::remarks;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What a probe says first.
pub const HELLO: &str = "rustic-probe 1";

/// The longest message.
pub const LONGEST: usize = 64 * 1024;

/// A crossing to try. It never holds what only the outside knows: what a probe brings back it has
/// found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crossing {
    /// Reads a file.
    Read {
        /// Its path inside.
        #[serde(with = "crate::verify::escaped")]
        path: PathBuf,
    },
    /// Opens files with O_PATH, and holds them.
    Open {
        /// Their paths inside.
        #[serde(with = "crate::verify::escaped::all")]
        paths: Vec<PathBuf>,
    },
    /// Asks for the calls that launchers close.
    Surface,
    /// One of the pid wall.
    Pid(pid::Crossing),
    /// One of the mnt wall.
    Mnt(mnt::Crossing),
    /// One of the root wall.
    Root(root::Crossing),
    /// One of the uts wall.
    Uts(uts::Crossing),
    /// One of the net wall.
    Net(net::Crossing),
    /// One of the ipc wall.
    Ipc(ipc::Crossing),
    /// One of the user wall.
    User(user::Crossing),
    /// One of the cgroup wall.
    Cgroup(cgroup::Crossing),
    /// One of the time wall.
    Time(time::Crossing),
    /// One of the fds wall.
    Fds(fds::Crossing),
    /// One of the keyring wall.
    Keyring(keyring::Crossing),
    /// One of the terminal wall.
    Terminal(terminal::Crossing),
    /// One of the kernel wall.
    Kernel(kernel::Crossing),
    /// One of the devices wall.
    Devices(devices::Crossing),
    /// Enters a namespace of a process outside.
    Enter(enter::Crossing),
}

/// An order or a reply with its number, so that a late answer is not taken for that to another
/// question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Numbered<T> {
    /// The number of the order.
    pub number: u64,
    /// The order, or the reply.
    pub what: T,
}

/// What came of it, as the inside tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// The system call that decided.
    pub call: String,
    /// Its argument, for a reader.
    pub arg: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What stays open until the next order, for the outside to look at.
    #[serde(skip)]
    pub holds: Rc<Vec<OwnedFd>>,
}

/// How a crossing ended inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The call succeeded, with its result and what it brought back.
    Done(i64, String),
    /// The call failed with this errno.
    Refused(i32),
    /// There was nothing to try it with, for this reason.
    Untried(String),
    /// The process that tried it was ended by this signal.
    Killed(i32),
    /// No answer came.
    Silent,
}

impl Reply {
    /// The reply of a call.
    pub fn of(call: &str, arg: impl Into<String>, result: Result<(i64, String), Errno>) -> Self {
        let outcome = match result {
            Ok((result, data)) => Outcome::Done(result, data),
            Err(errno) => Outcome::Refused(errno.raw_os_error()),
        };
        Self::new(call, arg, outcome)
    }

    /// A reply that holds nothing.
    pub fn new(call: &str, arg: impl Into<String>, outcome: Outcome) -> Self {
        Self { call: call.into(), arg: arg.into(), outcome, holds: Rc::default() }
    }

    /// The reply of a call whose success brings nothing back.
    pub fn plain(call: &str, arg: impl Into<String>, result: Result<(), Errno>) -> Self {
        Self::of(call, arg, result.map(|()| (0, String::new())))
    }

    /// The reply of a call that has given a descriptor, which stays open: the outside looks at it
    /// by its number.
    pub fn holding(call: &str, arg: impl Into<String>, result: Result<OwnedFd, Errno>) -> Self {
        let number = result.as_ref().map(|fd| (i64::from(fd.as_raw_fd()), String::new()));
        let reply = Self::of(call, arg, number.map_err(|errno| *errno));
        Self { holds: Rc::new(result.into_iter().collect()), ..reply }
    }

    /// The number of a descriptor that the inside says it holds.
    pub fn number(&self) -> Option<i32> {
        match self.outcome {
            Outcome::Done(number, _) => i32::try_from(number).ok(),
            _ => None,
        }
    }

    /// The reply where there is nothing to try it with.
    pub fn untried(call: &str, arg: impl Into<String>, reason: &str) -> Self {
        Self::new(call, arg, Outcome::Untried(reason.into()))
    }

    /// What was brought back; nothing where it failed.
    pub fn data(&self) -> &str {
        match &self.outcome {
            Outcome::Done(_, data) => data,
            _ => "",
        }
    }

    /// The answer for a reader: an errno by its name.
    pub fn shown(&self) -> String {
        match &self.outcome {
            Outcome::Done(_, data) if data.is_empty() => "done".into(),
            Outcome::Done(_, data) => format!("\"{}\"", printable(data)),
            Outcome::Refused(errno) => errno_name(*errno),
            Outcome::Untried(_) => "-".into(),
            Outcome::Killed(signal) => format!("killed by signal {signal}"),
            Outcome::Silent => "no answer".into(),
        }
    }
}

/// An errno by its name alone.
pub fn errno_name(errno: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}

/// Where a crossing is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// In the probe itself.
    Here,
    /// In a process of its own: it changes the one that tries it, or may end it.
    Apart,
}

impl Crossing {
    /// Where it is tried.
    pub fn ground(&self) -> Ground {
        let apart = match self {
            Self::Surface => true,
            Self::Enter(crossing) => crossing.has_a_way(),
            Self::Pid(crossing) => matches!(crossing, pid::Crossing::Trace { .. }),
            Self::Root(crossing) => matches!(crossing, root::Crossing::Climb { .. }),
            Self::Devices(crossing) => matches!(crossing, devices::Crossing::Disk { .. }),
            Self::Net(crossing) => crossing.is_of_i386(),
            Self::Cgroup(crossing) => matches!(crossing, cgroup::Crossing::Mount { .. }),
            Self::Keyring(crossing) => matches!(crossing, keyring::Crossing::SerialI386 { .. }),
            Self::Kernel(crossing) => matches!(crossing, kernel::Crossing::Uncover { .. }),
            Self::Read { .. }
            | Self::Open { .. }
            | Self::Mnt(_)
            | Self::Uts(_)
            | Self::Ipc(_)
            | Self::User(_)
            | Self::Time(_)
            | Self::Fds(_)
            | Self::Terminal(_) => false,
        };
        if apart { Ground::Apart } else { Ground::Here }
    }

    /// Tries it, here and now. `passed` is the descriptor that came with the order.
    pub fn attempt(&self, passed: Option<OwnedFd>) -> Reply {
        match self {
            Self::Read { path } => read(path),
            Self::Open { paths } => opened(paths),
            Self::Surface => remarks::asked(),
            Self::Pid(crossing) => crossing.attempt(),
            Self::Mnt(crossing) => crossing.attempt(),
            Self::Root(crossing) => crossing.attempt(),
            Self::Uts(crossing) => crossing.attempt(),
            Self::Net(crossing) => crossing.attempt(),
            Self::Ipc(crossing) => crossing.attempt(),
            Self::User(crossing) => crossing.attempt(passed),
            Self::Cgroup(crossing) => crossing.attempt(passed),
            Self::Time(crossing) => crossing.attempt(),
            Self::Fds(crossing) => crossing.attempt(),
            Self::Keyring(crossing) => crossing.attempt(),
            Self::Terminal(crossing) => crossing.attempt(),
            Self::Kernel(crossing) => crossing.attempt(),
            Self::Devices(crossing) => crossing.attempt(),
            Self::Enter(crossing) => crossing.attempt(),
        }
    }
}

/// Opens files without touching them. Says which have opened, with the number of each.
fn opened(paths: &[PathBuf]) -> Reply {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held: Vec<(usize, OwnedFd)> = paths
        .iter()
        .enumerate()
        .filter_map(|(index, path)| Some((index, open(path, flags, Mode::empty()).ok()?)))
        .collect();
    let text = held.iter().map(|(index, fd)| format!("{index}:{}", fd.as_raw_fd()));
    let text = text.collect::<Vec<_>>().join(" ");
    let reply = Reply::of("open", format!("{} paths", paths.len()), Ok((held.len() as i64, text)));
    Reply { holds: Rc::new(held.into_iter().map(|(_, fd)| fd).collect()), ..reply }
}

/// What [`Crossing::Open`] has opened: the place of each in the order, and its descriptor.
pub fn numbers(data: &str) -> Vec<(usize, i32)> {
    let pairs = data.split(' ').filter_map(|pair| pair.split_once(':'));
    pairs.filter_map(|(index, fd)| Some((index.parse().ok()?, fd.parse().ok()?))).collect()
}

/// Reads the start of a file. Where a whole file system is missing inside, there is nothing to
/// cross it with.
fn read(path: &Path) -> Reply {
    for (mount, mark) in [("/proc", "/proc/self/stat"), ("/sys", "/sys/class/net")] {
        if path.starts_with(mount) && !Path::new(mark).exists() {
            return Reply::untried(
                "open",
                path.to_string_lossy(),
                &format!("there is no {mount} inside"),
            );
        }
    }
    let content = (|| {
        let mut text = Vec::new();
        std::fs::File::open(path)?.take(4096).read_to_end(&mut text)?;
        Ok((text.len() as i64, String::from_utf8_lossy(&text).trim_end().to_owned()))
    })();
    Reply::of(
        "open",
        path.to_string_lossy(),
        content.map_err(|error: std::io::Error| errno_of(&error)),
    )
}
