//! A socket to the agent that rustic starts: messages stay apart, a descriptor can go along, and
//! the kernel names the process that has sent each.

use crate::error::{Failure, errno_text};
use crate::verify::protocol::LONGEST;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    sockopt,
};
use std::cell::RefCell;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The verifier's end.
pub(super) struct Socket {
    socket: OwnedFd,
    /// For what comes, which is long enough to be worth keeping.
    buffer: RefCell<Vec<u8>>,
}

impl Socket {
    /// Makes one, and the end for the agent.
    ///
    /// # Errors
    /// Why there is none, for a reader.
    pub(super) fn pair() -> Result<(Self, OwnedFd), String> {
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| {
                    Failure::new("cannot make a socket pair").errno(errno).in_a_line()
                })?;
        sockopt::set_socket_passcred(&socket, true)
            .map_err(|errno| format!("cannot ask for credentials: {}", errno_text(errno)))?;
        Ok((Self { socket, buffer: RefCell::new(vec![0; LONGEST]) }, theirs))
    }

    pub(super) fn send(&self, message: &[u8], passed: Option<BorrowedFd<'_>>) -> Option<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = passed.map(|fd| [fd]);
        if let Some(descriptors) = &descriptors {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        sendmsg(&self.socket, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL)
            .ok()
            .map(drop)
    }

    /// The next message and the process that sent it, which the kernel names in the reader's pid
    /// namespace.
    pub(super) fn receive(&self, patience: &Timespec) -> Option<(Vec<u8>, i32)> {
        let mut buffer = self.buffer.borrow_mut();
        let ready = rustix::io::retry_on_intr(|| {
            poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(patience))
        });
        if ready != Ok(1) {
            return None;
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message = recvmsg(
            self.socket.as_fd(),
            &mut [IoSliceMut::new(&mut buffer)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
        .ok()?;
        let sender = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(credentials) => {
                Some(credentials.pid.as_raw_nonzero().get())
            }
            _ => None,
        });
        (message.bytes > 0).then(|| (buffer[..message.bytes].to_vec(), sender.unwrap_or(0)))
    }
}
