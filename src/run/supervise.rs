//! The parent while it waits: one poll over everything that can happen. It holds nothing that the
//! warden could not clean up after its death.

use crate::error::{Failure, errno_text, printable};
use crate::exit::{Exit, FORBIDDEN_CALL};
use crate::host::Host;
use crate::ready::notify;
use crate::ready::queue::Queue;
use crate::rootfs::remove;
use crate::run::control::{Ending, NearEnd, Order, Received, Report, SILENT};
use crate::run::events::{self, Events};
use crate::run::plan::Plan;
use crate::run::progress::Voice;
use crate::run::pty::Outer;
use crate::run::pty_relay::{Keys, Relay, Side};
use crate::run::readiness::Readiness;
use crate::run::signals;
use crate::run::step::Step;
use crate::run::stream_relay::{Lost, Pipes};
use crate::run::streams::{self, Streams};
use crate::spec::{Ready, Spec, Verbosity};
use nix::sys::signal::{Signal, raise};
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{Shutdown, shutdown};
use rustix::process::{Pid, pidfd_send_signal};
use std::path::Path;
use std::time::Instant;

/// The parent while it waits.
pub struct Supervisor<'a> {
    pub(super) spec: &'a Spec,
    pub(super) host: &'a Host,
    pub(super) plan: &'a Plan,
    pub(super) voice: Voice,
    pub(super) info: &'a mut Events,
    pub(super) signals: SignalFd,
    pub(super) warden: NearEnd,
    /// Until execve succeeds, or the child ends.
    pub(super) child: Option<NearEnd>,
    pub(super) relay: Option<Relay>,
    pub(super) pid: Option<Pid>,
    pub(super) pidfd: Option<OwnedFd>,
    /// Until READY has arrived, or cannot.
    pub(super) queue: Option<Queue>,
    /// What CMD says on its pipe, with `--ready app`.
    pub(super) pipe: Option<OwnedFd>,
    /// What it has said since the last end of a line, as far as it matters.
    pub(super) line: Vec<u8>,
    /// The socket of sd_notify, likewise.
    pub(super) socket: Option<notify::Inner>,
    pub(super) readiness: Readiness,
    /// The namespaces of the child, as `--info-fd` shows them.
    pub(super) namespaces: String,
    pub(super) stage: Stage,
    pub(super) failure: Option<Failure>,
    pub(super) ending: Option<Ending>,
    connections: Connections,
}

/// The standard streams of CMD, and the pipes behind them.
pub struct Connections {
    /// What CMD has got, with the views.
    pub streams: Streams,
    /// What the parent relays.
    pub pipes: Pipes,
}

/// Where the child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// On its way through the plan.
    SettingUp,
    /// At its last step: when its wire ends now, it has become CMD.
    Executing,
}

/// Something that can happen while the parent waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Child,
    Queue,
    Pipe,
    Socket,
    Warden,
    Signal,
    Info,
    Relay(Side),
    Streams,
}

