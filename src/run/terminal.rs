//! The terminals: the caller's, which is only relayed to, and the container's own.

use crate::failure::Trouble;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fchown, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, Result};
use rustix::process::{Gid, Pid, Uid, ioctl_tiocsctty};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
    tcsetwinsize,
};
use std::path::Path;
use std::time::{Duration, Instant};

/// A set of the three standard streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams(u8);

const INPUT: u8 = 1 << 0;
const OUTPUT: u8 = 1 << 1;
const ERRORS: u8 = 1 << 2;

impl Streams {
    /// Those that are terminals.
    pub fn terminals() -> Self {
        let streams = [(stdin(), INPUT), (stdout(), OUTPUT), (stderr(), ERRORS)];
        Self(streams.into_iter().filter(|(fd, _)| isatty(fd)).map(|(_, bit)| bit).sum())
    }

    /// Whether there is one.
    pub fn any(self) -> bool {
        self.0 != 0
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// The one that the terminal's output goes to.
    fn best_for_output(self) -> BorrowedFd<'static> {
        if self.has(OUTPUT) {
            stdout()
        } else if self.has(ERRORS) {
            stderr()
        } else {
            stdin()
        }
    }

    /// Puts a descriptor in the place of each.
    fn replace(self, fd: impl AsFd) -> Result<()> {
        if self.has(INPUT) {
            dup2_stdin(&fd)?;
        }
        if self.has(OUTPUT) {
            dup2_stdout(&fd)?;
        }
        if self.has(ERRORS) {
            dup2_stderr(&fd)?;
        }
        Ok(())
    }
}

/// The caller's terminal, as it was found.
#[derive(Clone, Debug)]
pub struct Outer {
    /// The streams that are it.
    pub streams: Streams,
    before: Termios,
    raw: Termios,
    size: Winsize,
}

impl Outer {
    /// Looks at the caller's terminal; `None` where no standard stream is one.
    ///
    /// # Errors
    /// EIO for a terminal that has hung up.
    pub fn look() -> Result<Option<Self>> {
        let streams = Streams::terminals();
        if !streams.any() {
            return Ok(None);
        }
        let fd = streams.best_for_output();
        let before = tcgetattr(fd)?;
        let mut raw = before.clone();
        raw.make_raw();
        Ok(Some(Self { streams, before, raw, size: tcgetwinsize(fd)? }))
    }

    /// Every key as it is typed, nothing acted on here. Without a terminal as input nothing is typed, and its modes stay.
    pub fn make_raw(&self) {
        if self.streams.has(INPUT) {
            let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.raw);
        }
    }

    /// The modes as they were.
    pub fn restore(&self) {
        if self.streams.has(INPUT) {
            let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
        }
    }

    /// The modes as they were, if they are still the ones that [`Outer::make_raw`] set: who has set others since then wants those.
    pub fn restore_after_death(&self) {
        if !self.streams.has(INPUT) {
            return;
        }
        if let Ok(now) = tcgetattr(stdin())
            && now.local_modes == self.raw.local_modes
            && now.input_modes == self.raw.input_modes
            && now.output_modes == self.raw.output_modes
        {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
        }
    }

    /// The modes that the container's terminal starts with: the caller's. Where nothing is relayed in, the caller's terminal stays as it
    /// is and translates newlines itself, so the container's must not.
    fn inner_modes(&self) -> Termios {
        let mut modes = self.before.clone();
        if !self.streams.has(INPUT) {
            modes.output_modes &= !OutputModes::OPOST;
        }
        modes
    }
}

/// A terminal for the container, from the devpts that `ptmx` belongs to: master and slave. The slave comes by ioctl, not by name
/// (CVE-2025-52565).
///
/// # Errors
/// ENOSPC when no terminal is left.
pub fn pair(ptmx: OwnedFd, outer: &Outer) -> Result<(OwnedFd, OwnedFd)> {
    unlockpt(&ptmx)?;
    let slave = ioctl_tiocgptpeer(&ptmx, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    tcsetattr(&slave, OptionalActions::Now, &outer.inner_modes())?;
    tcsetwinsize(&slave, outer.size)?;
    Ok((ptmx, slave))
}

/// The multiplexer of the caller's own devpts, for a container without mounts.
///
/// # Errors
/// ENOENT without /dev/ptmx.
pub fn host_ptmx() -> Result<OwnedFd> {
    openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
}

/// The multiplexer of a devpts, by the descriptor of its mount.
///
/// # Errors
/// EACCES where ptmxmode forbids it.
pub fn ptmx_of(devpts: impl AsFd) -> Result<OwnedFd> {
    crate::beneath::open(devpts, Path::new("ptmx"), OFlags::RDWR | OFlags::NOCTTY, Mode::empty())
}

/// Makes a slave the controlling terminal of this session and the given streams.
///
/// # Errors
/// EPERM for a process that is no session leader.
pub fn take(slave: &OwnedFd, streams: Streams, uid: u32) -> std::result::Result<(), Trouble> {
    // The group stays: devpts gave it "tty". A uid that may not be given away here (one id mapped) is the same already.
    if uid != 0 {
        fchown(slave, Some(Uid::from_raw(uid)), None::<Gid>)?;
    }
    ioctl_tiocsctty(slave)?;
    Ok(streams.replace(slave)?)
}

/// Three `^]` within this time end the container.
const ESCAPE_TIME: Duration = Duration::from_secs(1);
const ESCAPE_KEY: u8 = 0x1d;
const ESCAPE_PRESSES: usize = 3;

/// What the keys that were relayed ask for besides being relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Nothing.
    Plain,
    /// The line discipline inside makes this signal of one of them.
    Signal(i32),
    /// The container is to end.
    End,
}

