//! Which container is judged: an agent behind walls, or one without any for the control; identified
//! from outside, and asked.

use crate::error::{errno_text, printable};
use crate::namespace::Namespace;
use crate::random;
use crate::verify::channel::{Channel, Fault, Greeting, Sender};
use crate::verify::foreign::find;
use crate::verify::held::HeldFd;
use crate::verify::inherited::streams::StreamFiles;
use crate::verify::inherited::terminal::Terminal;
use crate::verify::launch::{Launcher, NewProcess, Plug};
use crate::verify::lines::NONCE_LENGTH;
use crate::verify::protocol::{Crossing, Reply};
use crate::verify::role::{Role, Through};
use crate::verify::shown::{self, Shown, Way};
use crate::verify::sides::Sides;
use crate::verify::stage::Stage;
use crate::verify::stage::new_mounts::MountsBefore;
use crate::verify::verdict::Identity;
use rustix::event::Timespec;
use rustix::fd::BorrowedFd;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::getpid;
use std::cell::OnceCell;
use std::fs;
use std::time::{Duration, SystemTime};

/// An agent that runs.
pub struct Target {
    /// Who it is.
    pub role: Role,
    /// Its process, in the verifier's pid namespace, as the kernel tells it.
    pub pid: i32,
    /// When its start began, since 1970.
    pub since: Duration,
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
        // It begins as every name of this run does: by that what has stayed is found.
        let rest = random::letters(NONCE_LENGTH - stage.nonce.len()).map_err(errno_text)?;
        let mark = format!("{}{rest}", stage.nonce);
        let mounts = MountsBefore::now(stage.scene);
        let since = a_tick_ago();
        let (terminal, streams) = (Terminal::open(), StreamFiles::make(stage, &mark));
        let (channel, theirs) = plugged(&role, &mark)?;
        // The nonce of another launcher's probe is that of one start: it is found by it.
        let nonce = if role.launched().is_some() { &mark } else { &stage.nonce };
        let launcher = NewProcess {
            stage,
            left_open,
            role: &role,
            terminal: terminal.as_ref().ok(),
            streams: streams.as_ref().ok(),
            theirs,
            nonce,
            parent: getpid(),
        }
        .launch()?;
        let pid = match channel.greeting() {
            Greeting::Hello(Sender::Known(pid)) => pid,
            Greeting::Hello(Sender::Said(said)) => {
                find::probe(&mark, said).map_err(|reason| worse(&channel, reason))?
            }
            Greeting::Nothing => return Err(not_started(channel, launcher, &terminal, &role)),
            Greeting::Other => {
                drop(channel);
                return Err("what was started does not speak as a probe does".into());
            }
        };
        let namespaces =
            Namespace::ALL.into_iter().map(|namespace| Sides::open(pid, namespace)).collect();
        if let Sender::Said(said) = channel.crosser()
            && !find::is_probe(pid, &mark, said)
        {
            let reason = "the probe has ended before it could be looked at".into();
            return Err(worse(&channel, reason));
        }
        let shown = shown(&role, stage, pid);
        Ok(Self {
            role,
            pid,
            since,
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

    /// Lets it end, and says what was wrong with what has passed between.
    ///
    /// # Errors
    /// What that was, for a reader: then nothing of what was found is worth anything.
    pub fn finish(&self) -> Result<(), String> {
        self.channel.close().map_or(Ok(()), |fault| Err(fault.told().into()))
    }

    /// What came besides the probe's own messages.
    pub fn chatter(&self) -> Vec<String> {
        self.channel.chatter()
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
        match self.channel.crosser() {
            Sender::Known(pid) => pid,
            Sender::Said(said) => find::own(self.pid, said).unwrap_or(0),
        }
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

/// Now, since 1970, but for a tick: the clock of file systems goes in ticks, and is one behind.
fn a_tick_ago() -> Duration {
    const TICK: Duration = Duration::from_millis(20);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(TICK)
}

/// Its mounts, but for those that only a stage has.
fn shown(role: &Role, stage: &Stage, pid: i32) -> Result<Vec<Shown>, String> {
    let doors = role.ordered().map_or(&[][..], |ordered| &ordered.doors);
    shown::mounts(pid, doors, |mount| role.is_open() || !stage.is_own(&mount.point))
}

/// The verifier's end of a channel, and that of whom it starts.
fn plugged(role: &Role, nonce: &str) -> Result<(Channel, Plug), String> {
    match role.launched().map(|launched| launched.through) {
        None => Channel::socket().map(|(channel, theirs)| (channel, Plug::Descriptor(theirs))),
        Some(Through::Pipes) => {
            Channel::pipes(nonce).map(|(channel, theirs)| (channel, Plug::Streams(theirs)))
        }
        Some(Through::Terminal) => {
            let Terminal { master, slave } = Terminal::open()?;
            let copy = fcntl_dupfd_cloexec(&slave, 0).map_err(errno_text)?;
            Ok((Channel::terminal(nonce, master)?, Plug::Streams([slave, copy])))
        }
    }
}

/// Why a probe is worth nothing: what the launcher has done to it says more than that it is gone.
fn worse(channel: &Channel, reason: String) -> String {
    channel.close().map_or(reason, |fault| fault.told().into())
}

/// Why no probe has said hello.
fn not_started(
    channel: Channel,
    launcher: Launcher,
    terminal: &Result<Terminal, String>,
    role: &Role,
) -> String {
    const SOON: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
    let fault = channel.fault().map(Fault::told);
    let chatter = channel.chatter();
    let Some(launched) = role.launched() else {
        drop((channel, launcher));
        let said = terminal.as_ref().map(Terminal::said).unwrap_or_default();
        return in_a_line(&said)
            .unwrap_or_else(|| "the container has ended before its probe could start".into());
    };
    let ended = launcher.has_ended(&SOON).unwrap_or_else(|| "it goes on".into());
    drop((channel, launcher));
    let said = terminal.as_ref().map(Terminal::said).unwrap_or_default();
    let said = in_a_line(&(said + "\n" + &chatter.join("\n")));
    let program = launched.command.program().to_string_lossy().into_owned();
    let why = fault.unwrap_or("nothing has come from the probe");
    let said = said.map(|said| format!(", and said: {said}")).unwrap_or_default();
    printable(&format!("{program}: {why}: {ended}{said}"))
}

/// What was said, on one line: the error, with its cause and its way out. Of a long story the
/// beginning and the end.
fn in_a_line(said: &str) -> Option<String> {
    const MOST: usize = 6;
    let said = anstream::adapter::strip_str(said).to_string();
    let mut lines: Vec<&str> =
        said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() > MOST {
        let left_out = MOST / 2..lines.len() - MOST / 2;
        lines.splice(left_out, ["…"]);
    }
    (!lines.is_empty()).then(|| printable(lines.join("; ").trim_end_matches(['.', ';', ','])))
}
