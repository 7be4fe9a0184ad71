//! The standard streams of a launcher, which passes them to the probe, or stands between: lines, of
//! which those of the probe are told by their nonce. Who has written one is said by nobody but the
//! probe itself, and is looked for in /proc.

use crate::error::{Failure, printable};
use crate::verify::lines::{Line, Lines, Way, framed, read, write_all};
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// The verifier's ends.
pub(super) struct Pipes {
    nonce: String,
    /// To the probe; nothing when it has been told that nothing more comes.
    to: RefCell<Option<OwnedFd>>,
    from: OwnedFd,
    lines: RefCell<Lines>,
    /// What else has come that way.
    chatter: RefCell<Vec<String>>,
    /// What has gone wrong with what passes.
    pub(super) fault: Cell<Option<Fault>>,
}

/// What a launcher does with what passes through it that no launcher should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A message to the probe, or from it, was changed on its way.
    Garbled,
    /// A second probe has said hello.
    Twice,
    /// The probe has said hello, and has answered nothing.
    Mute,
}

impl Fault {
    /// For a reader.
    pub const fn told(self) -> &'static str {
        match self {
            Self::Garbled => "what passes between verify and its probe is changed on its way",
            Self::Twice => "the probe was started twice",
            Self::Mute => "the probe has started, and what it is asked does not reach it",
        }
    }
}

/// How many lines of chatter are kept.
const MOST: usize = 64;

impl Pipes {
    /// Makes them, and the ends for the launcher: its stdin and its stdout.
    ///
    /// # Errors
    /// Why there are none, for a reader.
    pub(super) fn pair(nonce: &str) -> Result<(Self, [OwnedFd; 2]), String> {
        let made = || {
            let (stdin, to) = pipe_with(PipeFlags::CLOEXEC)?;
            let (from, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
            Ok((Self::over(nonce, to, from)?, [stdin, stdout]))
        };
        made().map_err(|errno: Errno| Failure::new("cannot make a pipe").errno(errno).in_a_line())
    }

    /// The same over what is there already.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub(super) fn over(nonce: &str, to: OwnedFd, from: OwnedFd) -> Result<Self, Errno> {
        fcntl_setfl(&to, OFlags::NONBLOCK)?;
        Ok(Self {
            nonce: nonce.to_owned(),
            to: RefCell::new(Some(to)),
            from,
            lines: RefCell::default(),
            chatter: RefCell::default(),
            fault: Cell::new(None),
        })
    }

    pub(super) fn send(&self, message: &[u8], patience: Duration) -> Option<()> {
        let line = framed(&self.nonce, Way::In, message);
        write_all(self.to.borrow().as_ref()?, &line, Some(Instant::now() + patience)).ok()
    }

    /// The next message of the probe.
    pub(super) fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + patience;
        loop {
            let line = self.lines.borrow_mut().next(&self.from, Some(until)).ok()?;
            match read(&self.nonce, Way::Out, &line) {
                Line::Message(message) => return Some(message.to_vec()),
                Line::Garbled => {
                    self.fault.set(Some(Fault::Garbled));
                    return None;
                }
                Line::Chatter => self.keep(&line),
            }
        }
    }

    fn keep(&self, line: &[u8]) {
        let mut chatter = self.chatter.borrow_mut();
        let is_echo = line.starts_with(format!("@{}", self.nonce).as_bytes());
        if !line.is_empty() && !is_echo && chatter.len() < MOST {
            chatter.push(printable(&String::from_utf8_lossy(line)));
        }
    }

    /// What else has come.
    pub(super) fn chatter(&self) -> Vec<String> {
        self.chatter.borrow().clone()
    }

    /// Tells the probe that nothing more comes, and reads what is still said until the end, or for
    /// so long; messages are handed out.
    pub(super) fn close(&self, patience: Duration, mut message: impl FnMut(&[u8])) {
        *self.to.borrow_mut() = None;
        let until = Instant::now() + patience;
        while let Some(said) = self.receive(until.saturating_duration_since(Instant::now())) {
            message(&said);
        }
    }
}