/// The relay between the caller's terminal and the container's.
#[derive(Debug)]
pub struct Relay {
    outer: Outer,
    master: Option<OwnedFd>,
    typed: Vec<u8>,
    escapes: Vec<Instant>,
    input: Input,
}

/// Whether more can be typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    Closed,
}

impl Relay {
    /// A relay that waits for its master; the caller's terminal is made raw.
    pub fn new(outer: Outer) -> Self {
        outer.make_raw();
        let input = if outer.streams.has(INPUT) { Input::Open } else { Input::Closed };
        Self { outer, master: None, typed: Vec::new(), escapes: Vec::new(), input }
    }

    /// The container's terminal is there.
    pub fn connect(&mut self, master: OwnedFd) {
        let _ = fcntl_getfl(&master).and_then(|flags| fcntl_setfl(&master, flags | OFlags::NONBLOCK));
        self.master = Some(master);
        self.resize();
    }

    /// The caller's terminal as input, when what was typed before has been taken.
    pub fn wants_input(&self) -> Option<BorrowedFd<'static>> {
        (self.input == Input::Open && self.master.is_some() && self.typed.is_empty()).then(stdin)
    }

    /// The master, and whether something waits to be written to it.
    pub fn master(&self) -> Option<(BorrowedFd<'_>, Pending)> {
        let pending = if self.typed.is_empty() { Pending::Nothing } else { Pending::Input };
        self.master.as_ref().map(|master| (master.as_fd(), pending))
    }

    /// The caller's terminal has another size, or was given back to us.
    pub fn resize(&self) {
        if let (Some(master), Ok(size)) = (&self.master, tcgetwinsize(self.outer.streams.best_for_output())) {
            let _ = tcsetwinsize(master, size);
        }
    }

    /// The caller's terminal raw again, after a stop.
    pub fn resume(&self) {
        self.outer.make_raw();
        self.resize();
    }

    /// The caller's terminal as it was, before a stop.
    pub fn suspend(&self) {
        self.outer.restore();
    }

    /// Reads what was typed and passes it on.
    pub fn keys(&mut self, child: Option<Pid>) -> Keys {
        let mut buffer = [0; 4096];
        match rustix::io::read(stdin(), &mut buffer) {
            Ok(0) | Err(Errno::IO) => {
                self.input = Input::Closed;
                Keys::Plain
            }
            Ok(length) => {
                self.typed.extend_from_slice(&buffer[..length]);
                let asked = self.asked(&buffer[..length], child);
                self.flush();
                asked
            }
            Err(_) => Keys::Plain,
        }
    }

    fn asked(&mut self, keys: &[u8], child: Option<Pid>) -> Keys {
        for _ in keys.iter().filter(|&&key| key == ESCAPE_KEY) {
            self.escapes.push(Instant::now());
        }
        self.escapes.retain(|when| when.elapsed() < ESCAPE_TIME);
        if self.escapes.len() >= ESCAPE_PRESSES {
            return Keys::End;
        }
        // The modes and the foreground group of the slave, asked of the master, tty_ioctl(4).
        let Some(master) = &self.master else { return Keys::Plain };
        let Ok(modes) = tcgetattr(master) else { return Keys::Plain };
        let for_the_child = child.is_some() && tcgetpgrp(master).ok() == child;
        if !modes.local_modes.contains(LocalModes::ISIG) || !for_the_child {
            return Keys::Plain;
        }
        let typed = |index| keys.contains(&modes.special_codes[index]);
        match (typed(SpecialCodeIndex::VINTR), typed(SpecialCodeIndex::VQUIT)) {
            (true, _) => Keys::Signal(libc::SIGINT),
            (_, true) => Keys::Signal(libc::SIGQUIT),
            _ => Keys::Plain,
        }
    }

    /// Writes what is typed and not yet taken.
    pub fn flush(&mut self) {
        let Some(master) = &self.master else { return };
        if let Ok(written) = rustix::io::write(master, &self.typed) {
            self.typed.drain(..written);
        }
    }

    /// Relays what the container has written.
    pub fn output(&mut self) -> Flow {
        let Some(master) = &self.master else { return Flow::Ended };
        let mut buffer = [0; 16 * 1024];
        match rustix::io::read(master, &mut buffer) {
            Ok(length @ 1..) => {
                write_all(self.outer.streams.best_for_output(), &buffer[..length]);
                Flow::More
            }
            Err(Errno::AGAIN | Errno::INTR) => Flow::Dry,
            // EIO: no descriptor of the slave is open any more.
            Ok(_) | Err(_) => {
                self.master = None;
                Flow::Ended
            }
        }
    }

    /// What is left when the container has ended.
    pub fn drain(&mut self) {
        while self.output() == Flow::More {}
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.outer.restore();
    }
}

/// What a read of the master gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Something, perhaps more behind it.
    More,
    /// Nothing now.
    Dry,
    /// Nothing ever.
    Ended,
}

/// What waits to be written to a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Typed keys.
    Input,
    /// Nothing.
    Nothing,
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut ready = [rustix::event::PollFd::from_borrowed_fd(to, rustix::event::PollFlags::OUT)];
                let _ = rustix::event::poll(&mut ready, None);
            }
            // The caller's terminal has gone; the container goes on until it notices.
            Err(_) => return,
        }
    }
}
