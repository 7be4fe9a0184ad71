//! The probe: rustic inside of what is verified. It does what it is told, one crossing after
//! another, each in a process of its own, so that one which is killed or changes its root does not
//! spoil the next; and it judges nothing.

use crate::exit::Exit;
use crate::sys;
use crate::verify::child::ended_within;
use crate::verify::protocol::{Crossing, HELLO, LONGEST, Numbered, Outcome, Reply};
use rustix::event::Timespec;
use rustix::fd::OwnedFd;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::stdio::{stdin, stdout};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;

/// How long one crossing may take.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Says hello, and does what comes on stdin until its end.
pub fn main() -> Exit {
    if rustix::io::write(stdout(), HELLO.as_bytes()).is_err() {
        return Exit::Failed;
    }
    while let Some((Numbered { number, what: crossing }, passed)) = order() {
        let reply = match sys::fork() {
            Ok(None) => {
                let _ = answer(number, crossing.attempt(passed));
                sys::exit_now(0)
            }
            // It has answered by itself, unless it was ended before.
            Ok(Some(child)) => {
                let signal =
                    ended_within(child, &PATIENCE).and_then(|status| status.terminating_signal());
                signal.map(|signal| Reply {
                    call: "wait".into(),
                    arg: String::new(),
                    outcome: Outcome::Killed(signal),
                })
            }
            Err(errno) => Some(Reply::plain("fork", "", Err(errno))),
        };
        if reply.is_some_and(|reply| answer(number, reply).is_err()) {
            return Exit::Failed;
        }
    }
    Exit::Command(0)
}

fn order() -> Option<(Numbered<Crossing>, Option<OwnedFd>)> {
    let mut text = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        recvmsg(stdin(), &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })
    .ok()?;
    let passed = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Some((serde_json::from_slice(&text[..message.bytes]).ok()?, passed))
}

fn answer(number: u64, what: Reply) -> rustix::io::Result<()> {
    let text = serde_json::to_vec(&Numbered { number, what }).unwrap_or_default();
    rustix::io::retry_on_intr(|| rustix::io::write(stdout(), &text)).map(drop)
}
