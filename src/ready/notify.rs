//! sd_notify(3): the socket that a program inside says READY=1 to, and the one of whoever started
//! rustic.

use crate::error::SysError;
use crate::namespace::Switch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, chmodat};
use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, bind, connect, recvmsg, send, socket_with,
};
use std::ffi::OsString;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SendError, Sender, channel};

/// Where the socket is inside, and the value of NOTIFY_SOCKET there.
pub const PATH: &str = "/dev/rustic.notify";

/// The socket's name in /dev.
const NAME: &str = "rustic.notify";

/// The longest message that is read; systemd's own limit is the same.
const LONGEST: usize = 4096;

/// How long the queue of whoever started rustic may be full before READY is lost.
pub const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

/// The most descriptors that a message can carry, unix(7) (SCM_MAX_FD).
const MOST_DESCRIPTORS: usize = 253;

fn datagram() -> Result<OwnedFd> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
}

/// Makes the socket in a directory, for everybody to write to. The path through /proc is short
/// whatever the directory is called, as unix(7) leaves 108 bytes for it.
///
/// # Errors
/// EADDRINUSE where the name is taken.
pub fn make(dev: impl AsFd) -> std::result::Result<OwnedFd, SysError> {
    let socket = datagram()?;
    bind(
        &socket,
        &SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", dev.as_fd().as_raw_fd()))?,
    )?;
    chmodat(&dev, NAME, Mode::from_raw_mode(0o666), AtFlags::empty())?;
    Ok(socket)
}

/// What a message said, sd_notify(3). All else is read, so that nobody waits for room, and not acted
/// on.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether READY=1 was a line of it.
    pub ready: Switch,
    /// The lines that concern whoever supervises the service, each with its end.
    pub lines: String,
}

/// What is passed on as it was said. MAINPID is not: rustic is the main process, whose exit code is
/// CMD's.
const PASSED_ON: [&str; 4] = ["STATUS=", "STOPPING=", "EXTEND_TIMEOUT_USEC=", "WATCHDOG="];

/// The socket, and who closes what comes along on it. close(2) of a descriptor that somebody inside
/// has sent can take minutes, as of a TCP socket with SO_LINGER: the parent never does that itself.
#[derive(Debug)]
pub struct Inner {
    socket: OwnedFd,
    /// Where descriptors go to be closed, once there has been one.
    closer: Option<Sender<OwnedFd>>,
    /// How many have not been closed yet.
    open: Arc<AtomicUsize>,
}

/// When so many descriptors wait to be closed, messages wait too.
const MOST_OPEN: usize = 16;

impl Inner {
    /// A socket of [`make`].
    pub fn over(socket: OwnedFd) -> Self {
        Self { socket, closer: None, open: Arc::default() }
    }

    /// Whether it can be read: as long as what came before is closed in time.
    pub fn can_be_read(&self) -> bool {
        self.open.load(Ordering::Relaxed) < MOST_OPEN
    }

    /// The next message, or `None` when there is none. Descriptors that came along are closed by a
    /// thread, which also answers BARRIER=1; the process that has it clones no more.
    pub fn receive(&mut self) -> Option<Said> {
        if !self.can_be_read() {
            return None;
        }
        let (said, descriptors) = receive(&self.socket)?;
        self.open.fetch_add(descriptors.len(), Ordering::Relaxed);
        for descriptor in descriptors {
            let closer = self.closer.get_or_insert_with(|| closer(Arc::clone(&self.open)));
            // Without a thread it stays open until rustic ends: waiting here would be worse.
            if let Err(SendError(descriptor)) = closer.send(descriptor) {
                let _stays_open = descriptor.into_raw_fd();
            }
        }
        Some(said)
    }
}

impl AsFd for Inner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn closer(open: Arc<AtomicUsize>) -> Sender<OwnedFd> {
    let (sender, receiver) = channel::<OwnedFd>();
    let close = move || {
        for descriptor in receiver {
            drop(descriptor);
            open.fetch_sub(1, Ordering::Relaxed);
        }
    };
    // A limit on threads ends the channel at once, and nothing is closed.
    let _ = std::thread::Builder::new().name("closer".into()).spawn(close);
    sender
}

