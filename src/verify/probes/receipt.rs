//! What was seen outside, for a reader and for the verdict.

use crate::verify::protocol::{Outcome, Reply};
use crate::verify::verdict::Receipt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::net::{RecvFlags, SocketFlags, accept_with, recv};

/// The receipt of a mark that was seen, or not.
pub(super) fn arrived(seen: bool) -> Receipt {
    if seen { Receipt::Arrived } else { Receipt::Absent }
}

/// How long what the inside says it has sent is waited for: where processors are busy, the kernel
/// delivers what a loopback carries a little after the call of the sender has returned.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Whether there is something to read, or to accept, before the patience is over.
pub(super) fn comes(socket: impl AsFd) -> bool {
    poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&PATIENCE)).is_ok_and(|ready| ready > 0)
}

/// Whether a listener that does not wait got a connection that brought the mark. Only for one that
/// the inside says it has made is there a wait.
pub(super) fn heard(listener: impl AsFd, reply: &Reply, mark: &str) -> (Receipt, &'static str) {
    let is_made = matches!(reply.outcome, Outcome::Done(..)) && comes(&listener);
    let mut text = [0; 64];
    let read = accept_with(&listener, SocketFlags::CLOEXEC).and_then(|stream| {
        if is_made {
            comes(&stream);
        }
        recv(&stream, text.as_mut_slice(), RecvFlags::DONTWAIT)
    });
    if read.is_ok_and(|(_, length)| text[..length] == *mark.as_bytes()) {
        (Receipt::Arrived, "a connection with our word")
    } else {
        (Receipt::Absent, "no connection")
    }
}

/// Whether a message that is there is the mark.
pub(super) fn delivered(arrived: bool) -> (Receipt, &'static str) {
    if arrived { (Receipt::Arrived, "our message") } else { (Receipt::Absent, "no message") }
}
