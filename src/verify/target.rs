//! Who is verified: a probe behind walls, or one without any for the control; started, identified
//! from outside, and asked.

use crate::error::{errno_text, of_nix, printable};
use crate::host::capability;
use crate::mountinfo;
use crate::namespace::{Namespace, Namespaces, Switch};
use crate::random;
use crate::spec::{Door, Opening, PROBE};
use crate::sys;
use crate::verify::child::ended_within;
use crate::verify::held::Held;
use crate::verify::probes::{Canaries, fds, mnt, terminal};
use crate::verify::protocol::{self, Crossing, HELLO, LONGEST, Numbered, Outcome, Reply};
use crate::verify::shown::{self, Shown};
use crate::verify::stage::{Rights, Stage};
use crate::verify::verdict::Identity;
use caps::Capability;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    sockopt,
};
use rustix::process::{Pid, Signal, getpid, getppid, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr};
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CString, OsString};
use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What was ordered of a container.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// The capabilities of what runs inside, a bit each.
    pub cap_mask: u64,
    /// The capabilities beyond those that every container has.
    pub further_rights: u64,
    /// The directory that is its root, where it is one of the host's.
    pub directory: Option<PathBuf>,
    /// What was ordered and opens a wall, besides namespaces.
    pub doors: Vec<Door>,
    /// Further options of `rustic run`.
    pub words: Vec<OsString>,
}

/// Who is started.
#[derive(Clone, Debug)]
pub enum Role {
    /// The control: the probe in the stage, with every right that the verifier has.
    Open,
    /// A container.
    Contained(Ordered),
}

/// How long a start may take, an unpack of a whole system included, and how long an answer.
const START: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };
const ANSWER: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
const END: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The descriptor that a probe talks on, as the process that starts it has it.
const CHANNEL: i32 = 9;

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
    ways: OnceCell<Vec<Way>>,
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