fn receive(socket: impl AsFd) -> Option<(Said, Vec<OwnedFd>)> {
    let mut text = [0; LONGEST];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    loop {
        let read = recvmsg(
            &socket,
            &mut [IoSliceMut::new(&mut text)],
            &mut ancillary,
            RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC,
        );
        match read {
            Ok(message) => {
                let descriptors = ancillary.drain().flat_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
                    _ => Vec::new(),
                });
                return Some((said(&text[..message.bytes]), descriptors.collect()));
            }
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

fn said(text: &[u8]) -> Said {
    let lines = || text.split(|&byte| byte == b'\n');
    let ready = if lines().any(|line| line == b"READY=1") { Switch::Yes } else { Switch::No };
    let lines = lines().filter_map(|line| std::str::from_utf8(line).ok()).filter_map(passed_on);
    Said { ready, lines: lines.collect() }
}

/// A line with its end, if it concerns whoever supervises the service.
pub fn passed_on(line: &str) -> Option<String> {
    let is_known = PASSED_ON.iter().any(|key| line.starts_with(key));
    (is_known && !line.chars().any(char::is_control)).then(|| format!("{line}\n"))
}

/// The socket of whoever started rustic, as systemd names it in NOTIFY_SOCKET: a path, or `@` and
/// an abstract name.
#[derive(Debug)]
pub struct NotifySocket(SocketAddrUnix);

impl NotifySocket {
    /// Reads a value of NOTIFY_SOCKET; `None` for one that is neither.
    pub fn named(value: &OsString) -> Option<Self> {
        let address = match value.as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name).ok()?,
            [b'/', ..] => SocketAddrUnix::new(value.as_os_str()).ok()?,
            _ => return None,
        };
        Some(Self(address))
    }

    /// Tells it these lines. Where its queue is full, `patience` is waited for room.
    ///
    /// # Errors
    /// ECONNREFUSED, ENOENT: nobody listens; EAGAIN: the queue stays full.
    pub fn tell(&self, lines: &str, patience: Timespec) -> Result<()> {
        let socket = datagram()?;
        connect(&socket, &self.0)?;
        match send(&socket, lines.as_bytes(), SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&patience))?;
                send(&socket, lines.as_bytes(), SendFlags::NOSIGNAL).map(drop)
            }
            result => result.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_a_line_of_its_own() {
        let ready = |text: &[u8]| said(text).ready;
        assert_eq!(ready(b"STATUS=warm\nREADY=1"), Switch::Yes);
        assert_eq!(ready(b"READY=1\nMAINPID=7\n"), Switch::Yes);
        for other in [&b"READY=10"[..], b"XREADY=1", b"READY=0", b"", b"\0\xff"] {
            assert_eq!(said(other), Said { ready: Switch::No, lines: String::new() });
        }
    }

    #[test]
    fn what_is_the_supervisors_is_passed_on_and_nothing_else() {
        let all = b"STATUS=half way\nREADY=1\nMAINPID=1\nFDSTORE=1\nBUSERROR=x\nWATCHDOG=1\n\
            STOPPING=1\nEXTEND_TIMEOUT_USEC=5\nSTATUS=\xff\nSTATUS=a\x1b[2J\nXSTATUS=1";
        let lines = "STATUS=half way\nWATCHDOG=1\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=5\n";
        assert_eq!(said(all), Said { ready: Switch::Yes, lines: lines.into() });
    }

    #[test]
    fn an_address_is_a_path_or_an_abstract_name() {
        assert!(
            NotifySocket::named(&"/run/x".into()).is_some()
                && NotifySocket::named(&"@x".into()).is_some()
        );
        assert!(
            NotifySocket::named(&"relative".into()).is_none()
                && NotifySocket::named(&"".into()).is_none()
        );
    }
}
