//! The probe: rustic inside of what is verified. It does what it is told, one crossing after
//! another, each in a process of its own, so that one which is killed or changes its root does not
//! spoil the next; and it judges nothing.
//!
//! A process that has answered stays as it is until the next order: what it holds then, and where it
//! has got to, the outside reads from /proc.

use crate::exit::Exit;
use crate::sys;
use crate::verify::child::ended;
use crate::verify::protocol::{Crossing, HELLO, LONGEST, Numbered, Outcome, Reply};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, kill_process, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal,
};
use std::io::{IoSliceMut, PipeReader, Write};
use std::mem::MaybeUninit;

/// How long one crossing may take.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// A process that has tried a crossing, and is ended with this.
struct Crosser(Pid);

impl Drop for Crosser {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
        let _ = ended(self.0);
    }
}

/// Says hello on a socket, and does what comes on it until its end.
pub fn main(channel: i32) -> Exit {
    let socket = sys::adopt(channel);
    if rustix::io::write(&socket, HELLO.as_bytes()).is_err() {
        return Exit::Failed;
    }
    let mut last = None;
    while let Some((Numbered { number, what: crossing }, passed)) = order(&socket) {
        drop(last.take());
        match tried(&socket, number, &crossing, passed) {
            Ok((crosser, None)) => last = Some(crosser),
            Ok((crosser, Some(reply))) => {
                drop(crosser);
                if answer(&socket, number, reply).is_err() {
                    return Exit::Failed;
                }
            }
            Err(errno) => {
                if answer(&socket, number, Reply::plain("fork", "", Err(errno))).is_err() {
                    return Exit::Failed;
                }
            }
        }
    }
    Exit::Command(0)
}

/// Has it tried in a process of its own, which answers. A reply is what is to be said in its place.
fn tried(
    socket: &OwnedFd,
    number: u64,
    crossing: &Crossing,
    passed: Option<OwnedFd>,
) -> rustix::io::Result<(Crosser, Option<Reply>)> {
    let (answered, mut said) = std::io::pipe().map_err(|error| crate::error::errno_of(&error))?;
    let probe = getpid();
    match sys::fork()? {
        None => {
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            // In another pid namespace, or after its end, it has no parent to be seen.
            if getppid().is_some_and(|parent| parent != probe) {
                sys::exit_now(1)
            }
            drop(answered);
            let _ = answer(socket, number, crossing.attempt(passed));
            let _ = said.write(&[1]);
            drop(said);
            loop {
                rustix::event::pause();
            }
        }
        Some(child) => {
            drop(said);
            let crosser = Crosser(child);
            Ok(match end_within(child, answered) {
                None => (crosser, None),
                Some(signal) => {
                    let outcome = Outcome::Killed(signal);
                    (crosser, Some(Reply { call: "wait".into(), arg: String::new(), outcome }))
                }
            })
        }
    }
}

/// Waits until it has answered. Where it does not within [`PATIENCE`], or is ended before, the
/// signal that has ended it.
fn end_within(child: Pid, mut answered: PipeReader) -> Option<i32> {
    let ready = rustix::io::retry_on_intr(|| {
        poll(&mut [PollFd::new(&answered, PollFlags::IN)], Some(&PATIENCE))
    });
    if ready == Ok(1) && std::io::Read::read(&mut answered, &mut [0]).is_ok_and(|count| count == 1)
    {
        return None;
    }
    if ready != Ok(1)
        && let Ok(pidfd) = pidfd_open(child, PidfdFlags::empty())
    {
        let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    }
    Some(ended(child).and_then(|status| status.terminating_signal()).unwrap_or(0))
}

fn order(socket: &OwnedFd) -> Option<(Numbered<Crossing>, Option<OwnedFd>)> {
    let mut text = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })
    .ok()?;
    let passed = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Some((serde_json::from_slice(&text[..message.bytes]).ok()?, passed))
}

fn answer(socket: &OwnedFd, number: u64, what: Reply) -> rustix::io::Result<()> {
    let text = serde_json::to_vec(&Numbered { number, what }).unwrap_or_default();
    rustix::io::retry_on_intr(|| rustix::io::write(socket, &text)).map(drop)
}
