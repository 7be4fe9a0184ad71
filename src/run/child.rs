//! The child: inside its new namespaces it walks the plan, one step after another, and becomes CMD.
//! It never returns, decides nothing, and runs no destructor of the parent.

use crate::beneath::{self, Kind};
use crate::error::SysError;
use crate::mounts;
use crate::namespace::Switch;
use crate::ready::queue::Queue;
use crate::ready::{message, notify};
use crate::rootfs::Origin;
use crate::rootfs::meter::Hashing;
use crate::rootfs::stream::Threads;
use crate::rootfs::unpack::Unpack;
use crate::rootfs::watch::Unwatched;
use crate::rootfs::writer::{
    Devices, Owners, UnpackLimits as Limits, UnpackRights as Rights, write_all,
};
use crate::run::control::{FarEnd, Order, Received, Report};
use crate::run::plan::{Plan, READY_FD};
use crate::run::pty::{self, Outer, Terminals};
use crate::run::step::{Mount, Place, Quota, Side, Source, Step, Tree};
use crate::run::stream_relay::Ends;
use crate::run::streams::{self, Stream, Streams};
use crate::run::{exec, signals};
use crate::self_exe;
use crate::spec::{First, PROBE, Sysctl, Verbosity};
use crate::sys;
use crate::walls::proc_masks::{self, Hidden, Masks};
use crate::walls::seccomp::SelfSignals;
use crate::walls::{dev, hostname, keyring, loopback, privileges, root, seccomp};
use nix::sys::personality::Persona;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, fchmod, fchown, fcntl_getfl, fstat, mkdirat, open, openat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{
    Resource, Rlimit, Signal, chdir, fchdir, set_parent_process_death_signal, setrlimit, setsid,
    umask,
};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the child is given besides the plan.
pub struct Inheritance<'a> {
    /// The wire to the parent.
    pub report: FarEnd,
    /// The wire to the warden, which says when the child may go on.
    pub gate: FarEnd,
    /// The caller's terminal.
    pub outer: Option<&'a Outer>,
    /// A terminal's multiplexer that the parent opened, for a container without mounts.
    pub ptmx: Option<OwnedFd>,
    /// rustic itself, sealed, where the child becomes it.
    pub own: Option<OwnedFd>,
    /// What the probe of `rustic verify` talks on.
    pub channel: Option<OwnedFd>,
    /// The pipe that CMD says READY=1 on, with `--ready app`.
    pub ready: Option<OwnedFd>,
    /// The standard streams, with the views that the parent has opened.
    pub streams: &'a Streams,
    /// CMD's ends of the pipes behind them.
    pub ends: Ends,
    /// What is told.
    pub talk: Verbosity,
}

/// Walks the child's side of the plan. Ends the process if a step fails.
pub fn main(plan: &Plan, inheritance: Inheritance<'_>) -> ! {
    let mut child = Child {
        base: None,
        scratch: None,
        root: None,
        mounts: (0..plan.slots).map(|_| None).collect(),
        masks: None,
        views: [None, None, None],
        queue: None,
        has_queue: Switch::Yes,
        home: None,
        given: inheritance,
    };
    for (number, step) in plan.side(Side::Child) {
        if let Err(error) = step.ordered_failure().map_or_else(|| child.take(number, step), Err) {
            let fault = Report::Fault { step: number, errno: error.errno, detail: error.detail };
            let _ = child.given.report.send(&fault, None);
            sys::exit_now(crate::exit::Exit::Failed.code());
        }
        if !matches!(step, Step::SendReady(_)) && !child.has_skipped(step) {
            child.tell(number);
        }
    }
    sys::exit_now(crate::exit::Exit::Failed.code())
}

struct Child<'a> {
    base: Option<OwnedFd>,
    scratch: Option<OwnedFd>,
    root: Option<OwnedFd>,
    mounts: Vec<Option<OwnedFd>>,
    masks: Option<Masks>,
    views: [Option<OwnedFd>; 3],
    queue: Option<Queue>,
    /// Whether the parent has made one.
    has_queue: Switch,
    home: Option<CString>,
    given: Inheritance<'a>,
}

/// A descriptor that an earlier step of the plan has opened.
fn opened(fd: Option<&OwnedFd>) -> Result<BorrowedFd<'_>, SysError> {
    fd.map(AsFd::as_fd).ok_or_else(|| SysError::new(Errno::BADF, "a step of the plan is missing"))
}

