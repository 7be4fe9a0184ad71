//! The control plane: socket pairs made before the clone, messages of a fixed size, typed ends.
//! rustic's correctness rests on it alone.
//!
//! ```text
//!   parent ──Order───▶ warden   Go, GoWithoutQueue, Signal, Typed, Kill, Heard;
//!                               end of file: the parent is gone, clean up
//!   parent ◀──Report── warden   Started (with a pidfd), Done, Fault, Left, Ended
//!   warden ──Order───▶ child    Go: the ids are mapped
//!   warden ◀──Report── child    Listener (with the seccomp listener)
//!   parent ◀──Report── child    Socket (of sd_notify), Done, Note, Terminal (with the pty), Fault
//!
//!   End of file of a child's wire: execve succeeded, or the child is gone.
//! ```

use crate::exit::Exit;
use rustix::event::{Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{DumpableBehavior, PidfdGetfdFlags, WaitIdStatus, pidfd_getfd};
use std::io::{IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// Bytes of every message.
const FRAME: usize = 512;

/// Bytes of the head: kind, two integers, and the number of a descriptor or [`NONE`].
const HEAD: usize = 16;

/// No descriptor.
const NONE: i32 = -1;

/// What the parent tells the warden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Clone the child, and let it go its way; to the child: go on.
    Go,
    /// The same, but there is no queue to be opened.
    GoWithoutQueue,
    /// The end of the container has been heard: there is nothing to clean up.
    Heard,
    /// Pass this signal on to the child.
    Signal(i32),
    /// The terminal has sent this signal to the group of the child; see that it is not lost.
    Typed(i32),
    /// End the container.
    Kill,
    /// A descriptor that was told by its number has been taken.
    Taken,
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// The end of a process of rustic's that could not do its part: 125.
pub const SILENT: Ending = Ending::Code(125);

impl Ending {
    /// Of a process that was waited for, with the status of a real-time signal too.
    pub fn of(status: &WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code as u8),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Signal(libc::SIGKILL),
        }
    }
}

impl From<Ending> for Exit {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Code(code) => Self::Command(code),
            Ending::Signal(signal) => Self::Signal(signal),
        }
    }
}

/// What the warden and the child tell the parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The child runs, with this pid; a pidfd comes along.
    Started(i32),
    /// Step number so-and-so of the plan is done.
    Done(usize),
    /// A step was answered with an errno that the plan expects.
    Note(usize, Errno),
    /// The master of the container's terminal comes along.
    Terminal,
    /// A view of this standard stream comes along, which the child has opened.
    View(usize),
    /// The socket of sd_notify comes along.
    Socket,
    /// The listener of the seccomp filter comes along.
    Listener,
    /// A step failed.
    Fault {
        /// Its number in the plan.
        step: usize,
        /// The kernel's answer.
        errno: Errno,
        /// What it was about.
        detail: String,
    },
    /// Something of the run could not be removed.
    Left(Errno),
    /// The child has ended and nothing else of it is left.
    Ended(Ending),
}

/// A message of the control plane.
pub trait Message: Sized {
    /// Kind, two integers, text. Text beyond the frame is cut.
    fn encode(&self) -> ([i32; 3], &str);
    /// The same backwards; `None` for what no end of ours sends.
    fn decode(head: [i32; 3], text: &str) -> Option<Self>;
    /// What is answered when a descriptor was taken that had come as a number.
    fn taken() -> Option<Self>;
}

impl Message for Order {
    fn encode(&self) -> ([i32; 3], &str) {
        let head = match *self {
            Self::Go => [0, 0, 0],
            Self::GoWithoutQueue => [5, 0, 0],
            Self::Heard => [4, 0, 0],
            Self::Signal(signal) => [1, signal, 0],
            Self::Typed(signal) => [2, signal, 0],
            Self::Kill => [3, 0, 0],
            Self::Taken => [6, 0, 0],
        };
        (head, "")
    }

    fn taken() -> Option<Self> {
        Some(Self::Taken)
    }

    fn decode(head: [i32; 3], _: &str) -> Option<Self> {
        match head {
            [0, ..] => Some(Self::Go),
            [1, signal, ..] => Some(Self::Signal(signal)),
            [2, signal, ..] => Some(Self::Typed(signal)),
            [3, ..] => Some(Self::Kill),
            [4, ..] => Some(Self::Heard),
            [5, ..] => Some(Self::GoWithoutQueue),
            [6, ..] => Some(Self::Taken),
            _ => None,
        }
    }
}