impl<'a> Supervisor<'a> {
    /// The parent with its wires: to the warden, and to the child.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is made in the one place that calls it, and a structure of them would be \
            named after nothing"
    )]
    pub fn new(
        spec: &'a Spec,
        host: &'a Host,
        plan: &'a Plan,
        voice: Voice,
        info: &'a mut Events,
        signals: SignalFd,
        warden: NearEnd,
        child: NearEnd,
        connections: Connections,
    ) -> Self {
        let readiness = match spec.ready {
            Ready::None => Readiness::Settled,
            Ready::Queue | Ready::App => Readiness::Awaited(Instant::now() + spec.ready_timeout),
        };
        let child = Some(child);
        Self {
            spec,
            host,
            plan,
            voice,
            info,
            signals,
            warden,
            child,
            readiness,
            relay: None,
            pid: None,
            pidfd: None,
            queue: None,
            pipe: None,
            line: Vec::new(),
            socket: None,
            namespaces: String::new(),
            stage: Stage::SettingUp,
            failure: None,
            ending: None,
            connections,
        }
    }

    /// Lets the warden go and waits for the end.
    ///
    /// # Errors
    /// The step that failed, or a container that was not ready in time.
    pub fn wait(
        mut self,
        queue: Option<Queue>,
        pipe: Option<OwnedFd>,
        outer: Option<Outer>,
    ) -> Result<Exit, Failure> {
        (self.queue, self.pipe) = (queue, pipe);
        self.relay = outer.map(Relay::new);
        // A queue that nobody has asked for by name may be missing: then that CMD runs tells
        // enough.
        let missing = self.plan.queue.is_some() && self.queue.is_none();
        self.order(if missing { Order::GoWithoutQueue } else { Order::Go });
        while self.ending.is_none() {
            for event in self.poll() {
                match event {
                    Event::Child => self.hear_child(),
                    Event::Queue => self.read_queue(),
                    Event::Pipe => self.read_pipe(),
                    Event::Socket => self.read_socket(),
                    Event::Warden => self.hear_warden(),
                    Event::Signal => self.hear_signals(),
                    Event::Info => self.info.flush(),
                    Event::Relay(Side::Keys) => self.relay_keys(),
                    Event::Relay(Side::Inner) => self.relay.iter_mut().for_each(Relay::inner),
                    Event::Relay(Side::Outer) => self.relay.iter_mut().for_each(Relay::show),
                    Event::Streams => self.connections.pipes.relay(),
                }
            }
            self.relay.iter_mut().for_each(Relay::look_around);
            if matches!(self.readiness, Readiness::Awaited(deadline) if Instant::now() >= deadline)
            {
                self.give_up();
            }
        }
        // What the child said last may still be in its wires.
        self.hear_child();
        self.read_queue();
        self.read_pipe();
        self.read_socket();
        self.close_queue();
        if let Some(relay) = &mut self.relay {
            relay.drain(self.signals.as_fd());
        }
        self.relay = None;
        let lost = std::mem::take(&mut self.connections.pipes).finish();
        self.connections.streams.give_offsets_back();
        streams::give_back(&self.plan.pipe_owners);
        self.order(Order::Heard);
        self.conclude(lost)
    }

    /// Waits until something happens, or the time for readiness is over. Monotonic: poll(2) knows
    /// nothing of the wall clock.
    fn poll(&self) -> Vec<Event> {
        let input = PollFlags::IN;
        // What is left in the wires when the warden tells the end is read then.
        let sources = [
            Some((Event::Warden, PollFd::from_borrowed_fd(self.warden.as_fd(), input))),
            self.child
                .as_ref()
                .map(|child| (Event::Child, PollFd::from_borrowed_fd(child.as_fd(), input))),
            self.queue
                .as_ref()
                .map(|queue| (Event::Queue, PollFd::from_borrowed_fd(queue.as_fd(), input))),
            self.pipe
                .as_ref()
                .map(|pipe| (Event::Pipe, PollFd::from_borrowed_fd(pipe.as_fd(), input))),
            self.socket
                .as_ref()
                .filter(|socket| socket.can_be_read())
                .map(|socket| (Event::Socket, PollFd::from_borrowed_fd(socket.as_fd(), input))),
            Some((Event::Signal, PollFd::from_borrowed_fd(self.signals.as_fd(), input))),
            self.info
                .blocked()
                .map(|fd| (Event::Info, PollFd::from_borrowed_fd(fd, PollFlags::OUT))),
        ];
        let relayed =
            self.relay.iter().flat_map(Relay::sources).map(|(side, fd)| (Event::Relay(side), fd));
        let streams = self.connections.pipes.sources().map(|fd| (Event::Streams, fd));
        let (events, mut fds): (Vec<Event>, Vec<PollFd<'_>>) =
            sources.into_iter().flatten().chain(relayed).chain(streams).unzip();
        let left = match self.readiness {
            Readiness::Awaited(deadline) => {
                Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok()
            }
            Readiness::Told(_) | Readiness::Settled => None,
        };
        let look = self.relay.as_ref().and_then(Relay::patience);
        let left = [left, look].into_iter().flatten().min();
        match poll(&mut fds, left.as_ref()) {
            Ok(_) => events
                .into_iter()
                .zip(fds)
                .filter(|(_, fd)| !fd.revents().is_empty())
                .map(|(event, _)| event)
                .collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Gives the warden an order. One that cannot be given ends the run: the warden takes the end
    /// of its wire for the death of the parent, and cleans up.
    pub(super) fn order(&mut self, order: Order) {
        match self.warden.send(&order, None) {
            // A warden that is gone is noticed when its wire is read.
            Ok(()) | Err(Errno::PIPE) => {}
            Err(errno) => {
                let failure = Failure::new("cannot give the warden an order").errno(errno);
                self.failure = self.failure.take().or(Some(failure));
                let _ = shutdown(self.warden.as_fd(), Shutdown::Write);
            }
        }
    }

    pub(super) fn hear_child(&mut self) {
        // The warden first: it has told the child's pid before the child could say a word.
        self.hear_warden();
        while let Some(child) = &self.child {
            match child.receive() {
                Received::Message(report, descriptor) => self.heard(report, descriptor),
                Received::Nothing => return,
                Received::Closed => {
                    self.child = None;
                    self.child_is_cmd();
                }
                Received::Failed(errno) => {
                    self.child = None;
                    self.fail(Failure::new("cannot hear the child").errno(errno));
                }
            }
        }
    }

    /// Tells a step of the plan that was taken.
    pub(super) fn did(&self, which: impl Fn(&Step) -> bool) {
        if self.spec.talk == Verbosity::Steps
            && let Some((number, step)) =
                self.plan.steps.iter().enumerate().find(|(_, step)| which(step))
        {
            self.voice.done(number, step);
        }
    }

    fn hear_warden(&mut self) {
        while self.ending.is_none() {
            match self.warden.receive() {
                Received::Message(report, descriptor) => self.heard(report, descriptor),
                Received::Nothing => return,
                Received::Closed => self.warden_is_gone(Failure::new(
                    "the warden was killed, and the container with it",
                )),
                Received::Failed(errno) => {
                    self.warden_is_gone(Failure::new("cannot hear the warden").errno(errno));
                }
            }
        }
    }

    /// Something that the run cannot go on without has failed: it ends, and that is why.
    fn fail(&mut self, failure: Failure) {
        self.failure = self.failure.take().or(Some(failure));
        self.order(Order::Kill);
    }

    fn warden_is_gone(&mut self, failure: Failure) {
        if let Some(pidfd) = &self.pidfd {
            let _ = pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
        }
        if let Some(Err(errno)) =
            self.plan.run_directory.as_deref().map(|directory| self.remove_after(directory))
        {
            self.left(errno);
        }
        self.failure = self.failure.take().or(Some(failure));
        self.ending = Some(Ending::Signal(libc::SIGKILL));
    }

    /// What the warden would have done: the directory is removed once nobody inside writes to it
    /// any more.
    fn remove_after(&self, directory: &Path) -> rustix::io::Result<()> {
        if let Some(pidfd) = &self.pidfd {
            // Not our child: its end is seen, not its status.
            let _ = poll(&mut [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)], None);
        }
        remove::tree(directory)
    }

    fn left(&self, errno: Errno) {
        if let Some(directory) = &self.plan.run_directory {
            self.voice.warning(&format!(
                "cannot remove {}: {}",
                printable(&directory.to_string_lossy()),
                errno_text(errno)
            ));
        }
    }

    fn heard(&mut self, report: Report, descriptor: Option<OwnedFd>) {
        match report {
            Report::Started(pid) => {
                self.voice.parent(&format!("PID of child is {pid}"));
                self.voice.walls(self.spec, self.plan);
                if self.info.is_wanted() {
                    self.namespaces = events::namespaces_of(pid);
                }
                (self.pid, self.pidfd) = (Pid::from_raw(pid), descriptor);
                if let (Some(child), Some(pidfd)) = (&mut self.child, &self.pidfd)
                    && let Ok(pidfd) = fcntl_dupfd_cloexec(pidfd, 3)
                {
                    child.know_peer(pidfd);
                }
            }
            Report::Done(number) => match self.plan.steps.get(number) {
                Some(Step::Exec { .. }) => self.stage = Stage::Executing,
                Some(step) => self.voice.done(number, step),
                None => {}
            },
            Report::Note(number, errno) => self.note(number, errno),
            Report::Terminal => {
                if let (Some(relay), Some(master)) = (&mut self.relay, descriptor) {
                    relay.connect(master);
                }
            }
            Report::Fault { step, errno, detail } => {
                let failure =
                    self.plan.steps.get(step).map(|step| step.diagnose(errno, &detail, self.host));
                self.failure = self.failure.take().or(failure);
            }
            Report::Socket => self.socket = descriptor.map(notify::Inner::over),
            Report::View(number) => {
                if let Some(view) = self.connections.streams.views.get_mut(number) {
                    *view = descriptor;
                }
            }
            Report::Left(errno) => self.left(errno),
            Report::Listener => {}
            Report::Ended(ending) => self.ending = Some(ending),
        }
    }

    fn note(&mut self, number: usize, errno: Errno) {
        match self.plan.steps.get(number) {
            Some(Step::OpenQueue { name, .. }) => {
                self.voice.child(&format!("opening message queue {}", name.shown()));
                self.voice.child(&format!("mq_open: {}", errno_text(errno)));
                self.voice.parent(&format!(
                    "the child cannot see {}: the queue lives in another IPC namespace, so that \
                        wall stands",
                    name.shown()
                ));
                self.close_queue();
            }
            Some(step) => {
                self.voice.child(&format!("{}: {}", step.describe().call, errno_text(errno)))
            }
            None => {}
        }
    }

    fn hear_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = info.ssi_signo as i32;
            match Signal::try_from(number) {
                Ok(Signal::SIGWINCH) => self.relay.iter().for_each(Relay::resize),
                Ok(Signal::SIGCONT) => self.relay.iter_mut().for_each(Relay::resume),
                Ok(Signal::SIGTSTP) => self.stop(),
                Ok(signal) if signals::FORWARDED.contains(&signal) => {
                    self.order(Order::Signal(number))
                }
                _ => {}
            }
        }
    }

    /// Stopped from outside: the terminal is given back as it was for that time.
    fn stop(&mut self) {
        self.relay.iter_mut().for_each(Relay::suspend);
        let _ = raise(Signal::SIGSTOP);
        self.relay.iter_mut().for_each(Relay::resume);
    }

    fn relay_keys(&mut self) {
        let pid = self.pid;
        match self.relay.as_mut().map_or(Keys::Plain, |relay| relay.keys(pid)) {
            Keys::Plain => {}
            Keys::Signal(number) => self.order(Order::Typed(number)),
            Keys::End => {
                self.voice.warning("^] was typed three times: the container is ended");
                self.order(Order::Kill);
            }
            Keys::HungUp => self.order(Order::Signal(libc::SIGHUP)),
        }
    }

    fn conclude(self, lost: Option<Lost>) -> Result<Exit, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        // It ended on its way, and could not say at which step.
        if self.stage == Stage::SettingUp && self.ending == Some(SILENT) {
            return Err(Failure::new(
                "the container could not be made: its first process ended before it could say why",
            ));
        }
        if let Some(Lost { stream, errno }) = lost {
            return Err(Failure::new(format!("cannot write all of CMD's {stream}")).errno(errno));
        }
        let exit = self.ending.map_or(Exit::Failed, Exit::from);
        self.voice.parent(&match exit {
            Exit::Signal(signal) => format!("the child was ended by signal {signal}"),
            exit => format!("the child has ended with {}", exit.code()),
        });
        if exit == Exit::Signal(libc::SIGSYS) {
            self.voice.warning(FORBIDDEN_CALL);
        }
        Ok(exit)
    }
}