impl Child<'_> {
    fn take(&mut self, number: usize, step: &Step) -> Result<(), SysError> {
        match step {
            Step::MakeQueue(_) | Step::ReceiveReady(_) | Step::RemoveQueue(_) => {}
            Step::OpenViews(_) | Step::GivePipes { .. } => {}
            Step::BecomeSubreaper
            | Step::MakeRunDirectory(_)
            | Step::Clone(_)
            | Step::WriteIdMaps(_) => {}
            Step::WaitForGo => self.wait_for_go()?,
            Step::Session => {
                sys::reset_signal_actions()?;
                signals::unblock_all()?;
                umask(Mode::empty());
                setsid()?;
                // ADDR_NO_RANDOMIZE and others are inherited, personality(2).
                nix::sys::personality::set(Persona::empty()).map_err(SysError::from)?;
            }
            Step::OpenBase(path) => {
                let base =
                    open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                self.base = Some(base);
            }
            Step::MakePrivate => mounts::make_private()?,
            Step::MakeScratch { size } => self.make_scratch(*size)?,
            Step::WriteScratch(files) => {
                let scratch = opened(self.scratch.as_ref())?;
                for (name, content) in files {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                    let file = openat(
                        scratch,
                        *name,
                        flags | OFlags::CLOEXEC,
                        Mode::from_raw_mode(0o644),
                    )?;
                    write_all(&file, content)?;
                }
            }
            Step::UnpackIntoScratch(origin) => {
                let tree = make_directory(opened(self.scratch.as_ref())?, TREE, 0o755)?;
                unpack(origin, tree.as_fd())?;
            }
            Step::UnpackIntoRunDirectory { origin, path } => {
                let run = open(
                    path,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                let tree = make_directory(run.as_fd(), TREE, 0o755)?;
                unpack(origin, tree.as_fd())?;
                self.base = Some(tree);
            }
            Step::MakeOverlay { marks, attributes } => self.make_overlay(*marks, *attributes)?,
            Step::MakeTree { from, attributes } => {
                let tree = match from {
                    Tree::Base => mounts::copy_tree(opened(self.base.as_ref())?, c"", *attributes)?,
                    Tree::Scratch => {
                        mounts::copy_tree(opened(self.scratch.as_ref())?, TREE, *attributes)?
                    }
                };
                self.root = Some(tree);
            }
            Step::MakeMasks => self.masks = Some(Masks::make(opened(self.scratch.as_ref())?)?),
            Step::SetSysctls { proc, sysctls } => self.set_sysctls(*proc, sysctls)?,
            Step::Mask { place, hidden } => self.mask(*place, hidden)?,
            Step::ProtectProc { proc, hidden } => {
                proc_masks::protect(opened(self.mounts[*proc].as_ref())?, hidden)?;
            }
            Step::DetachScratch => {
                fchdir(opened(self.scratch.as_ref())?)?;
                unmount(c".", UnmountFlags::DETACH)?;
                chdir(c"/")?;
                self.scratch = None;
            }
            Step::AttachRoot => {
                mounts::attach(opened(self.root.as_ref())?, opened(self.base.as_ref())?)?
            }
            Step::Make(mount) => self.mounts[mount.slot] = Some(self.make(mount)?),
            Step::Pivot => root::pivot(opened(self.root.as_ref())?)?,
            Step::Chroot => root::enter(opened(self.root.as_ref().or(self.base.as_ref()))?)?,
            Step::Attach(mount) => {
                let target = beneath::target(
                    opened(self.root.as_ref())?,
                    &mount.target,
                    mount.kind,
                    mount.make_target,
                )?;
                mounts::attach(opened(self.mounts[mount.slot].as_ref())?, target)?;
            }
            Step::DeviceNodes(Some(slot)) => dev::make_nodes(opened(self.mounts[*slot].as_ref())?)?,
            Step::DeviceNodes(None) => {
                let dev = beneath::target(
                    opened(self.base.as_ref())?,
                    Path::new("dev"),
                    Kind::Directory,
                    Switch::Yes,
                )?;
                dev::make_nodes(dev)?;
            }
            Step::DeviceLinks(slot) => dev::make_links(opened(self.mounts[*slot].as_ref())?)?,
            Step::Terminal { streams, devpts, uid } => self.terminal(*streams, *devpts, *uid)?,
            Step::OpenViewsByPath(views) => {
                for (number, path) in views {
                    let named = |errno| SysError::new(errno, streams::NAMES[*number]);
                    let view = streams::view_by_path(path, *number).map_err(named)?;
                    // The parent gives the offset back at the end.
                    self.given.report.pass(&Report::View(*number), view.as_fd()).map_err(named)?;
                    self.views[*number] = Some(view);
                }
            }
            Step::TakeStreams { streams, dev } => self.take_streams(streams, *dev)?,
            Step::Loopback => loopback::up()?,
            Step::Hostname(name) => hostname::set(name)?,
            Step::Keyring { quota } => match keyring::join_new() {
                // A filter around rustic, or a kernel without keys: CMD has no such call either.
                Err(errno @ Errno::NOSYS) => self.note(number, errno),
                // EPERM: a filter around rustic denies the call, as the one that comes will.
                Err(errno @ (Errno::DQUOT | Errno::PERM)) if *quota == Quota::Bearable => {
                    self.note(number, errno)
                }
                result => result?,
            },
            Step::OpenQueue { .. } | Step::SendReady(_) if self.has_queue == Switch::No => {}
            Step::OpenQueue { name, seen } => match (Queue::open(&name.path), seen) {
                (Ok(queue), Switch::Yes) => self.queue = Some(queue),
                (Err(error), Switch::No) if error.errno == Errno::NOENT => {
                    self.note(number, Errno::NOENT)
                }
                (Ok(_), Switch::No) => {
                    return Err(SysError::new(
                        Errno::EXIST,
                        "the caller's queue is seen from a new IPC namespace",
                    ));
                }
                (Err(error), _) => return Err(error),
            },
            Step::NotifySocket(slot) => {
                let socket = notify::make(opened(self.mounts[*slot].as_ref())?)?;
                self.given.report.pass(&Report::Socket, socket.as_fd())?;
            }
            Step::LimitQueues(bytes) => {
                setrlimit(
                    Resource::Msgqueue,
                    Rlimit { current: Some(*bytes), maximum: Some(*bytes) },
                )?;
            }
            Step::CloseDescriptors => self.close_descriptors()?,
            Step::FindHome(uid) => {
                self.home = CString::new([b"HOME=", home(*uid).as_slice()].concat()).ok()
            }
            Step::DropBounding(unwanted) => privileges::bound(*unwanted)?,
            Step::DropGroups => privileges::drop_groups()?,
            Step::SetGid(gid) => privileges::set_gid(*gid)?,
            Step::SetUid(uid) => privileges::set_uid(*uid)?,
            Step::SetCapabilities(credentials) => {
                privileges::set_capabilities(
                    credentials.permitted,
                    credentials.ambient,
                    credentials.last_cap,
                )?;
                // A change of the uid has cleared it, prctl(2).
                set_parent_process_death_signal(Some(Signal::KILL))?;
            }
            Step::Chdir(path) => {
                chdir(path)?;
                // A directory outside the root has a name that starts with "(unreachable)",
                // getcwd(3).
                if !rustix::process::getcwd(Vec::new())?.to_bytes().starts_with(b"/") {
                    return Err(SysError::new(Errno::XDEV, "it is outside the root"));
                }
            }
            Step::NoNewPrivs => rustix::thread::set_no_new_privs(true)?,
            Step::VerifyCredentials(credentials) => privileges::check(credentials)?,
            Step::Seccomp { self_signals: SelfSignals::Untold, filter } => {
                seccomp::install(filter)?;
            }
            Step::Seccomp { self_signals: SelfSignals::Told, filter } => {
                match seccomp::install_with_listener(filter) {
                    Ok(listener) => self.given.gate.pass(&Report::Listener, listener.as_fd())?,
                    Err(errno @ (Errno::BUSY | Errno::INVAL)) => {
                        self.note(number, errno);
                        seccomp::install(&seccomp::without_notice(filter))?;
                    }
                    Err(errno) => return Err(errno.into()),
                }
            }
            Step::SendReady(name) => {
                let queue = self.queue.as_ref().ok_or(Errno::BADF)?;
                // Told before it is sent: the parent reads it at once, and the story would run
                // backwards.
                self.tell(number);
                queue.send_patiently(message::ready(&name.nonce).as_bytes())?;
            }
            Step::Exec { cmd, env, first } => return Err(self.exec(number, cmd, env, *first)),
        }
        Ok(())
    }

    /// Whether a step was not taken, for want of a queue.
    fn has_skipped(&self, step: &Step) -> bool {
        self.has_queue == Switch::No && matches!(step, Step::OpenQueue { .. })
    }

    /// Tells a step that is done, where somebody wants to know.
    fn tell(&self, number: usize) {
        if self.given.talk != Verbosity::Quiet {
            let _ = self.given.report.send(&Report::Done(number), None);
        }
    }

    fn note(&self, number: usize, errno: Errno) {
        let _ = self.given.report.send(&Report::Note(number, errno), None);
    }

    /// The death signal is set before the gate is read: a warden that died earlier leaves the gate
    /// at its end, one that dies later kills. In a new pid namespace getppid(2) is 0 and tells
    /// nothing.
    fn wait_for_go(&mut self) -> Result<(), SysError> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        match self.given.gate.wait() {
            Received::Message(order, _) => {
                self.has_queue =
                    if order == Order::GoWithoutQueue { Switch::No } else { Switch::Yes };
                Ok(())
            }
            // Nobody is left who could be told.
            Received::Closed => sys::exit_now(crate::exit::Exit::Failed.code()),
            Received::Nothing => Err(Errno::AGAIN.into()),
            Received::Failed(errno) => Err(errno.into()),
        }
    }

    fn make_scratch(&mut self, size: u64) -> Result<(), SysError> {
        let [size, inodes] = mounts::limits(size);
        let options = [(c"mode", CString::new("0755").ok()), size, inodes];
        let attributes = mounts::Attributes::NO_SUID.and(mounts::Attributes::NO_DEVICES);
        let scratch = mounts::new(c"tmpfs", &options, attributes)?;
        // Layers of an overlay had to be attached mounts before Linux 6.15.
        mounts::attach(&scratch, opened(self.base.as_ref())?)?;
        self.scratch = Some(scratch);
        Ok(())
    }

    fn make_overlay(
        &mut self,
        marks: mounts::OverlayMarks,
        attributes: mounts::Attributes,
    ) -> Result<(), SysError> {
        let (base, scratch) = (opened(self.base.as_ref())?, opened(self.scratch.as_ref())?);
        let upper = make_directory(scratch, c"upper", 0o755)?;
        let work = make_directory(scratch, c"work", 0o755)?;
        // The root directory of an overlay has the owner and mode of its upper one. An owner that
        // the user namespace does not map cannot be given; then it stays with who starts the
        // container.
        let stat = fstat(base)?;
        let _ = fchown(
            &upper,
            Some(rustix::fs::Uid::from_raw(stat.st_uid)),
            Some(rustix::fs::Gid::from_raw(stat.st_gid)),
        );
        fchmod(&upper, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        self.root = Some(mounts::overlay(base, upper, work, marks, attributes)?);
        Ok(())
    }

    fn make(&self, mount: &Mount) -> Result<OwnedFd, SysError> {
        match &mount.source {
            Source::New { fs, options } => mounts::new(fs, options, mount.attributes),
            Source::Host(path) => Ok(mounts::copy_tree(CWD, path, mount.attributes)?),
            Source::Scratch(name) => {
                Ok(mounts::copy_tree(opened(self.scratch.as_ref())?, name, mount.attributes)?)
            }
        }
    }

    fn take_streams(&self, each: &[Stream; 3], dev: Option<usize>) -> Result<(), SysError> {
        for (number, stream) in each.iter().enumerate() {
            let named = |errno| SysError::new(errno, streams::shown(number, stream));
            let node;
            let source = match stream {
                Stream::Terminal | Stream::Passed => continue,
                Stream::View => self.given.streams.views[number].as_ref(),
                Stream::ViewByPath(_) => self.views[number].as_ref(),
                Stream::Input(first) | Stream::Output(first) => self.given.ends[*first].as_ref(),
                Stream::Node(name) => {
                    let flags = fcntl_getfl(streams::descriptors()[number]).map_err(named)?;
                    let dev = opened(dev.and_then(|slot| self.mounts[slot].as_ref()))?;
                    let mode = flags & OFlags::RWMODE;
                    node =
                        beneath::open(dev, Path::new(name), mode, Mode::empty()).map_err(named)?;
                    Some(&node)
                }
            };
            streams::replace(number, opened(source)?).map_err(named)?;
        }
        Ok(())
    }

    fn set_sysctls(&self, proc: usize, sysctls: &[Sysctl]) -> Result<(), SysError> {
        let proc = opened(self.mounts[proc].as_ref())?;
        for sysctl in sysctls {
            let named = |errno| SysError::new(errno, format!("{}={}", sysctl.key, sysctl.value));
            let path = Path::new("sys").join(sysctl.path());
            let file = beneath::open(proc, &path, OFlags::WRONLY, Mode::empty()).map_err(named)?;
            write_all(&file, sysctl.value.as_bytes()).map_err(named)?;
        }
        Ok(())
    }

    fn mask(&mut self, place: Place, hidden: &[Hidden]) -> Result<(), SysError> {
        let below = match place {
            Place::Proc(slot) | Place::Sys(slot) => opened(self.mounts[slot].as_ref())?,
            Place::Root => opened(self.root.as_ref())?,
        };
        let masks = self.masks.as_mut().ok_or(Errno::BADF)?;
        let count = masks.hide(below, hidden)?;
        // Read-only alone is no mask: a nested namespace could mount all of it, read-only too.
        if count == 0 && matches!(place, Place::Sys(_)) {
            return Err(SysError::new(
                Errno::NOENT,
                "none of the paths that are to be hidden is there",
            ));
        }
        Ok(())
    }

    fn terminal(
        &mut self,
        streams: Terminals,
        devpts: Option<usize>,
        uid: u32,
    ) -> Result<(), SysError> {
        let outer = self.given.outer.ok_or(Errno::NOTTY)?;
        let ptmx = match devpts {
            Some(slot) => pty::ptmx_of(opened(self.mounts[slot].as_ref())?)?,
            None => self.given.ptmx.take().ok_or(Errno::NOTTY)?,
        };
        let (master, slave) = pty::pair(ptmx, outer)?;
        self.given.report.pass(&Report::Terminal, master.as_fd())?;
        pty::take(&slave, streams, uid)
    }

    /// Closed now and not by execve: a descriptor of the host would be a way back as long as it is
    /// open, through /proc/self/fd as a working directory above all (CVE-2024-21626). What stays
    /// until execve leads nowhere.
    fn close_descriptors(&mut self) -> Result<(), SysError> {
        (self.base, self.scratch, self.root) = (None, None, None);
        self.mounts.clear();
        self.masks = None;
        self.views = [None, None, None];
        let given = &mut self.given;
        // Out of the way of the number that CMD is told.
        given.report.renumber(FIRST_FREE)?;
        given.gate.renumber(FIRST_FREE)?;
        for fd in [&mut given.own, &mut given.channel, &mut given.ready].into_iter().flatten() {
            *fd = fcntl_dupfd_cloexec(&*fd, FIRST_FREE)?;
        }
        let own = [
            self.queue.as_ref().map(AsFd::as_fd),
            given.own.as_ref().map(AsFd::as_fd),
            given.channel.as_ref().map(AsFd::as_fd),
            given.ready.as_ref().map(AsFd::as_fd),
        ];
        let kept: Vec<BorrowedFd<'_>> = [given.report.as_fd(), given.gate.as_fd()]
            .into_iter()
            .chain(own.into_iter().flatten())
            .collect();
        // SAFETY: the child has dropped the others above, or lives without them: they are the
        // parent's and the warden's, no destructor of which runs here.
        #[allow(unsafe_code, reason = "whoever owned the others never runs here")]
        let closed = unsafe { sys::close_all_but(&kept) };
        Ok(closed?)
    }

    /// The command line of the probe, with the number of what it talks on.
    fn probe_words(&mut self, cmd: &[CString]) -> Result<Vec<CString>, SysError> {
        let number = self_exe::left_open(self.given.channel.take().ok_or(Errno::BADF)?)?;
        let number = CString::new(number.to_string()).unwrap_or_default();
        let words = [c"rustic-probe".to_owned(), PROBE.to_owned(), number];
        Ok(words.into_iter().chain(cmd.iter().cloned()).collect())
    }

    fn exec(&mut self, number: usize, cmd: &[CString], env: &[CString], first: First) -> SysError {
        umask(Mode::from_raw_mode(0o022));
        // An end of the wire that comes after this word, and without a fault, is execve's: a child
        // that was killed before has not said it.
        // Without it the start would be told to nobody.
        if let Err(errno) = self.given.report.send(&Report::Done(number), None) {
            return SysError::new(errno, "telling the parent");
        }
        let given = env.iter().any(|line| line.to_bytes().starts_with(b"HOME="));
        if let Some(ready) = self.given.ready.take()
            && let Err(error) = hand_over(&ready)
        {
            return error;
        }
        let env: Vec<CString> =
            env.iter().cloned().chain(self.home.take().filter(|_| !given)).collect();
        match (first, self.given.own.take()) {
            (First::Cmd, _) => exec::execute(cmd, &env),
            (First::Reaper, Some(own)) => {
                crate::init::enter(own, self.given.report.as_fd(), number, cmd, &env)
            }
            (First::Probe(_), Some(own)) => match self.probe_words(cmd) {
                Ok(words) => self_exe::execute(&own, words.into_iter(), &env),
                Err(error) => error,
            },
            (First::ReapedProbe(_), Some(own)) => {
                let words =
                    self.probe_words(cmd).and_then(|words| crate::init::of_itself(&own, words));
                match words {
                    Ok(words) => {
                        crate::init::enter(own, self.given.report.as_fd(), number, &words, &env)
                    }
                    Err(error) => error,
                }
            }
            (_, None) => Errno::BADF.into(),
        }
    }
}

