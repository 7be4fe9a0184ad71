//! The parent: makes ready, waits in one poll over everything that can happen, and tells. It holds nothing that the warden could not clean
//! up after its death.

use crate::exit::Exit;
use crate::failure::{Failure, Trouble};
use crate::host::Host;
use crate::init;
use crate::namespace::{Namespace, Switch};
use crate::ready::message::{self, Message};
use crate::ready::queue::{self, Queue};
use crate::rootfs::store::Store;
use crate::rootfs::{Archive, Image, stored};
use crate::run::child::Inheritance;
use crate::run::control::{Ending, NearEnd, Order, Received, Report, wire};
use crate::run::plan::{Ingredients, Plan};
use crate::run::signals;
use crate::run::step::Step;
use crate::run::talk::Talk;
use crate::run::terminal::{Flow, Keys, Outer, Pending, Relay, Streams, host_ptmx};
use crate::run::warden::{self, Given};
use crate::spec::{Ready, Rootfs, Spec};
use crate::sys;
use nix::sys::signal::{Signal, raise};
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, pidfd_send_signal, waitid};
use rustix::rand::{GetRandomFlags, getrandom};
use std::path::PathBuf;
use std::time::Instant;

/// Starts CMD as `spec` wants it and waits for its end.
///
/// # Errors
/// Whatever kept CMD from running, or from being ready in time; nothing is left behind then.
pub fn run(spec: &Spec, host: &Host) -> Result<Exit, Failure> {
    let outer = Outer::look().map_err(|errno| Failure::new("cannot read the modes of the terminal").errno(errno))?;
    let streams = outer.as_ref().map_or_else(Streams::default, |outer| outer.streams);
    let queue_name = match spec.ready {
        Ready::Queue => Some(queue::Name::random().map_err(|trouble| Failure::new("cannot name a message queue").errno(trouble.errno))?),
        Ready::None => None,
    };
    let plan = Plan::new(Ingredients { spec, host, image: find_image(spec, host)?, streams, queue: queue_name })?;

    let io = |what: &'static str| move |errno: Errno| Failure::new(what).errno(errno);
    let own_pty = outer.is_some() && !spec.namespaces.is_new(Namespace::Mount);
    let ptmx = own_pty.then(host_ptmx).transpose().map_err(io("cannot open /dev/ptmx"))?;
    let binary = match spec.init {
        Switch::Yes => Some(init::sealed_binary().map_err(|error| Failure::new(format!("cannot copy rustic for --init: {error}")))?),
        Switch::No => None,
    };
    let signals = signals::listen().map_err(|errno| io("cannot listen for signals")(Trouble::from(errno).errno))?;
    let (parent_end, warden_end) = wire().map_err(io("cannot make a socket pair"))?;
    let (listening_end, child_end) = wire().map_err(io("cannot make a socket pair"))?;
    let (opener, gate) = wire().map_err(io("cannot make a socket pair"))?;

    let talk = Talk { on: spec.talk, line_end: if streams.any() { "\r\n" } else { "\n" } };
    spec.warnings().iter().for_each(|warning| talk.warning(warning));
    talk.parent(&format!("PID of parent is {}", getpid().as_raw_nonzero()));
    let Some(warden) = sys::fork().map_err(io("cannot fork the warden"))? else {
        drop((parent_end, listening_end, signals));
        let report = child_end;
        let child = Inheritance { report, gate, outer: outer.as_ref(), ptmx, init: binary, talk: spec.talk };
        warden::main(&plan, Given { wire: warden_end, child, gate: opener })
    };
    drop((warden_end, child_end, gate, opener, ptmx, binary));

    let queue = plan.queue.as_ref().map(|name| make_queue(name, host, talk)).transpose();
    let front = Front {
        spec,
        host,
        plan: &plan,
        talk,
        signals,
        warden: parent_end,
        child: Some(listening_end),
        relay: None,
        pid: None,
        pidfd: None,
        queue: None,
        failure: None,
        ending: None,
    };
    let result = queue.and_then(|queue| front.wait(queue, outer));
    if let Some(name) = &plan.queue {
        queue::remove(name);
    }
    let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(warden), WaitIdOptions::EXITED));
    result
}

fn make_queue(name: &queue::Name, host: &Host, talk: Talk) -> Result<Queue, Failure> {
    talk.parent(&format!("opening message queue {}", name.shown()));
    Queue::make(name, host.msg_max).map_err(|trouble| {
        let failure = Failure::new(format!("cannot make message queue {}", name.shown())).errno(trouble.errno).man("mq_overview(7)");
        let failure = failure.remedy("--ready none starts without the queue");
        match trouble.errno {
            Errno::MFILE => failure.why("the user's bytes for message queues are used up (RLIMIT_MSGQUEUE)"),
            Errno::NOSPC => failure.why("every queue of the IPC namespace is taken (fs.mqueue.queues_max)"),
            Errno::NOSYS => failure.why("this kernel has no POSIX message queues"),
            _ => failure,
        }
    })
}