/// A way to the tree of the outside.
pub struct Way {
    /// Where that tree is, inside.
    pub root: PathBuf,
    /// What was ordered and makes it one.
    pub door: Option<String>,
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
        let pid =
            match sys::fork().map_err(|errno| format!("cannot fork: {}", errno_text(errno)))? {
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

    /// Opens files inside, the nearest thing to touching them that touches nothing (O_PATH), and
    /// hands out what was opened, seen from outside; `None` for what could not be opened.
    ///
    /// # Errors
    /// The reply of a probe that has not done it.
    pub fn open_inside(
        &self,
        paths: &[PathBuf],
        mut seen: impl FnMut(&Path, Option<Held>),
    ) -> Result<(), Reply> {
        // Few enough for a process that may have few descriptors, and for a message.
        const AT_ONCE: usize = 8;
        for some in paths.chunks(AT_ONCE) {
            let reply = self.ask(&Crossing::Open { paths: some.to_vec() });
            if !matches!(reply.outcome, Outcome::Done(..)) {
                return Err(reply);
            }
            let numbers = protocol::numbers(reply.data());
            for (index, path) in some.iter().enumerate() {
                let number = numbers.iter().find(|(one, _)| *one == index).map(|(_, fd)| *fd);
                let held = number.map(|number| self.held(number)).transpose();
                seen(
                    path,
                    held.map_err(|errno| Reply::plain("readlink", "/proc/PID/fd", Err(errno)))?,
                );
            }
        }
        Ok(())
    }

    /// Its mounts; none where they could not be read.
    pub fn mounts(&self) -> &[Shown] {
        self.shown.as_deref().unwrap_or_default()
    }

    /// Where a whole file system of a kind is mounted.
    pub fn points(&self, kind: &str) -> Vec<PathBuf> {
        let whole = self
            .mounts()
            .iter()
            .filter(|Shown { mount, .. }| mount.kind == kind && mount.root == Path::new("/"));
        let mut points: Vec<PathBuf> = whole.map(|shown| shown.mount.point.clone()).collect();
        points.dedup();
        points
    }

    /// The paths inside of a file of a file system of this kind, by whole mounts of it and by those
    /// of a part.
    pub fn paths_of(&self, kind: &str, file: &Path) -> Vec<PathBuf> {
        let file = Path::new("/").join(file);
        let of_kind = self.mounts().iter().filter(|shown| shown.mount.kind == kind);
        let paths = of_kind.filter_map(|Shown { mount, .. }| {
            let rest = file.strip_prefix(&mount.root).ok()?;
            Some(if rest == Path::new("") { mount.point.clone() } else { mount.point.join(rest) })
        });
        let mut paths: Vec<PathBuf> = paths.collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Where a directory of one process is mounted, and what of it: `/PID`, or a part below.
    pub fn parts_of_processes(&self) -> impl Iterator<Item = (&Shown, PathBuf)> {
        self.mounts().iter().filter_map(|shown| {
            let mut parts = shown.mount.root.components().skip(1);
            let first = parts.next()?.as_os_str().to_str()?;
            let is_process = shown.mount.kind == "proc" && first.parse::<u32>().is_ok();
            is_process.then(|| (shown, parts.collect()))
        })
    }

    /// The ways to the tree of the outside through the root of a process outside, as far as they can
    /// be gone: `process` in every proc that is mounted, and every process that is mounted alone.
    pub fn ways(&self, process: i32) -> &[Way] {
        self.ways.get_or_init(|| {
            let whole = self.points("proc").into_iter().map(|point| Way {
                door: self.role.shares(Namespace::Pid).or_else(|| self.door_at(&point)),
                root: point.join(format!("{process}/root")),
            });
            let alone = self.parts_of_processes().filter(|(_, part)| part == Path::new(""));
            let alone = alone.map(|(shown, _)| Way {
                root: shown.mount.point.join("root"),
                door: shown.door.clone(),
            });
            let ways: Vec<Way> = whole.chain(alone).collect();
            // The link itself can be seen by whoever may not follow it.
            let ends: Vec<PathBuf> = ways.iter().map(|way| way.root.join(".")).collect();
            let mut gone = Vec::new();
            let _ = self.open_inside(&ends, |path, held| {
                gone.extend(held.is_some().then(|| path.to_owned()));
            });
            ways.into_iter().filter(|way| gone.contains(&way.root.join("."))).collect()
        })
    }

    /// The door by which a path inside is reached: a way to the outside's tree, or a mount.
    pub fn door_for(&self, path: &Path) -> Option<String> {
        let ways = self.ways.get().into_iter().flatten();
        let mut by = ways.filter(|way| path.starts_with(&way.root));
        by.next().map_or_else(|| self.door_at(path), |way| way.door.clone())
    }

    /// The mount that a path inside is on; `None` where the root is no mount of its own.
    pub fn mount_under(&self, path: &Path) -> Option<&Shown> {
        let mounts: Vec<_> = self.mounts().iter().map(|shown| &shown.mount).collect();
        let under = mountinfo::under(&mounts, path)?;
        self.mounts().iter().find(|shown| shown.mount.id == under.id)
    }

    /// The door by which what is at a path inside has come in.
    pub fn door_at(&self, path: &Path) -> Option<String> {
        // Below a root that is no mount of its own nothing is to be seen of what it is on.
        match self.mount_under(path) {
            Some(shown) => shown.door.clone(),
            None => self.role.door(|opening| {
                matches!(opening, Opening::Files { target, .. } if target == Path::new("/"))
            }),
        }
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

impl Role {
    /// The options of the container; `None` for the control.
    pub fn ordered(&self) -> Option<&Ordered> {
        match self {
            Self::Open => None,
            Self::Contained(ordered) => Some(ordered),
        }
    }

    /// The door of this kind, if it was ordered.
    pub fn door(&self, wanted: impl Fn(&Opening) -> bool) -> Option<String> {
        let doors = self.ordered().map_or(&[][..], |ordered| &ordered.doors);
        doors.iter().find(|door| wanted(&door.opening)).map(|door| door.name.clone())
    }

    /// The name of a namespace's door, if it was ordered to be shared.
    pub fn shares(&self, namespace: Namespace) -> Option<String> {
        self.ordered()
            .filter(|ordered| !ordered.namespaces.is_new(namespace))
            .map(|_| namespace.proc_entry().to_owned())
    }

    /// The name of a right, if it was ordered beyond what every container has.
    pub fn right(&self, capability: Capability) -> Option<String> {
        self.ordered()
            .filter(|ordered| ordered.further_rights & capability.bitmask() != 0)
            .map(|_| capability.to_string())
    }

    /// The command line.
    pub fn argv(&self, nonce: &str) -> Vec<OsString> {
        let text = |word: &str| OsString::from(word);
        match self {
            Self::Open => vec![
                text("rustic-probe"),
                OsString::from_vec(PROBE.to_bytes().to_vec()),
                CHANNEL.to_string().into(),
                text(nonce),
            ],
            Self::Contained(ordered) => {
                let mut words = vec![text("rustic"), text("run")];
                for namespace in Namespace::ALL {
                    let switch =
                        if ordered.namespaces.get(namespace) == Switch::Yes { "yes" } else { "no" };
                    words.extend([format!("--{}", namespace.name()).into(), text(switch)]);
                }
                words.extend(ordered.words.iter().cloned());
                words.extend([
                    text("--color=never"),
                    format!("--probe={CHANNEL}").into(),
                    text(nonce),
                ]);
                words
            }
        }
    }
}

/// What the new process needs on its way to execve.
struct Start<'a> {
    stage: &'a Stage,
    canaries: &'a Canaries,
    role: &'a Role,
    terminal: Option<&'a terminal::Pair>,
    streams: Option<&'a fds::Streams>,
    theirs: OwnedFd,
    parent: Pid,
}

/// Becomes rustic, or the control's probe: a session and a terminal of its own, what a careless
/// caller would leave it, and the verifier's death as its own.
fn become_it(start: &Start<'_>, argv: &[OsString], env: &[CString]) -> Result<(), Errno> {
    setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(start.parent) {
        return Err(Errno::SRCH);
    }
    if let Some(terminal) = start.terminal {
        terminal.take()?;
        dup2_stderr(&terminal.slave)?;
    }
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    match start.streams {
        Some(streams) => {
            dup2_stdin(&streams.input)?;
            dup2_stdout(&streams.output)?;
        }
        None => {
            dup2_stdin(&null)?;
            dup2_stdout(&null)?;
        }
    }
    fds::leave_open(start.canaries, start.theirs.as_fd(), CHANNEL)?;
    fds::take_odd_habits()?;
    if let Ok(place) = &start.stage.cgroup {
        place.enter()?;
    }
    match start.role {
        Role::Open => keep_rights_through_execve()?,
        Role::Contained(_)
            if start.stage.rights == Rights::Stage && start.stage.caller.uid == 0 =>
        {
            hold_no_more_than(start.stage.held)?
        }
        Role::Contained(_) => {}
    }
    let argv: Vec<CString> =
        argv.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    nix::unistd::execve(c"/proc/self/exe", &argv, env).map(|never| match never {}).map_err(of_nix)
}

/// A uid other than 0 loses its capabilities at execve, but for the ambient ones.
fn keep_rights_through_execve() -> Result<(), Errno> {
    use rustix::thread::{
        CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
    };
    let sets = capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: sets.permitted, ..sets })?;
    for cap in (0..64).filter(|cap| sets.permitted.bits() & 1 << cap != 0) {
        configure_capability_in_ambient_set(capability(cap), true)?;
    }
    Ok(())
}

/// Root of the stage's user namespace would hold more than the caller did outside.
fn hold_no_more_than(held: u64) -> Result<(), Errno> {
    for cap in (0..64).filter(|cap| held & 1 << cap == 0) {
        match rustix::thread::remove_capability_from_bounding_set(capability(cap)) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn environment(stage: &Stage) -> Vec<CString> {
    // Which root it is says the command line alone.
    let others =
        std::env::vars_os().filter(|(name, _)| name != fds::VARIABLE && name != "RUSTIC_ROOTFS");
    let ours = others.chain([(fds::VARIABLE.into(), stage.secret.clone().into())]);
    ours.filter_map(|(name, value)| {
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    })
    .collect()
}

/// The length of the next message and the process that sent it, which the kernel names in the reader's pid
/// namespace.
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