impl Message for Report {
    fn encode(&self) -> ([i32; 3], &str) {
        match self {
            Self::Started(pid) => ([0, *pid, 0], ""),
            Self::Done(step) => ([1, *step as i32, 0], ""),
            Self::Note(step, errno) => ([2, *step as i32, errno.raw_os_error()], ""),
            Self::Terminal => ([3, 0, 0], ""),
            Self::Fault { step, errno, detail } => {
                ([4, *step as i32, errno.raw_os_error()], detail)
            }
            Self::Listener => ([7, 0, 0], ""),
            Self::Socket => ([8, 0, 0], ""),
            Self::View(number) => ([10, *number as i32, 0], ""),
            Self::Left(errno) => ([9, 0, errno.raw_os_error()], ""),
            Self::Ended(Ending::Code(code)) => ([5, (*code).into(), 0], ""),
            Self::Ended(Ending::Signal(signal)) => ([6, *signal, 0], ""),
        }
    }

    fn taken() -> Option<Self> {
        None
    }

    fn decode(head: [i32; 3], text: &str) -> Option<Self> {
        let step = usize::try_from(head[1]).ok();
        // The crate takes no number that is no errno.
        let errno = || (1..4096).contains(&head[2]).then(|| Errno::from_raw_os_error(head[2]));
        match head[0] {
            0 => Some(Self::Started(head[1])),
            1 => Some(Self::Done(step?)),
            2 => Some(Self::Note(step?, errno()?)),
            3 => Some(Self::Terminal),
            4 => Some(Self::Fault { step: step?, errno: errno()?, detail: text.to_owned() }),
            5 => Some(Self::Ended(Ending::Code(u8::try_from(head[1]).ok()?))),
            7 => Some(Self::Listener),
            8 => Some(Self::Socket),
            10 => Some(Self::View(step?)),
            9 => Some(Self::Left(errno()?)),
            6 => Some(Self::Ended(Ending::Signal(head[1]))),
            _ => None,
        }
    }
}

/// What a read of an end gave.
#[derive(Debug)]
pub enum Received<M> {
    /// A message, perhaps with a descriptor.
    Message(M, Option<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// The other side is gone.
    Closed,
    /// It could not be read, and the kernel goes on saying so.
    Failed(Errno),
}

/// One end of a wire: it sends `Out` and receives `In`.
#[derive(Debug)]
pub struct End<Out, In> {
    socket: OwnedFd,
    /// Who sends here, to take descriptors from that cannot be sent.
    peer: Option<OwnedFd>,
    types: PhantomData<(Out, In)>,
}

/// How a descriptor went along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    /// In the message, or there was none.
    Along,
    /// As a number, under which it must stay open until it is taken.
    AsNumber,
}

/// The end of who gives orders: the parent's towards the warden and the child, the warden's towards
/// the child.
pub type NearEnd = End<Order, Report>;
/// The end of who reports.
pub type FarEnd = End<Report, Order>;

/// Two connected ends. SOCK_SEQPACKET keeps messages apart and tells end of file, unix(7).
///
/// # Errors
/// EMFILE, ENFILE.
pub fn wire() -> Result<(NearEnd, FarEnd)> {
    let (one, other) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((End::over(one), End::over(other)))
}

impl<Out: Message, In: Message> End<Out, In> {
    /// An end over a socket that was inherited.
    pub fn over(socket: OwnedFd) -> Self {
        Self { socket, peer: None, types: PhantomData }
    }

    /// Tells the end which process is at the other one, by its pidfd.
    pub fn know_peer(&mut self, pidfd: OwnedFd) {
        self.peer = Some(pidfd);
    }

    /// Gives the descriptor a number of at least `first`.
    ///
    /// # Errors
    /// EMFILE.
    pub fn renumber(&mut self, first: i32) -> Result<()> {
        self.socket = rustix::io::fcntl_dupfd_cloexec(&self.socket, first)?;
        Ok(())
    }

    /// Sends a message, with a descriptor where one belongs to it.
    ///
    /// # Errors
    /// EPIPE when the other side is gone; never SIGPIPE. ENOMEM and ENOBUFS after the kernel has been
    /// asked for a while: whoever waits for the message must be told otherwise, or ended.
    pub fn send(&self, message: &Out, descriptor: Option<BorrowedFd<'_>>) -> Result<()> {
        self.send_whole(message, descriptor).map(drop)
    }

    /// The same for a descriptor that the sender closes afterwards: where it went as a number, the
    /// other side has taken it when this returns.
    ///
    /// # Errors
    /// As [`End::send`].
    pub fn pass(&self, message: &Out, descriptor: BorrowedFd<'_>) -> Result<()> {
        if self.send_whole(message, Some(descriptor))? == Went::Along {
            return Ok(());
        }
        match self.wait() {
            Received::Message(..) => Ok(()),
            Received::Nothing => Err(Errno::AGAIN),
            Received::Closed => Err(Errno::PIPE),
            Received::Failed(errno) => Err(errno),
        }
    }