/// The root file system, unpacked into the store where it has to be.
fn find_image(spec: &Spec, host: &Host) -> Result<Image, Failure> {
    let archive = match &spec.rootfs {
        Rootfs::Directory(path) => return Ok(Image::Directory(path.clone())),
        Rootfs::Archive(path) => Archive::File(path.clone()),
        Rootfs::Builtin => Archive::builtin()?,
    };
    let store = match &spec.store {
        Some(root) => Store::open(root, host.uid, spec.store_by_name)?,
        None => None,
    };
    if spec.namespaces.is_new(Namespace::Mount) {
        return stored(archive, store.as_ref());
    }
    let runs =
        store.map_or_else(|| std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from), |store| store.runs());
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|errno| Failure::new("cannot name a directory").errno(errno))?;
    let directory = runs.join(format!("rustic-run-{:016x}", u64::from_ne_bytes(bytes)));
    Ok(Image::PerRun { archive, directory })
}

/// The parent while it waits.
struct Front<'a> {
    spec: &'a Spec,
    host: &'a Host,
    plan: &'a Plan,
    talk: Talk,
    signals: SignalFd,
    warden: NearEnd,
    /// Until execve succeeds, or the child ends.
    child: Option<NearEnd>,
    relay: Option<Relay>,
    pid: Option<Pid>,
    pidfd: Option<OwnedFd>,
    /// Until READY has arrived, or cannot.
    queue: Option<Queue>,
    failure: Option<Failure>,
    ending: Option<Ending>,
}

/// Something that can happen while the parent waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Child,
    Queue,
    Warden,
    Signal,
    Keys,
    Terminal,
}