/// The first number above those that CMD may be told of.
const FIRST_FREE: i32 = 10;

/// The pipe of readiness under the number that CMD is told, left open by execve.
fn hand_over(ready: &OwnedFd) -> Result<(), SysError> {
    let told = fcntl_dupfd_cloexec(ready, READY_FD)?;
    if told.as_raw_fd() != READY_FD {
        return Err(SysError::new(Errno::BUSY, "its number for readiness is taken"));
    }
    self_exe::left_open(told)?;
    Ok(())
}

/// The tree's name in the scratch tmpfs and in a run directory.
const TREE: &std::ffi::CStr = c"root";

fn make_directory(
    parent: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    mode: u32,
) -> Result<OwnedFd, SysError> {
    mkdirat(parent, name, Mode::from_raw_mode(mode))?;
    let dir = openat(
        parent,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok(dir)
}

/// Unpacks for this container alone: device nodes of the archive are left out, because nothing here
/// keeps them from being opened.
fn unpack(origin: &Origin, into: BorrowedFd<'_>) -> Result<(), SysError> {
    let owners = if archive_owners_can_be_kept() { Owners::Kept } else { Owners::Squashed };
    let rights = Rights { owners, devices: Devices::Skipped };
    let unpack = Unpack {
        rights,
        limits: Limits::default(),
        threads: Threads::One,
        hashing: Hashing::Unwanted,
        watch: &mut Unwatched,
    };
    origin
        .unpack(unpack, into)
        .map(drop)
        .map_err(|failure| SysError::new(failure.errno.unwrap_or(Errno::IO), failure.what))
}

/// Only a user namespace that maps every id can give files away to any of them.
fn archive_owners_can_be_kept() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// A user's home in the image's own passwd, which libc would look for on the host; `/root` and `/`
/// where it is not told.
fn home(uid: u32) -> Vec<u8> {
    const LONGEST: u64 = 1 << 20;
    let mut passwd = Vec::new();
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(file) = open(c"/etc/passwd", flags, Mode::empty()) {
        let _ = std::io::Read::read_to_end(
            &mut std::io::Read::take(std::fs::File::from(file), LONGEST),
            &mut passwd,
        );
    }
    let uid_text = uid.to_string();
    let listed = passwd.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        (fields.nth(2)? == uid_text.as_bytes()).then(|| fields.nth(2))?
    });
    match listed {
        Some(home) if home.starts_with(b"/") => OsStr::from_bytes(home).as_bytes().to_vec(),
        _ if uid == 0 => b"/root".to_vec(),
        _ => b"/".to_vec(),
    }
}
