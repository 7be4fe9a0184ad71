//! The socket to an agent: requests go in, with a descriptor where one is handed in, and replies
//! come out, with the process that has sent each.

use crate::error::errno_text;
use crate::verify::protocol::{Crossing, HELLO, LONGEST, Numbered, Outcome, Reply, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    sockopt,
};
use std::cell::{Cell, RefCell};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// How long a start may take, an unpack of a whole system included, and how long an answer.
const START: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };
const ANSWER: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// The verifier's end.
pub struct Channel {
    socket: OwnedFd,
    /// The number of the next request; none when an answer has not come.
    asked: Cell<Option<u64>>,
    /// For what comes, which is long enough to be worth keeping.
    buffer: RefCell<Vec<u8>>,
    /// The process that has answered last.
    crosser: Cell<i32>,
}

/// What came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// What an agent says, from this process.
    Hello(i32),
    /// Something else.
    Other,
    /// Nothing: whoever had the other end is gone, or took too long.
    Nothing,
}

impl Channel {
    /// Makes one, and the end for the agent.
    ///
    /// # Errors
    /// Why there is none, for a reader.
    pub fn pair() -> Result<(Self, OwnedFd), String> {
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| format!("cannot make a socket pair: {}", errno_text(errno)))?;
        sockopt::set_socket_passcred(&socket, true)
            .map_err(|errno| format!("cannot ask for credentials: {}", errno_text(errno)))?;
        let channel = Self {
            socket,
            asked: Cell::new(Some(0)),
            buffer: RefCell::new(vec![0; LONGEST]),
            crosser: Cell::new(0),
        };
        Ok((channel, theirs))
    }

    /// Waits for what an agent says first.
    pub fn greeting(&self) -> Greeting {
        let mut buffer = self.buffer.borrow_mut();
        match receive(&self.socket, &START, &mut buffer) {
            Some((length, sender)) if buffer[..length] == *HELLO.as_bytes() => {
                self.crosser.set(sender);
                Greeting::Hello(sender)
            }
            Some(_) => Greeting::Other,
            None => Greeting::Nothing,
        }
    }

    /// Has one crossing tried inside, with a descriptor of the outside where one is handed in for
    /// it. An agent that does not answer in time is not asked again.
    pub fn ask<C: Crossing>(&self, crossing: &C, passed: Option<BorrowedFd<'_>>) -> Reply {
        let number = self.asked.get();
        self.asked.set(number.map(|number| number + 1));
        let answer = number.and_then(|number| {
            self.send(&Numbered { number, what: Request::to_try(crossing)? }, passed)?;
            loop {
                let mut buffer = self.buffer.borrow_mut();
                let (length, sender) = receive(&self.socket, &ANSWER, &mut buffer)?;
                let reply: Numbered<Reply> = serde_json::from_slice(&buffer[..length]).ok()?;
                if reply.number == number {
                    self.crosser.set(sender);
                    return Some(reply.what);
                }
            }
        });
        answer.unwrap_or_else(|| {
            self.asked.set(None);
            Reply::new("-", "", Outcome::Silent)
        })
    }

    /// The process that has answered last, and stays as it is until the next request.
    pub fn crosser(&self) -> i32 {
        self.crosser.get()
    }

    fn send(&self, request: &Numbered<Request>, passed: Option<BorrowedFd<'_>>) -> Option<()> {
        let text = serde_json::to_vec(request).ok()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = passed.map(|fd| [fd]);
        if let Some(descriptors) = &descriptors {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        sendmsg(&self.socket, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL)
            .ok()
            .map(drop)
    }
}

/// The length of the next message and the process that sent it, which the kernel names in the
/// reader's pid namespace.
fn receive(socket: impl AsFd, patience: &Timespec, text: &mut [u8]) -> Option<(usize, i32)> {
    let ready = rustix::io::retry_on_intr(|| {
        poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(patience))
    });
    if ready != Ok(1) {
        return None;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(&socket, &mut [IoSliceMut::new(text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
            .ok()?;
    let sender = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(credentials) => {
            Some(credentials.pid.as_raw_nonzero().get())
        }
        _ => None,
    });
    (message.bytes > 0).then(|| (message.bytes, sender.unwrap_or(0)))
}