impl Front<'_> {
    fn wait(mut self, queue: Option<Queue>, outer: Option<Outer>) -> Result<Exit, Failure> {
        self.queue = queue;
        self.relay = outer.map(Relay::new);
        let deadline = Instant::now() + self.spec.ready_timeout;
        self.order(Order::Go);
        while self.ending.is_none() {
            for event in self.poll(deadline) {
                match event {
                    Event::Child => self.hear_child(),
                    Event::Queue => self.read_queue(),
                    Event::Warden => self.hear_warden(),
                    Event::Signal => self.hear_signals(),
                    Event::Keys => self.relay_keys(),
                    Event::Terminal => self.relay_output(),
                }
            }
            if self.queue.is_some() && Instant::now() >= deadline {
                self.give_up();
            }
        }
        // What the child said last may still be in its wire and in the queue.
        self.hear_child();
        self.read_queue();
        if let Some(relay) = &mut self.relay {
            relay.drain();
        }
        self.relay = None;
        self.conclude()
    }

    /// Waits until something happens, or the time for readiness is over. Monotonic: poll(2) knows nothing of the wall clock.
    fn poll(&self, deadline: Instant) -> Vec<Event> {
        let (relay, input) = (self.relay.as_ref(), PollFlags::IN);
        let master = relay.and_then(Relay::master).map(|(master, pending)| match pending {
            Pending::Input => (Event::Terminal, PollFd::from_borrowed_fd(master, input | PollFlags::OUT)),
            Pending::Nothing => (Event::Terminal, PollFd::from_borrowed_fd(master, input)),
        });
        // The warden before the child before the queue: what was sent first is heard first. What is left in the wires when the warden
        // tells the end is read then.
        let sources = [
            Some((Event::Warden, PollFd::from_borrowed_fd(self.warden.as_fd(), input))),
            self.child.as_ref().map(|child| (Event::Child, PollFd::from_borrowed_fd(child.as_fd(), input))),
            self.queue.as_ref().map(|queue| (Event::Queue, PollFd::from_borrowed_fd(queue.as_fd(), input))),
            Some((Event::Signal, PollFd::from_borrowed_fd(self.signals.as_fd(), input))),
            relay.and_then(Relay::wants_input).map(|keys| (Event::Keys, PollFd::from_borrowed_fd(keys, input))),
            master,
        ];
        let (events, mut fds): (Vec<Event>, Vec<PollFd<'_>>) = sources.into_iter().flatten().unzip();
        let left = self.queue.as_ref().and_then(|_| Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(_) => events.into_iter().zip(fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(event, _)| event).collect(),
            Err(_) => Vec::new(),
        }
    }

    fn order(&self, order: Order) {
        // A warden that is gone is noticed when its wire is read.
        let _ = self.warden.send(&order, None);
    }

    fn hear_child(&mut self) {
        while let Some(child) = &self.child {
            match child.receive() {
                Received::Message(report, descriptor) => self.heard(report, descriptor),
                Received::Nothing => return,
                Received::Closed => self.child = None,
            }
        }
    }

    fn hear_warden(&mut self) {
        match self.warden.receive() {
            Received::Message(report, descriptor) => self.heard(report, descriptor),
            Received::Nothing => {}
            Received::Closed => {
                if let Some(pidfd) = &self.pidfd {
                    let _ = pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
                }
                self.failure = Some(Failure::new("the warden was killed, and the container with it"));
                self.ending = Some(Ending::Signal(libc::SIGKILL));
            }
        }
    }

    fn heard(&mut self, report: Report, descriptor: Option<OwnedFd>) {
        match report {
            Report::Started(pid) => {
                self.talk.parent(&format!("PID of child is {pid}"));
                self.talk.walls(self.spec, self.plan);
                (self.pid, self.pidfd) = (Pid::from_raw(pid), descriptor);
            }
            Report::Done(number) => {
                if let Some(story) = self.plan.steps.get(number).and_then(Step::story) {
                    self.talk.child(&story);
                }
            }
            Report::Note(number, errno) => self.note(number, errno),
            Report::Terminal => {
                if let (Some(relay), Some(master)) = (&mut self.relay, descriptor) {
                    relay.connect(master);
                }
            }
            Report::Fault { step, errno, detail } => {
                let failure = self.plan.steps.get(step).map(|step| step.failure(errno, &detail, self.host));
                self.failure = self.failure.take().or(failure);
            }
            Report::Listener => {}
            Report::Ended(ending) => self.ending = Some(ending),
        }
    }

    fn note(&mut self, number: usize, errno: Errno) {
        match self.plan.steps.get(number) {
            Some(Step::OpenQueue { name, .. }) => {
                self.talk.child(&format!("opening message queue {}", name.shown()));
                self.talk.child(&format!("mq_open: {}", crate::failure::errno_text(errno)));
                self.talk.parent(&format!(
                    "the child cannot see {}: the queue lives in another IPC namespace, so that wall stands",
                    name.shown()
                ));
                self.close_queue();
            }
            Some(step) => self.talk.child(&format!("{}: {}", step.words().call, crate::failure::errno_text(errno))),
            None => {}
        }
    }

    fn read_queue(&mut self) {
        while let (Some(queue), Some(name)) = (&self.queue, &self.plan.queue) {
            match queue.receive().ok().flatten().map(|bytes| message::parse(&bytes, &name.nonce)) {
                Some(Message::Ready) => {
                    let pid = self.pid.map_or(0, |pid| pid.as_raw_nonzero().get());
                    self.talk.parent(&format!("received READY from child {pid}"));
                    self.close_queue();
                }
                Some(Message::Other(assignment)) => self.talk.parent(&format!("the child says {}", crate::failure::printable(&assignment))),
                Some(Message::Foreign) => self.talk.parent("a message for another run was on the queue, and is ignored"),
                Some(Message::Plain(text)) => {
                    self.talk.parent(&format!("a foreign message was on the queue, and is ignored: {}", crate::failure::printable(&text)));
                }
                None => return,
            }
        }
    }

    fn close_queue(&mut self) {
        if let (Some(queue), Some(name)) = (self.queue.take(), &self.plan.queue) {
            queue.close();
            queue::remove(name);
            self.talk.parent(&format!("removed message queue {}", name.shown()));
        }
    }

    fn give_up(&mut self) {
        self.close_queue();
        let seconds = self.spec.ready_timeout.as_secs();
        self.failure = Some(Failure::new(format!("the container was not ready within {seconds} s")).remedy("--ready-timeout SECONDS"));
        self.order(Order::Kill);
    }

    fn hear_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = info.ssi_signo as i32;
            match Signal::try_from(number) {
                Ok(Signal::SIGWINCH) => self.relay.iter().for_each(Relay::resize),
                Ok(Signal::SIGCONT) => self.relay.iter().for_each(Relay::resume),
                Ok(Signal::SIGTSTP) => self.stop(),
                Ok(signal) if signals::FORWARDED.contains(&signal) => self.order(Order::Signal(number)),
                _ => {}
            }
        }
    }

    /// Stopped from outside: the terminal is given back as it was for that time.
    fn stop(&self) {
        self.relay.iter().for_each(Relay::suspend);
        let _ = raise(Signal::SIGSTOP);
        self.relay.iter().for_each(Relay::resume);
    }

    fn relay_keys(&mut self) {
        let pid = self.pid;
        match self.relay.as_mut().map_or(Keys::Plain, |relay| relay.keys(pid)) {
            Keys::Plain => {}
            Keys::Signal(number) => self.order(Order::Typed(number)),
            Keys::End => self.order(Order::Kill),
        }
    }

    fn relay_output(&mut self) {
        if let Some(relay) = &mut self.relay {
            relay.flush();
            if relay.output() == Flow::Ended {
                self.talk.parent("the container's terminal is closed");
            }
        }
    }

    fn conclude(self) -> Result<Exit, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let exit = match self.ending {
            Some(Ending::Code(code)) => Exit::Command(code),
            Some(Ending::Signal(signal)) => Exit::Signal(signal),
            None => Exit::Failed,
        };
        self.talk.parent(&match exit {
            Exit::Signal(signal) => format!("the child was ended by signal {signal}"),
            exit => format!("the child has ended with {}", exit.code()),
        });
        Ok(exit)
    }
}
