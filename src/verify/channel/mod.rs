//! What the verifier talks to an agent on: a socket to one that rustic starts, the standard streams
//! to one that another launcher starts. Requests go in, replies come out, and with each reply who
//! has sent it.

mod pipes;
mod socket;

pub use pipes::Fault;

use crate::error::errno_text;
use crate::verify::protocol::{Crossing, HELLO, Numbered, Outcome, Reply, Request};
use pipes::Pipes;
use rustix::event::Timespec;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::fcntl_dupfd_cloexec;
use socket::Socket;
use std::cell::Cell;
use std::time::Duration;

/// How long a start of rustic's may take, an unpack of a whole system included; how long one of
/// another launcher's; and how long an answer.
const START: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };
const OTHER_START: Duration = Duration::from_secs(60);
const ANSWER: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
const OTHER_ANSWER: Duration = Duration::from_secs(5);
/// How long whoever was started may say something when it is told to end.
const END: Duration = Duration::from_secs(5);

/// The verifier's end.
pub struct Channel {
    wire: Wire,
    /// The number of the next request; none when an answer has not come.
    asked: Cell<Option<u64>>,
    /// Who has answered last.
    crosser: Cell<Sender>,
}

enum Wire {
    Socket(Socket),
    Pipes(Pipes),
}

/// A process that has sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The kernel names it, in the verifier's pid namespace.
    Known(i32),
    /// It says so itself, in its own pid namespace.
    Said(i32),
}

/// What came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// What an agent says, from this process.
    Hello(Sender),
    /// Something else.
    Other,
    /// Nothing: whoever had the other end is gone, or took too long.
    Nothing,
}

impl Channel {
    /// A socket, and the end for the agent.
    ///
    /// # Errors
    /// Why there is none, for a reader.
    pub fn socket() -> Result<(Self, OwnedFd), String> {
        let (socket, theirs) = Socket::pair()?;
        Ok((Self::on(Wire::Socket(socket)), theirs))
    }

    /// Pipes, and the ends for a launcher: its stdin and its stdout.
    ///
    /// # Errors
    /// Why there are none, for a reader.
    pub fn pipes(nonce: &str) -> Result<(Self, [OwnedFd; 2]), String> {
        let (pipes, theirs) = Pipes::pair(nonce)?;
        Ok((Self::on(Wire::Pipes(pipes)), theirs))
    }

    /// The side of a terminal that plays its keyboard and its screen.
    ///
    /// # Errors
    /// Why it cannot be used, for a reader.
    pub fn terminal(nonce: &str, master: OwnedFd) -> Result<Self, String> {
        let copy = fcntl_dupfd_cloexec(&master, 0);
        let pipes = copy.and_then(|copy| Pipes::over(nonce, copy, master));
        pipes.map(|pipes| Self::on(Wire::Pipes(pipes))).map_err(errno_text)
    }

    fn on(wire: Wire) -> Self {
        Self { wire, asked: Cell::new(Some(0)), crosser: Cell::new(Sender::Known(0)) }
    }

    /// Waits for what an agent says first.
    pub fn greeting(&self) -> Greeting {
        let sender = match &self.wire {
            Wire::Socket(socket) => socket
                .receive(&START)
                .map(|(said, pid)| (said == HELLO.as_bytes()).then_some(Sender::Known(pid))),
            Wire::Pipes(pipes) => {
                pipes.receive(OTHER_START).map(|said| hello(&said).map(Sender::Said))
            }
        };
        match sender {
            None => Greeting::Nothing,
            Some(None) => Greeting::Other,
            Some(Some(sender)) => {
                self.crosser.set(sender);
                Greeting::Hello(sender)
            }
        }
    }

    /// Has one crossing tried inside, with a descriptor of the outside where one is handed in for
    /// it. An agent that does not answer in time is not asked again.
    pub fn ask<C: Crossing>(&self, crossing: &C, passed: Option<BorrowedFd<'_>>) -> Reply {
        if let (Wire::Pipes(_), Some(_)) = (&self.wire, passed) {
            return Reply::untried(
                "sendmsg",
                "",
                "a launcher passes no descriptor on to its probe",
            );
        }
        let number = self.asked.get();
        self.asked.set(number.map(|number| number + 1));
        let answer = number.and_then(|number| {
            let request = Numbered { number, pid: 0, what: Request::to_try(crossing)? };
            self.send(&serde_json::to_vec(&request).ok()?, passed)?;
            loop {
                let (said, sender) = self.receive()?;
                let reply: Numbered<Reply> = serde_json::from_slice(&said).ok()?;
                if reply.number == number {
                    self.crosser.set(sender.unwrap_or(Sender::Said(reply.pid)));
                    return Some(reply.what);
                }
            }
        });
        answer.unwrap_or_else(|| {
            self.asked.set(None);
            if let (Wire::Pipes(pipes), Some(0), None) = (&self.wire, number, self.fault()) {
                pipes.fault.set(Some(Fault::Mute));
            }
            Reply::new("-", "", Outcome::Silent)
        })
    }

    fn send(&self, message: &[u8], passed: Option<BorrowedFd<'_>>) -> Option<()> {
        match &self.wire {
            Wire::Socket(socket) => socket.send(message, passed),
            Wire::Pipes(pipes) => pipes.send(message, OTHER_ANSWER),
        }
    }

    fn receive(&self) -> Option<(Vec<u8>, Option<Sender>)> {
        match &self.wire {
            Wire::Socket(socket) => {
                let (said, sender) = socket.receive(&ANSWER)?;
                Some((said, Some(Sender::Known(sender))))
            }
            Wire::Pipes(pipes) => loop {
                let said = pipes.receive(OTHER_ANSWER)?;
                match said.as_slice() {
                    said if hello(said).is_some() => pipes.fault.set(Some(Fault::Twice)),
                    GARBLED => {
                        pipes.fault.set(Some(Fault::Garbled));
                        return None;
                    }
                    _ => return Some((said, None)),
                }
            },
        }
    }

    /// Who has answered last, and stays as it is until the next request.
    pub fn crosser(&self) -> Sender {
        self.crosser.get()
    }

    /// Lets the agent end, and says what was wrong with what has passed.
    pub fn close(&self) -> Option<Fault> {
        let pipes = self.streams()?;
        let _ = pipes.send(OVER, OTHER_ANSWER);
        pipes.close(END, |said| {
            if hello(said).is_some() {
                pipes.fault.set(Some(Fault::Twice));
            }
        });
        pipes.fault.get()
    }

    /// What else has come that way.
    pub fn chatter(&self) -> Vec<String> {
        self.streams().map(Pipes::chatter).unwrap_or_default()
    }

    /// What is wrong with what has passed so far.
    pub fn fault(&self) -> Option<Fault> {
        self.streams()?.fault.get()
    }

    fn streams(&self) -> Option<&Pipes> {
        match &self.wire {
            Wire::Socket(_) => None,
            Wire::Pipes(pipes) => Some(pipes),
        }
    }
}

/// What tells an agent on standard streams to end, where their end may not reach it.
pub const OVER: &[u8] = b"over";

/// What an agent says of a message that was no message any more.
pub const GARBLED: &[u8] = b"garbled";

/// The first line of an agent that talks on its standard streams: with its number, as it sees it.
pub fn said_hello(pid: i32) -> String {
    format!("{HELLO} {pid}")
}

fn hello(said: &[u8]) -> Option<i32> {
    std::str::from_utf8(said).ok()?.strip_prefix(HELLO)?.trim().parse().ok()
}
