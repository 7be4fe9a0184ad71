//! A wire between two processes: socket pairs made before the clone, with typed ends, and
//! descriptors that go along with messages.

use crate::namespace::Switch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{DumpableBehavior, PidfdGetfdFlags, pidfd_getfd};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// The longest message, in bytes.
const LONGEST: usize = 4096;

/// What passes along a wire: one JSON value a message, so that whatever can be said can be read.
pub trait Message: Serialize + DeserializeOwned {
    /// What is answered when a descriptor was taken that had come as a number; `None` from the side
    /// that never answers.
    fn taken() -> Option<Self>;
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
    /// Whether a descriptor that cannot be sent may be taken from here.
    numbers: Switch,
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

/// Two connected ends. SOCK_SEQPACKET keeps messages apart and tells end of file, unix(7).
///
/// # Errors
/// EMFILE, ENFILE.
pub fn pair<Out: Message, In: Message>() -> Result<(End<Out, In>, End<In, Out>)> {
    let (one, other) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((End::over(one), End::over(other)))
}

impl<Out: Message, In: Message> End<Out, In> {
    /// An end over a socket that was inherited.
    pub fn over(socket: OwnedFd) -> Self {
        Self { socket, peer: None, numbers: Switch::Yes, types: PhantomData }
    }

    /// Tells the end which process is at the other one, by its pidfd.
    pub fn know_peer(&mut self, pidfd: OwnedFd) {
        self.peer = Some(pidfd);
    }

    /// Waits for the end of the process at the other side, where it is known: its end of the wire
    /// may be closed before its other descriptors are.
    pub fn outlive_peer(&self) {
        if let Some(peer) = &self.peer {
            let _ = retry_on_intr(|| poll(&mut [PollFd::new(peer, PollFlags::IN)], None));
        }
    }

    /// Sends descriptors in messages only: for a process that nobody may look into.
    pub fn never_by_number(&mut self) {
        self.numbers = Switch::No;
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
        match (self.send_with(message, descriptor, None), descriptor) {
            (Err(Errno::TOOMANYREFS), Some(descriptor)) if self.numbers == Switch::Yes => {
                // A change of ids has made this process one that nobody may look into, prctl(2);
                // execve does the same for CMD.
                rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
                self.send_with(message, None, Some(descriptor.as_raw_fd()))?;
                Ok(Went::AsNumber)
            }
            (sent, _) => sent.map(|()| Went::Along),
        }
    }

    fn send_with(
        &self,
        message: &Out,
        descriptor: Option<BorrowedFd<'_>>,
        number: Option<i32>,
    ) -> Result<()> {
        let text = serde_json::to_vec(&(number, message)).map_err(|_| Errno::INVAL)?;
        if text.len() > LONGEST {
            return Err(Errno::MSGSIZE);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let bytes = [IoSlice::new(&text)];
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
        let mut text = [0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut receive = || {
            recvmsg(
                &self.socket,
                &mut [IoSliceMut::new(&mut text)],
                &mut ancillary,
                flags | RecvFlags::CMSG_CLOEXEC,
            )
        };
        // Told once where the other side has ended without reading everything: what it had said is
        // still there, and comes first.
        let read = match patiently(&mut receive) {
            Err(Errno::CONNRESET) => patiently(&mut receive),
            read => read,
        };
        match read {
            Err(Errno::AGAIN) => Received::Nothing,
            Err(Errno::CONNRESET) => Received::Closed,
            Err(errno) => Received::Failed(errno),
            Ok(received) if received.bytes == 0 => Received::Closed,
            Ok(received) => {
                let descriptor = ancillary.drain().find_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                    _ => None,
                });
                self.read_message(&text[..received.bytes], descriptor)
            }
        }
    }

    fn read_message(&self, text: &[u8], descriptor: Option<OwnedFd>) -> Received<In> {
        match serde_json::from_slice::<(Option<i32>, In)>(text) {
            Ok((None, message)) => Received::Message(message, descriptor),
            Ok((Some(number), message)) => match self.take(number) {
                Ok(descriptor) => Received::Message(message, Some(descriptor)),
                Err(errno) => Received::Failed(errno),
            },
            Err(_) => Received::Failed(Errno::BADMSG),
        }
    }

    /// Takes a descriptor of the other side, and says so.
    fn take(&self, number: i32) -> Result<OwnedFd> {
        let peer = self.peer.as_ref().ok_or(Errno::SRCH)?;
        let taken = pidfd_getfd(peer, number, PidfdGetfdFlags::empty());
        if let Some(answer) = Out::taken() {
            self.send_with(&answer, None, None)?;
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
