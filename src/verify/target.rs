//! Who is verified: a probe behind walls, or one without any for the control; identified from
//! outside, and asked.

use crate::error::{errno_text, printable};
use crate::namespace::Namespace;
use crate::random;
use crate::sys;
use crate::verify::child::ended_within;
use crate::verify::held::Held;
use crate::verify::launch::{Role, Start, become_it, environment};
use crate::verify::probes::{Canaries, fds, mnt, terminal};
use crate::verify::protocol::{Crossing, HELLO, LONGEST, Numbered, Outcome, Reply};
use crate::verify::shown::{self, Shown, Way};
use crate::verify::stage::Stage;
use crate::verify::verdict::Identity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    sockopt,
};
use rustix::process::{Pid, getpid};
use rustix::stdio::stderr;
use std::cell::{Cell, OnceCell, RefCell};
use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// How long a start may take, an unpack of a whole system included, and how long an answer.
const START: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };
const ANSWER: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
const END: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// A probe that runs.
pub struct Target {
    /// Who it is.
    pub role: Role,
    /// Its process, in the verifier's pid namespace, as the kernel tells it.
    pub pid: i32,
    /// What it leaves outside where a crossing works; no other run has the same.
    pub mark: String,
    /// The caller's terminal, as far as it knows.
    pub terminal: Result<terminal::Pair, String>,
    namespaces: Vec<Result<Sides, String>>,
    /// Its mounts as they were when it had started, or why they could not be read.
    pub shown: Result<Vec<Shown>, String>,
    /// The files behind its stdin and stdout.
    pub streams: Result<fds::Streams, String>,
    /// What one look at every descriptor has found.
    swept: OnceCell<Reply>,
    /// Its capabilities, which stay what they are.
    effective: OnceCell<u64>,
    /// The ways through the roots of processes outside.
    pub(super) ways: OnceCell<Vec<Way>>,
    /// The number of the next order; none when an answer has not come.
    asked: Cell<Option<u64>>,
    /// For what comes, which is long enough to be worth keeping.
    buffer: RefCell<Vec<u8>>,
    /// The process that has answered last.
    crosser: Cell<i32>,
    /// What it talks on: a probe ends with it. Dropped before the launcher, which is waited
    /// for.
    socket: OwnedFd,
    _launcher: Launcher,
    /// The mounts of the stage before it was started; what has come since is taken away when it has
    /// ended.
    pub mounts: mnt::Before,
}

/// A namespace of the outside and the one inside, held open while they are compared.
pub struct Sides {
    /// The verifier's.
    pub outside: OwnedFd,
    /// The probe's.
    pub inside: OwnedFd,
}

impl Sides {
    fn open(pid: i32, namespace: Namespace) -> Result<Self, String> {
        let of = |process: &str, entry: &str| {
            let path = format!("/proc/{process}/ns/{entry}");
            open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| format!("{path}: {}", errno_text(errno)))
        };
        let entry = namespace.proc_entry();
        // unshare(2) puts children into a new time namespace, not the caller.
        let ours = if namespace == Namespace::Time { "time_for_children" } else { entry };
        Ok(Self { outside: of("self", ours)?, inside: of(&pid.to_string(), entry)? })
    }

    /// Device and inode number of each, the outside first: the same file is the same namespace.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn files(&self) -> rustix::io::Result<[(u64, u64); 2]> {
        let file = |fd: &OwnedFd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
        Ok([file(&self.outside)?, file(&self.inside)?])
    }
}

