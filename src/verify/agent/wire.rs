//! The agent's end of what it talks on: the socket that it was started with, or its standard
//! streams, where another launcher has started it.

use crate::error::Failure;
use crate::sys;
use crate::verify::channel::{GARBLED, OVER, said_hello};
use crate::verify::lines::{Line, Lines, Way, framed, read, write_all};
use crate::verify::protocol::{HELLO, LONGEST, Numbered, Reply, Request};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::getpid;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;

/// What an agent is told to talk on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalksOn {
    /// A descriptor that it inherits.
    Descriptor(i32),
    /// Its standard streams, with this nonce in every line.
    Streams(String),
}

/// The agent's end.
pub(super) enum Wire {
    Socket { socket: OwnedFd, buffer: Vec<u8> },
    Streams { nonce: String, lines: Lines },
}

impl Wire {
    /// Takes what it is told to talk on. A terminal passes everything as it is from then on.
    ///
    /// # Errors
    /// A number that is no inherited descriptor.
    pub(super) fn take(on: TalksOn) -> Result<Self, Failure> {
        match on {
            TalksOn::Descriptor(number) => {
                let socket = sys::take_inherited(number).map_err(|errno| {
                    Failure::new(format!("__probe {number}: no such descriptor")).errno(errno)
                })?;
                Ok(Self::Socket { socket, buffer: vec![0; LONGEST] })
            }
            TalksOn::Streams(nonce) => {
                for stream in [stdin(), stdout()].into_iter().filter(|stream| isatty(stream)) {
                    if let Ok(mut modes) = tcgetattr(stream) {
                        modes.make_raw();
                        let _ = tcsetattr(stream, OptionalActions::Now, &modes);
                    }
                }
                Ok(Self::Streams { nonce, lines: Lines::default() })
            }
        }
    }

    /// The first message.
    ///
    /// # Errors
    /// Those of write(2).
    pub(super) fn say_hello(&self) -> Result<(), Errno> {
        match self {
            Self::Socket { .. } => self.say(HELLO.as_bytes()),
            Self::Streams { .. } => {
                self.say(said_hello(getpid().as_raw_nonzero().get()).as_bytes())
            }
        }
    }

    /// The next request, with the descriptor that came along; `None` at the end.
    pub(super) fn asked(&mut self) -> Option<(Numbered<Request>, Option<OwnedFd>)> {
        match self {
            Self::Socket { socket, buffer } => {
                let (length, passed) = received(socket, buffer)?;
                Some((serde_json::from_slice(&buffer[..length]).ok()?, passed))
            }
            Self::Streams { nonce, lines } => loop {
                let line = lines.next(stdin(), None).ok()?;
                let request = match read(nonce, Way::In, &line) {
                    Line::Message(OVER) => return None,
                    Line::Message(message) => serde_json::from_slice(message).ok(),
                    Line::Garbled => None,
                    Line::Chatter => continue,
                };
                match request {
                    Some(request) => return Some((request, None)),
                    None => say(nonce, GARBLED).ok()?,
                }
            },
        }
    }

    /// A reply.
    ///
    /// # Errors
    /// Those of write(2).
    pub(super) fn answer(&self, number: u64, what: &Reply) -> Result<(), Errno> {
        let pid = getpid().as_raw_nonzero().get();
        let text = serde_json::to_vec(&Numbered { number, pid, what }).unwrap_or_default();
        self.say(&text)
    }

    fn say(&self, message: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Socket { socket, .. } => {
                rustix::io::retry_on_intr(|| rustix::io::write(socket, message)).map(drop)
            }
            Self::Streams { nonce, .. } => say(nonce, message),
        }
    }
}

fn say(nonce: &str, message: &[u8]) -> Result<(), Errno> {
    write_all(stdout(), &framed(nonce, Way::Out, message), None)
}

fn received(socket: &OwnedFd, text: &mut [u8]) -> Option<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })
    .ok()?;
    let passed = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Some((message.bytes, passed))
}
