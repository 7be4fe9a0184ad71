//! Which container is judged: an agent behind walls, or one without any for the control; identified
//! from outside, and asked.

use crate::error::{errno_text, printable};
use crate::namespace::Namespace;
use crate::random;
use crate::verify::channel::{Channel, Greeting};
use crate::verify::held::HeldFd;
use crate::verify::inherited::streams::StreamFiles;
use crate::verify::inherited::terminal::Terminal;
use crate::verify::launch::{Launcher, NewProcess, Role};
use crate::verify::protocol::{Crossing, Reply};
use crate::verify::shown::{self, Shown, Way};
use crate::verify::sides::Sides;
use crate::verify::stage::Stage;
use crate::verify::stage::new_mounts::MountsBefore;
use crate::verify::verdict::Identity;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::process::getpid;
use std::cell::OnceCell;
use std::fs;

/// An agent that runs.
pub struct Target {
    /// Who it is.
    pub role: Role,
    /// Its process, in the verifier's pid namespace, as the kernel tells it.
    pub pid: i32,
    /// What it leaves outside where a crossing works; no other run has the same.
    pub mark: String,
    /// The caller's terminal, as far as it knows.
    pub terminal: Result<Terminal, String>,
    namespaces: Vec<Result<Sides, String>>,
    /// Its mounts as they were when it had started, or why they could not be read.
    pub shown: Result<Vec<Shown>, String>,
    /// The files behind its stdin and stdout.
    pub streams: Result<StreamFiles, String>,
    /// What one look at every descriptor has found.
    swept: OnceCell<Reply>,
    /// Its capabilities, which stay what they are.
    effective: OnceCell<u64>,
    /// The ways through the roots of processes outside.
    pub(super) ways: OnceCell<Vec<Way>>,
    /// What it talks on: an agent ends with it. Dropped before the launcher, which is waited for.
    channel: Channel,
    _launcher: Launcher,
    /// The mounts of the stage before it was started; what has come since is taken away when it has
    /// ended.
    pub mounts: MountsBefore,
}

impl Target {
    /// Starts it. `left_open` is what it finds open if nobody closes it.
    ///
    /// # Errors
    /// What kept it from starting, for a reader.
    pub fn start(stage: &Stage, left_open: &[BorrowedFd<'_>], role: Role) -> Result<Self, String> {
        let mark = random::letters(12).map_err(errno_text)?;
        let mounts = MountsBefore::now();
        let terminal = Terminal::open();
        let (channel, theirs) = Channel::pair()?;
        let streams = StreamFiles::make(stage, &mark);
        let launcher = NewProcess {
            stage,
            left_open,
            role: &role,
            terminal: terminal.as_ref().ok(),
            streams: streams.as_ref().ok(),
            theirs,
            parent: getpid(),
        }
        .launch()?;
        let pid = match channel.greeting() {
            Greeting::Hello(pid) => pid,
            Greeting::Nothing => {
                drop(launcher);
                let said = terminal.as_ref().map(Terminal::said).unwrap_or_default();
                return Err(in_a_line(&said).unwrap_or_else(|| {
                    "the container has ended before its probe could start".into()
                }));
            }
            Greeting::Other => {
                drop(channel);
                return Err("what was started does not speak as a probe does".into());
            }
        };
        let namespaces =
            Namespace::ALL.into_iter().map(|namespace| Sides::open(pid, namespace)).collect();
        let doors = role.ordered().map_or(&[][..], |ordered| &ordered.doors);
        let is_open = role.ordered().is_none();
        let shown = shown::mounts(pid, doors, |mount| is_open || !stage.is_own(&mount.point));
        Ok(Self {
            role,
            pid,
            mark,
            terminal,
            namespaces,
            shown,
            streams,
            swept: OnceCell::new(),
            effective: OnceCell::new(),
            ways: OnceCell::new(),
            channel,
            _launcher: launcher,
            mounts,
        })
    }

    /// Has one crossing tried inside.
    pub fn ask<C: Crossing>(&self, crossing: &C) -> Reply {
        self.channel.ask(crossing, None)
    }

    /// The same, with a descriptor of the outside that is handed in for this one crossing.
    pub fn ask_with<C: Crossing>(&self, crossing: &C, passed: BorrowedFd<'_>) -> Reply {
        self.channel.ask(crossing, Some(passed))
    }

    /// The process that has answered last, and stays as it is until the next request.
    pub fn crosser(&self) -> i32 {
        self.channel.crosser()
    }

    /// What that process holds under a number.
    ///
    /// # Errors
    /// ENOENT where it holds nothing there, EACCES where it may not be looked at.
    pub fn held(&self, number: i32) -> Result<HeldFd, Errno> {
        HeldFd::of(self.crosser(), number)
    }

    /// The reply of the one crossing that looks at every descriptor, asked for once.
    pub fn swept<C: Crossing>(&self, crossing: impl FnOnce() -> C) -> Reply {
        self.swept.get_or_init(|| self.ask(&crossing())).clone()
    }

    /// Whether it is in the same namespace as the stage.
    pub fn identity(&self, namespace: Namespace) -> Identity {
        match self.sides(namespace) {
            Ok(sides) => match sides.files() {
                Ok([outside, inside]) if outside == inside => Identity::Same,
                Ok(_) => Identity::Different,
                Err(errno) => Identity::Unreadable(errno_text(errno)),
            },
            Err(reason) => Identity::Unreadable(reason.clone()),
        }
    }

    /// The two sides of a namespace, or why they could not be read.
    pub fn sides(&self, namespace: Namespace) -> Result<&Sides, &String> {
        self.namespaces[namespace as usize].as_ref()
    }

    /// The capabilities of the agent, from outside: the effective set, a bit each.
    pub fn effective(&self) -> u64 {
        *self.effective.get_or_init(|| self.read_effective())
    }

    fn read_effective(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
    }
}

/// What was said, on one line: the error, with its cause and its way out.
fn in_a_line(said: &str) -> Option<String> {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| printable(&lines.join("; ")))
}