    /// unix(7) counts the descriptors that a user has in flight, wherever they are: whoever has no
    /// CAP_SYS_RESOURCE can be kept from sending any by another process of the same uid
    /// (ETOOMANYREFS). Then a number goes along, and the other side takes the descriptor by
    /// pidfd_getfd(2), Linux 5.6.
    fn send_whole(&self, message: &Out, descriptor: Option<BorrowedFd<'_>>) -> Result<Went> {
        match (self.send_with(message, descriptor, NONE), descriptor) {
            (Err(Errno::TOOMANYREFS), Some(descriptor)) => {
                // A change of ids has made this process one that nobody may look into, prctl(2);
                // execve does the same for CMD.
                rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
                self.send_with(message, None, descriptor.as_raw_fd())?;
                Ok(Went::AsNumber)
            }
            (sent, _) => sent.map(|()| Went::Along),
        }
    }

    fn send_with(
        &self,
        message: &Out,
        descriptor: Option<BorrowedFd<'_>>,
        number: i32,
    ) -> Result<()> {
        let ([kind, one, two], text) = message.encode();
        let head = [kind, one, two, number];
        let mut frame = [0; FRAME];
        for (place, number) in frame[..HEAD].chunks_exact_mut(4).zip(head) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        let room = text.floor_char_boundary(FRAME - HEAD);
        frame[HEAD..HEAD + room].copy_from_slice(&text.as_bytes()[..room]);

        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let bytes = [IoSlice::new(&frame)];
        patiently(|| sendmsg(&self.socket, &bytes, &mut ancillary, SendFlags::NOSIGNAL)).map(drop)
    }

    /// Reads a message without waiting.
    pub fn receive(&self) -> Received<In> {
        self.read(RecvFlags::DONTWAIT)
    }

    /// Reads a message, waiting for it.
    pub fn wait(&self) -> Received<In> {
        self.read(RecvFlags::empty())
    }

    fn read(&self, flags: RecvFlags) -> Received<In> {
        let mut frame = [0; FRAME];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let read = patiently(|| {
            recvmsg(
                &self.socket,
                &mut [IoSliceMut::new(&mut frame)],
                &mut ancillary,
                flags | RecvFlags::CMSG_CLOEXEC,
            )
        });
        match read {
            Err(Errno::AGAIN) => Received::Nothing,
            Err(Errno::CONNRESET) => Received::Closed,
            Err(errno) => Received::Failed(errno),
            Ok(received) if received.bytes == FRAME => {
                let descriptor = ancillary.drain().find_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                    _ => None,
                });
                let number = |at: usize| {
                    i32::from_ne_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
                };
                let text = String::from_utf8_lossy(&frame[HEAD..]);
                let descriptor = match (descriptor, number(12)) {
                    (None, told @ 0..) => match self.take(told) {
                        Ok(descriptor) => Some(descriptor),
                        Err(errno) => return Received::Failed(errno),
                    },
                    (descriptor, _) => descriptor,
                };
                match In::decode([number(0), number(4), number(8)], text.trim_end_matches('\0')) {
                    Some(message) => Received::Message(message, descriptor),
                    None => Received::Closed,
                }
            }
            _ => Received::Closed,
        }
    }
}

impl<Out: Message, In: Message> End<Out, In> {
    /// Takes a descriptor of the other side, and says so.
    fn take(&self, number: i32) -> Result<OwnedFd> {
        let peer = self.peer.as_ref().ok_or(Errno::SRCH)?;
        let taken = pidfd_getfd(peer, number, PidfdGetfdFlags::empty());
        if let Some(answer) = Out::taken() {
            self.send_with(&answer, None, NONE)?;
        }
        taken
    }
}

/// Does it again while the kernel has no memory for it: that passes, or is told after a second.
fn patiently<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    const TIMES: usize = 100;
    const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    for _ in 0..TIMES {
        match retry_on_intr(&mut call) {
            Err(Errno::NOMEM | Errno::NOBUFS) => {
                let _ = poll(&mut [], Some(&PAUSE));
            }
            result => return result,
        }
    }
    retry_on_intr(call)
}

impl<Out, In> AsFd for End<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_arrives_as_it_was_sent() {
        let (parent, warden) = wire().unwrap();
        let long = "ö".repeat(400);
        let sent = [
            Report::Started(7),
            Report::Done(3),
            Report::Note(4, Errno::NOENT),
            Report::Terminal,
            Report::Listener,
            Report::Socket,
            Report::View(2),
            Report::Left(Errno::BUSY),
            Report::Fault { step: 9, errno: Errno::LOOP, detail: "/dev is a symlink".into() },
            Report::Ended(Ending::Code(255)),
            Report::Ended(Ending::Signal(64)),
        ];
        for report in &sent {
            warden.send(report, None).unwrap();
            assert!(matches!(parent.receive(), Received::Message(got, None) if got == *report));
        }
        warden
            .send(&Report::Fault { step: 0, errno: Errno::IO, detail: long.clone() }, None)
            .unwrap();
        assert!(
            matches!(parent.receive(), Received::Message(Report::Fault { detail, .. }, _) if long.starts_with(&detail) && detail.len() > 400)
        );
        assert!(matches!(parent.receive(), Received::Nothing));
        drop(warden);
        assert!(matches!(parent.receive(), Received::Closed));
    }
}