impl Target {
    /// Starts it.
    ///
    /// # Errors
    /// What kept it from starting, for a reader.
    pub fn start(stage: &Stage, canaries: &Canaries, role: Role) -> Result<Self, String> {
        let mark = random::letters(12).map_err(errno_text)?;
        let mounts = mnt::Before::now();
        let terminal = terminal::Pair::open();
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| format!("cannot make a socket pair: {}", errno_text(errno)))?;
        sockopt::set_socket_passcred(&socket, true)
            .map_err(|errno| format!("cannot ask for credentials: {}", errno_text(errno)))?;
        let parent = getpid();
        let streams = fds::Streams::make(stage, &mark);
        let argv = role.argv(&stage.nonce);
        let env = environment(stage);
        // SAFETY: the verifier has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let fork_result = unsafe { sys::fork() };
        let pid =
            match fork_result.map_err(|errno| format!("cannot fork: {}", errno_text(errno)))? {
                Some(pid) => pid,
                None => {
                    let start = Start {
                        stage,
                        canaries,
                        role: &role,
                        terminal: terminal.as_ref().ok(),
                        streams: streams.as_ref().ok(),
                        theirs,
                        parent,
                    };
                    if let Err(errno) = become_it(&start, &argv, &env) {
                        // What it says there is what the verifier reads when no probe answers.
                        let _ = rustix::io::write(
                            stderr(),
                            format!("cannot start it: {}\n", errno_text(errno)).as_bytes(),
                        );
                    }
                    sys::exit_now(125)
                }
            };
        drop(theirs);
        let launcher = Launcher(pid);
        let mut buffer = vec![0; LONGEST];
        let Some((length, sender)) = receive(&socket, &START, &mut buffer) else {
            drop(launcher);
            let said = terminal.as_ref().map(terminal::Pair::said).unwrap_or_default();
            return Err(in_a_line(&said)
                .unwrap_or_else(|| "the container has ended before its probe could start".into()));
        };
        if buffer[..length] != *HELLO.as_bytes() {
            drop(socket);
            return Err("what was started does not speak as a probe does".into());
        }
        let namespaces =
            Namespace::ALL.into_iter().map(|namespace| Sides::open(sender, namespace)).collect();
        let doors = role.ordered().map_or(&[][..], |ordered| &ordered.doors);
        let is_open = role.ordered().is_none();
        let shown = shown::mounts(sender, doors, |mount| is_open || !stage.is_own(&mount.point));
        Ok(Self {
            role,
            pid: sender,
            mark,
            terminal,
            namespaces,
            shown,
            streams,
            swept: OnceCell::new(),
            effective: OnceCell::new(),
            ways: OnceCell::new(),
            asked: Cell::new(Some(0)),
            buffer: RefCell::new(buffer),
            crosser: Cell::new(sender),
            socket,
            _launcher: launcher,
            mounts,
        })
    }

    /// Has one crossing tried inside.
    pub fn ask(&self, crossing: &Crossing) -> Reply {
        self.ask_with(crossing, None)
    }

    /// The same, with a descriptor of the outside that is handed in for this one crossing. A probe
    /// that does not answer in time is not asked again.
    pub fn ask_with(&self, crossing: &Crossing, passed: Option<BorrowedFd<'_>>) -> Reply {
        let number = self.asked.get();
        self.asked.set(number.map(|number| number + 1));
        let answer = number.and_then(|number| {
            self.send(&Numbered { number, what: crossing }, passed)?;
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

    /// The process that has answered last, and stays as it is until the next order.
    pub fn crosser(&self) -> i32 {
        self.crosser.get()
    }

    /// What that process holds under a number.
    ///
    /// # Errors
    /// ENOENT where it holds nothing there, EACCES where it may not be looked at.
    pub fn held(&self, number: i32) -> Result<Held, Errno> {
        Held::of(self.crosser(), number)
    }

    /// The reply of the one crossing that looks at every descriptor, asked for once.
    pub fn swept(&self, crossing: impl FnOnce() -> Crossing) -> Reply {
        self.swept.get_or_init(|| self.ask(&crossing())).clone()
    }

    fn send(&self, order: &Numbered<&Crossing>, passed: Option<BorrowedFd<'_>>) -> Option<()> {
        let text = serde_json::to_vec(order).ok()?;
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

    /// Whether it is in the same namespace as the stage.
    pub fn identity(&self, namespace: Namespace) -> Identity {
        match self.sides(namespace) {
            Ok(sides) => match sides.files() {
                Ok([outside, inside]) if outside == inside => Identity::Same,
                Ok(_) => Identity::Different,
                Err(errno) => Identity::Unreadable(errno_text(errno)),
            },
            Err(reason) => Identity::Unreadable(reason.clone()),
        }
    }

    /// The two sides of a namespace, or why they could not be read.
    pub fn sides(&self, namespace: Namespace) -> Result<&Sides, &String> {
        self.namespaces[namespace as usize].as_ref()
    }

    /// The capabilities of the probe, from outside: the effective set, a bit each.
    pub fn effective(&self) -> u64 {
        *self.effective.get_or_init(|| self.read_effective())
    }

    fn read_effective(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
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

/// What was said, on one line: the error, with its cause and its way out.
fn in_a_line(said: &str) -> Option<String> {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| printable(&lines.join("; ")))
}

/// The process that was started; it has ended when this is gone.
struct Launcher(Pid);

impl Drop for Launcher {
    fn drop(&mut self) {
        let _ = ended_within(self.0, &END);
    }
}
