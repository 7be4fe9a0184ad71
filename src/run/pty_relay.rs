//! The relay between the caller's terminal and the container's. Nothing here waits: what cannot be
//! written yet stays in a buffer, and the one poll of the parent tells when it can.

use crate::run::keys::{Escapes, Keys};
use crate::run::pty::{Job, Outer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::stdio::stdin;
use rustix::termios::{tcgetwinsize, tcsetwinsize};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// As much is typed ahead of a CMD that does not read; what comes after that waits in the caller's
/// terminal.
const MOST_TYPED: usize = 64 * 1024;

/// As much is shown at once.
const CHUNK: usize = 16 * 1024;

/// How often a run in the background looks whether it was brought to the foreground: nothing tells
/// a running job.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// How long a terminal that takes nothing is waited for when the container has ended.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// One side of the relay, to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelaySide {
    /// Keys of the caller's terminal.
    Keys,
    /// The container's terminal, to read, and to write what is typed.
    Inner,
    /// The caller's terminal, to write what is shown.
    Outer,
}

/// Whether more can be typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typing {
    Open,
    Closed,
}

/// The relay between two terminals, and what waits in it.
#[derive(Debug)]
pub struct Relay {
    outer: Outer,
    ground: Job,
    /// The caller's terminal opened anew, so that not waiting for it is nobody else's affair;
    /// `None` where it may not be.
    screen: Option<OwnedFd>,
    master: Option<OwnedFd>,
    /// The other side, held open here too: when everything inside has closed it, the terminal is
    /// still there, for keys, for signals, and for who opens /dev/tty again.
    #[allow(dead_code, reason = "it is held, never used")]
    slave: Option<OwnedFd>,
    typed: Vec<u8>,
    shown: Vec<u8>,
    escapes: Escapes,
    input: Typing,
}

impl Relay {
    /// A relay that waits for its master; the caller's terminal is made raw.
    pub fn new(outer: Outer) -> Self {
        let ground = outer.make_raw();
        let input = if outer.streams.have_input() { Typing::Open } else { Typing::Closed };
        let path = format!("/proc/self/fd/{}", outer.streams.best_for_output().as_raw_fd());
        let screen = open(
            path,
            OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .ok();
        Self {
            outer,
            ground,
            screen,
            master: None,
            slave: None,
            typed: Vec::new(),
            shown: Vec::new(),
            escapes: Escapes::default(),
            input,
        }
    }

    /// The container's terminal is there.
    pub fn connect(&mut self, master: OwnedFd) {
        let _ =
            fcntl_getfl(&master).and_then(|flags| fcntl_setfl(&master, flags | OFlags::NONBLOCK));
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        self.slave = ioctl_tiocgptpeer(&master, flags).ok();
        self.master = Some(master);
        self.resize();
    }

    /// What is to be waited for now.
    pub fn sources(&self) -> Vec<(RelaySide, PollFd<'_>)> {
        let keys = self.input == Typing::Open
            && self.ground == Job::Foreground
            && self.master.is_some()
            && self.typed.len() < MOST_TYPED;
        let mut inner = PollFlags::empty();
        inner.set(PollFlags::IN, self.shown.is_empty());
        inner.set(PollFlags::OUT, !self.typed.is_empty());
        let sources = [
            keys.then(|| (RelaySide::Keys, PollFd::from_borrowed_fd(stdin(), PollFlags::IN))),
            self.master
                .as_ref()
                .filter(|_| !inner.is_empty())
                .map(|master| (RelaySide::Inner, PollFd::from_borrowed_fd(master.as_fd(), inner))),
            (!self.shown.is_empty()).then(|| {
                (RelaySide::Outer, PollFd::from_borrowed_fd(self.screen(), PollFlags::OUT))
            }),
        ];
        sources.into_iter().flatten().collect()
    }

    /// After this time the relay wants to look around even if nothing happens.
    pub fn patience(&self) -> Option<Timespec> {
        (self.input == Typing::Open && self.ground == Job::Background).then_some(LOOK)
    }

    /// Looks whether a run in the background was brought to the foreground.
    pub fn look_around(&mut self) {
        if self.patience().is_some() {
            self.ground = self.outer.make_raw();
        }
    }

    /// The caller's terminal has another size.
    pub fn resize(&self) {
        if let (Some(master), Ok(size)) =
            (&self.master, tcgetwinsize(self.outer.streams.best_for_output()))
        {
            let _ = tcsetwinsize(master, size);
        }
    }

    /// The caller's terminal raw again, after a stop.
    pub fn resume(&mut self) {
        self.ground = self.outer.make_raw();
        self.resize();
    }

    /// The caller's terminal as it was, before a stop.
    pub fn suspend(&mut self) {
        if self.ground == Job::Foreground {
            self.outer.restore();
            self.ground = Job::Background;
        }
    }

    /// Reads what was typed and passes it on.
    pub fn keys(&mut self, child: Option<Pid>) -> Keys {
        let mut buffer = [0; 4096];
        match rustix::io::read(stdin(), &mut buffer) {
            // A raw terminal has no end of file: it has hung up. Closing the master passes that on.
            Ok(0) | Err(Errno::IO) => {
                self.input = Typing::Closed;
                self.master = None;
                Keys::HungUp
            }
            Ok(length) => {
                self.typed.extend_from_slice(&buffer[..length]);
                let asked = self.escapes.asked(&buffer[..length], self.master.as_ref(), child);
                self.type_on();
                asked
            }
            Err(_) => Keys::Plain,
        }
    }

    fn screen(&self) -> BorrowedFd<'_> {
        self.screen.as_ref().map_or_else(|| self.outer.streams.best_for_output(), AsFd::as_fd)
    }

    /// Moves what can be moved: keys to the container, its output to the screen.
    pub fn inner(&mut self) {
        self.type_on();
        if self.shown.is_empty() {
            self.read();
            self.show();
        }
    }

    fn type_on(&mut self) {
        if let Some(master) = &self.master
            && let Ok(written) = rustix::io::write(master, &self.typed)
        {
            self.typed.drain(..written);
        }
    }

    fn read(&mut self) {
        let Some(master) = &self.master else { return };
        let mut buffer = vec![0; CHUNK];
        match rustix::io::read(master, &mut buffer) {
            Ok(length @ 1..) => self.shown.extend_from_slice(&buffer[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // EIO: the terminal has hung up.
            Ok(_) | Err(_) => self.master = None,
        }
    }

    /// Shows what the screen takes.
    pub fn show(&mut self) {
        while !self.shown.is_empty() {
            match rustix::io::write(self.screen(), &self.shown) {
                Ok(written) => drop(self.shown.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The caller's terminal has gone; the container goes on until it notices.
                Err(_) => self.shown.clear(),
            }
        }
    }

    /// Shows what is left when the container has ended. A screen that takes nothing for a while, or
    /// a signal (`hurry` has something to read), ends that too.
    pub fn drain(&mut self, hurry: BorrowedFd<'_>) {
        loop {
            if self.shown.is_empty() {
                let length = self.shown.len();
                self.read();
                if self.shown.len() == length {
                    return;
                }
            }
            self.show();
            if !self.shown.is_empty() {
                let screen = self.screen();
                let mut fds = [
                    PollFd::from_borrowed_fd(screen, PollFlags::OUT),
                    PollFd::from_borrowed_fd(hurry, PollFlags::IN),
                ];
                let wait = Timespec::try_from(LAST_WAIT).ok();
                if poll(&mut fds, wait.as_ref())
                    .is_ok_and(|ready| ready == 0 || !fds[1].revents().is_empty())
                {
                    return;
                }
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.suspend();
    }
}
