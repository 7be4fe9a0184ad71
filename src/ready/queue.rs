//! The POSIX message queue, mq_overview(7): made by the parent, opened by name by the child, seen
//! by whoever shares the IPC namespace.

use crate::error::SysError;
use crate::random;
use crate::ready::message::{LONGEST, NONCE};
use crate::test_switches;
use nix::errno::Errno;
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_close, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{fchmod, fchown};
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

/// mq_msgsize in bytes: the article's 80 characters and a NUL.
const MESSAGE_SIZE: i64 = LONGEST as i64 + 1;

/// mq_maxmsg: the article's.
const MESSAGES: i64 = 10;

/// How long a full message queue limit is waited for: 256 queues of a namespace or a user's bytes
/// come free when other runs end.
const PATIENCE: Duration = Duration::from_secs(2);

/// The name of a queue and the nonce of its messages, both unpredictable.
#[derive(Clone, Debug)]
pub struct Name {
    /// With its leading slash, as mq_open(3) wants it.
    pub path: CString,
    /// What a message must carry to count.
    pub nonce: String,
}

impl Name {
    /// A name nobody can make beforehand: 130 random bits.
    ///
    /// # Errors
    /// Those of getrandom(2).
    pub fn random() -> Result<Self, SysError> {
        let letters = random::letters(26 + NONCE)?;
        let (name, nonce) = letters.split_at(26);
        // A test that plays the stranger has to know the name.
        let ordered = test_switches::ordered("RUSTIC_QUEUE_NAME");
        let name = ordered.as_deref().unwrap_or(name);
        let path = CString::new(format!("/rustic.{name}")).map_err(|_| rustix::io::Errno::INVAL)?;
        Ok(Self { path, nonce: nonce.to_owned() })
    }

    /// The path as text, for an error or under `-v`.
    pub fn shown(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// An open queue. The kernel frees its place among the queues of the namespace when every
/// descriptor of it is closed: see [`Queue::close`].
#[derive(Debug)]
pub struct Queue(MqdT);

impl Queue {
    /// Makes the queue: O_EXCL, so that nobody's older queue of the name is used, mode 0600,
    /// non-blocking. `msg_max` bounds the number of messages; `owner` is the uid that it is given
    /// to, where that is not the caller's. Where all queues are taken it waits for two seconds.
    ///
    /// # Errors
    /// EEXIST, EMFILE (RLIMIT_MSGQUEUE), ENOSPC (fs.mqueue.queues_max), ENOSYS; EPERM for an owner
    /// without CAP_CHOWN. The name is free then, unless somebody else has it.
    pub fn make(name: &Name, msg_max: i64, owner: Option<u32>) -> Result<Self, SysError> {
        let flags = MQ_OFlag::O_CREAT
            | MQ_OFlag::O_EXCL
            | MQ_OFlag::O_RDWR
            | MQ_OFlag::O_NONBLOCK
            | MQ_OFlag::O_CLOEXEC;
        let attributes = MqAttr::new(0, MESSAGES.min(msg_max).max(1), MESSAGE_SIZE, 0);
        let since = Instant::now();
        loop {
            match mq_open(
                name.path.as_c_str(),
                flags,
                Mode::S_IRUSR | Mode::S_IWUSR,
                Some(&attributes),
            ) {
                Err(Errno::EMFILE | Errno::ENOSPC) if since.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20))
                }
                Err(Errno::EINTR) => {}
                result => {
                    let queue = Self(result?);
                    return match queue.settle(owner) {
                        Ok(()) => Ok(queue),
                        Err(errno) => {
                            // Nobody else knows of it yet.
                            let _ = mq_unlink(name.path.as_c_str());
                            queue.close();
                            Err(errno.into())
                        }
                    };
                }
            }
        }
    }

    /// Gives a new queue its mode, which the caller's umask has cut, and its owner.
    fn settle(&self, owner: Option<u32>) -> rustix::io::Result<()> {
        fchmod(self, rustix::fs::Mode::from_raw_mode(0o600))?;
        match owner {
            Some(uid) => fchown(self, Some(rustix::fs::Uid::from_raw(uid)), None),
            None => Ok(()),
        }
    }

    /// Opens a queue by name, to write.
    ///
    /// # Errors
    /// ENOENT where the caller's IPC namespace has no such queue.
    pub fn open(name: &CStr) -> Result<Self, SysError> {
        let flags = MQ_OFlag::O_WRONLY | MQ_OFlag::O_NONBLOCK | MQ_OFlag::O_CLOEXEC;
        Ok(Self(mq_open(name, flags, Mode::empty(), None)?))
    }

    /// Sends one message.
    ///
    /// # Errors
    /// EAGAIN when the queue is full, EMSGSIZE.
    pub fn send(&self, message: &[u8]) -> Result<(), SysError> {
        loop {
            match mq_send(&self.0, message, 0) {
                Err(Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Sends one message, waiting for room: a stranger who fills the queue delays it until the
    /// parent has read on.
    ///
    /// # Errors
    /// EAGAIN when the queue stays full for two seconds.
    pub fn send_patiently(&self, message: &[u8]) -> Result<(), SysError> {
        let since = Instant::now();
        loop {
            match self.send(message) {
                Err(error)
                    if error.errno == rustix::io::Errno::AGAIN && since.elapsed() < PATIENCE =>
                {
                    let mut room = [PollFd::new(self, PollFlags::OUT)];
                    let left = Timespec::try_from(PATIENCE.saturating_sub(since.elapsed())).ok();
                    let _ = poll(&mut room, left.as_ref());
                }
                result => return result,
            }
        }
    }

    /// The next message, or `None` when there is none.
    ///
    /// # Errors
    /// EBADF and the like; an empty queue is not an error.
    pub fn receive(&self) -> Result<Option<Vec<u8>>, SysError> {
        let (mut buffer, mut priority) = ([0; MESSAGE_SIZE as usize], 0);
        loop {
            match mq_receive(&self.0, &mut buffer, &mut priority) {
                Ok(length) => return Ok(Some(buffer[..length].to_vec())),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Closes it; a queue is no file, and nix has no destructor for it.
    pub fn close(self) {
        let _ = mq_close(self.0);
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Removes a name. It is fine if it is gone.
///
/// # Errors
/// EACCES for a queue of somebody else.
pub fn remove(name: &Name) -> Result<(), SysError> {
    match mq_unlink(name.path.as_c_str()) {
        Err(Errno::ENOENT) => Ok(()),
        result => Ok(result?),
    }
}
