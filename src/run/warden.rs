//! The warden: the child's parent and a subreaper, outside every wall. It holds a wire to the
//! parent; when that ends, whatever the child has done to its credentials, its death signal or its
//! process group, the warden ends the container and removes what the run has made.

use crate::error::SysError;
use crate::exit::Exit;
use crate::namespace::{Namespace, Switch};
use crate::ready::queue;
use crate::rootfs::{remove, run_directory};
use crate::run::child::{self, Inheritance};
use crate::run::control::{Ending, FarEnd, NearEnd, Order, Received, Report, SILENT};
use crate::run::plan::Plan;
use crate::run::pty::Outer;
use crate::run::signals::{self, Fate};
use crate::run::step::{Side, Step};
use crate::run::streams;
use crate::spec::Verbosity;
use crate::sys;
use crate::walls::idmap::Writer;
use crate::walls::seccomp;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, pidfd_send_signal,
    set_child_subreaper, setsid, waitid,
};

/// What the warden is given.
pub struct Given<'a> {
    /// The wire to the parent.
    pub wire: FarEnd,
    /// What the child is given.
    pub child: Inheritance<'a>,
    /// The wire to the child.
    pub gate: NearEnd,
}

/// Guards one container. Ends the process.
pub fn main(plan: &Plan, given: Given<'_>) -> ! {
    let blocked = signals::block_all();
    let Given { wire, child, gate } = given;
    let outer = child.outer.cloned();
    let warden = Warden { plan, wire, outer, asked: None };
    if let Err(errno) = blocked {
        warden.refuse(errno, "blocking its signals");
    }
    match warden.wire.wait() {
        Received::Message(order @ (Order::Go | Order::GoWithoutQueue), _) => {
            warden.guard(child, gate, order)
        }
        Received::Message(..) => sys::exit_now(0),
        Received::Nothing | Received::Closed => warden.parent_is_gone(),
        Received::Failed(errno) => warden.refuse(errno, HEARING),
    }
}

/// What the warden was doing when it could not read its wire.
const HEARING: &str = "hearing the parent";

struct Warden<'a> {
    plan: &'a Plan,
    wire: FarEnd,
    outer: Option<Outer>,
    /// The signal that was passed on and would have been lost, in whose place SIGKILL was sent.
    asked: Option<i32>,
}

/// The child, as its parent sees it.
struct Ward {
    pid: Pid,
    pidfd: OwnedFd,
    /// The wire to it, until execve.
    gate: Option<NearEnd>,
    /// What tells of signals that it sends itself.
    listener: Option<OwnedFd>,
    /// Its user namespace, where only its root can remove what the container has written.
    user_namespace: Option<OwnedFd>,
}

/// Something that can happen while the warden waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Parent,
    Gate,
    Listener,
    Unlistened,
    Ended,
}

impl Ward {
    fn poll(&self, wire: &FarEnd) -> Vec<Event> {
        let input = PollFlags::IN;
        let sources = [
            // The gate first: what the parent orders depends on whether the child has become CMD.
            self.gate
                .as_ref()
                .map(|gate| (Event::Gate, PollFd::from_borrowed_fd(gate.as_fd(), input))),
            Some((Event::Parent, PollFd::from_borrowed_fd(wire.as_fd(), input))),
            self.listener.as_ref().map(|listener| {
                (Event::Listener, PollFd::from_borrowed_fd(listener.as_fd(), input))
            }),
            Some((Event::Ended, PollFd::from_borrowed_fd(self.pidfd.as_fd(), input))),
        ];
        let (events, mut fds): (Vec<Event>, Vec<PollFd<'_>>) =
            sources.into_iter().flatten().unzip();
        if poll(&mut fds, None).is_err() {
            return Vec::new();
        }
        let happened = events.into_iter().zip(fds).filter(|(_, fd)| !fd.revents().is_empty());
        happened
            .map(|(event, fd)| match event {
                // Once the last process with the filter is gone the listener hangs up, and a read
                // of it could wait for ever.
                Event::Listener if !fd.revents().contains(PollFlags::IN) => Event::Unlistened,
                event => event,
            })
            .collect()
    }
}

impl Warden<'_> {
    fn guard(mut self, inheritance: Inheritance<'_>, gate: NearEnd, go: Order) -> ! {
        let mut ward = match self.start(inheritance, gate, go) {
            Ok(ward) => ward,
            Err((step, error)) => {
                let _ = self
                    .wire
                    .send(&Report::Fault { step, errno: error.errno, detail: error.detail }, None);
                self.clear(None);
                self.finish(Ending::Code(Exit::Failed.code()))
            }
        };
        loop {
            for event in ward.poll(&self.wire) {
                match event {
                    Event::Parent => self.hear_parent(&ward),
                    Event::Gate => hear_child(&mut ward),
                    Event::Listener => self.hear_listener(&mut ward),
                    Event::Unlistened => ward.listener = None,
                    Event::Ended => {
                        let ending = self.ending(&ward);
                        self.clear(Some(&ward));
                        self.finish(ending)
                    }
                }
            }
        }
    }

    fn hear_parent(&mut self, ward: &Ward) {
        match self.wire.receive() {
            Received::Message(order, _) => self.obey(order, ward),
            Received::Nothing => {}
            Received::Closed => {
                self.kill(ward);
                self.clear(Some(ward));
                self.parent_is_gone()
            }
            Received::Failed(errno) => {
                self.kill(ward);
                self.clear(Some(ward));
                self.refuse(errno, HEARING)
            }
        }
    }

    /// Tells the parent that the warden itself cannot go on, and ends.
    fn refuse(&self, errno: Errno, detail: &str) -> ! {
        let step = self.plan.side(Side::Warden).next().map_or(0, |(number, _)| number);
        let _ = self.wire.send(&Report::Fault { step, errno, detail: detail.to_owned() }, None);
        self.finish(SILENT)
    }

    /// PID 1 sends itself a signal. One that it would lose does what it does to every other
    /// process; for anything else the kernel goes on.
    fn hear_listener(&mut self, ward: &mut Ward) {
        let Some(listener) = &ward.listener else { return };
        match seccomp::told(listener) {
            Ok(told) => {
                let itself = std::fs::exists(format!(
                    "/proc/{}/task/{}",
                    ward.pid.as_raw_nonzero(),
                    told.sender
                ))
                .unwrap_or(false);
                if itself && signals::ends_a_process(told.signal) {
                    self.deliver(told.signal, ward, || {});
                }
                // To a child that was ended just now the answer comes too late.
                let _ = seccomp::let_pass(listener, told);
            }
            Err(Errno::NOENT | Errno::INTR) => {}
            Err(_) => ward.listener = None,
        }
    }

    /// Takes the warden's steps. On a failure: the step's number and what was answered.
    fn start(
        &self,
        inheritance: Inheritance<'_>,
        gate: NearEnd,
        go: Order,
    ) -> Result<Ward, (usize, SysError)> {
        let talk = inheritance.talk;
        let (mut inheritance, mut gate) = (Some(inheritance), Some(gate));
        let mut ward = None;
        // SAFETY: the warden has one thread.
        #[allow(unsafe_code, reason = "clone3(2) with one thread")]
        let cloned = |flags| unsafe { sys::clone3(flags) };
        for (number, step) in self.plan.side(Side::Warden) {
            let failed = |error: SysError| (number, error);
            if let Some(error) = step.ordered_failure() {
                ward.iter().for_each(|ward| self.kill(ward));
                return Err(failed(error));
            }
            match (step, &ward) {
                (Step::BecomeSubreaper, _) => {
                    setsid().map_err(|errno| failed(errno.into()))?;
                    set_child_subreaper(Some(getpid())).map_err(|errno| failed(errno.into()))?;
                }
                (Step::MakeRunDirectory(path), _) => {
                    run_directory::make(path).map_err(|errno| failed(errno.into()))?;
                }
                (Step::Clone(namespaces), _) => match cloned(namespaces.clone_flags())
                    .map_err(|errno| failed(errno.into()))?
                {
                    Some((pid, pidfd)) => {
                        let _ = self.wire.send(
                            &Report::Started(pid.as_raw_nonzero().get()),
                            Some(pidfd.as_fd()),
                        );
                        // The warden's copy of the child's end would keep the parent from seeing
                        // its end of file.
                        drop(inheritance.take());
                        let user_namespace = self.user_namespace(pid);
                        if let (Some(gate), Ok(pidfd)) = (&mut gate, fcntl_dupfd_cloexec(&pidfd, 3))
                        {
                            gate.know_peer(pidfd);
                        }
                        ward = Some(Ward {
                            pid,
                            pidfd,
                            gate: gate.take(),
                            listener: None,
                            user_namespace,
                        });
                    }
                    None => {
                        drop(gate.take());
                        match inheritance.take() {
                            Some(inheritance) => child::main(self.plan, inheritance),
                            None => sys::exit_now(Exit::Failed.code()),
                        }
                    }
                },
                (Step::WriteIdMaps(maps), Some(ward)) => {
                    if let Err(error) = maps.write(ward.pid) {
                        self.kill(ward);
                        return Err(failed(error));
                    }
                }
                _ => {}
            }
            if talk != Verbosity::Quiet {
                let _ = self.wire.send(&Report::Done(number), None);
            }
        }
        let ward = ward.ok_or_else(|| (0, SysError::from(Errno::CHILD)))?;
        if let Some(gate) = &ward.gate {
            match gate.send(&go, None) {
                // A child that is gone already has said why on its own wire.
                Ok(()) | Err(Errno::PIPE) => {}
                Err(errno) => {
                    self.kill(&ward);
                    let clone = self.plan.side(Side::Warden).last().map_or(0, |(number, _)| number);
                    return Err((clone, SysError::new(errno, "letting the child go on")));
                }
            }
        }
        Ok(ward)
    }

    fn user_namespace(&self, pid: Pid) -> Option<OwnedFd> {
        let helped = self
            .plan
            .maps
            .as_ref()
            .is_some_and(|maps| matches!(maps.writer, Writer::Helpers { .. }));
        (helped && self.plan.run_directory.is_some())
            .then(|| std::fs::File::open(format!("/proc/{}/ns/user", pid.as_raw_nonzero())).ok())
            .flatten()
            .map(OwnedFd::from)
    }

    fn obey(&mut self, order: Order, ward: &Ward) {
        match order {
            Order::Go | Order::GoWithoutQueue | Order::Heard | Order::Taken => {}
            Order::Kill => send(ward, Signal::KILL),
            Order::Signal(number) => self.deliver(number, ward, || {
                if let Some(signal) = Signal::from_named_raw(number) {
                    send(ward, signal);
                }
            }),
            Order::Typed(number) => self.deliver(number, ward, || {}),
        }
    }

    /// A signal that PID 1 of a new pid namespace would lose ends the container, as it would have
    /// ended the process outside. Before execve the child has every signal blocked or none handled,
    /// and nothing to decide: it is ended too.
    fn deliver(&mut self, number: i32, ward: &Ward, by: impl FnOnce()) {
        let lost = if ward.gate.is_some() {
            Fate::Lost
        } else if self.plan.namespaces.get(Namespace::Pid) == Switch::Yes {
            signals::fate(ward.pid, number, by)
        } else {
            by();
            Fate::Arrives
        };
        if lost == Fate::Lost {
            self.asked = self.asked.or(Some(number));
            send(ward, Signal::KILL);
        }
    }

    fn ending(&self, ward: &Ward) -> Ending {
        match (reap(ward), self.asked) {
            (Ok(Ending::Signal(libc::SIGKILL)), Some(asked)) => Ending::Signal(asked),
            (Ok(ending), _) => ending,
            // How it ended is not known, and not guessed.
            (Err(errno), _) => {
                self.clear(Some(ward));
                self.refuse(errno, "waiting for the container's end")
            }
        }
    }

    /// Ends the child. In a pid namespace the kernel ends everything in it with its PID 1.
    fn kill(&self, ward: &Ward) {
        send(ward, Signal::KILL);
        let _ = reap(ward);
    }

    /// Ends what the child has left, and removes the directory of the run.
    fn clear(&self, ward: Option<&Ward>) {
        end_descendants();
        let Some(directory) = &self.plan.run_directory else { return };
        if remove::tree(directory).is_ok() {
            return;
        }
        // SAFETY: the warden has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let fork = || unsafe { sys::fork() };
        // Files of subordinate ids in directories of subordinate ids: only the root of that user
        // namespace may remove them.
        if let Some(namespace) = ward.and_then(|ward| ward.user_namespace.as_ref())
            && let Ok(None) = fork()
        {
            let entered = rustix::thread::move_into_link_name_space(
                namespace.as_fd(),
                Some(rustix::thread::LinkNameSpaceType::User),
            );
            let _ = entered.and_then(|()| remove::tree(directory));
            sys::exit_now(0);
        }
        end_children_by_waiting();
        if let Err(errno) = remove::tree(directory) {
            let _ = self.wire.send(&Report::Left(errno), None);
        }
    }

    /// Tells the parent how it ended, and waits until it has heard.
    fn finish(&self, ending: Ending) -> ! {
        if self.wire.send(&Report::Ended(ending), None).is_err() {
            self.parent_is_gone()
        }
        loop {
            match self.wire.wait() {
                Received::Message(Order::Heard, _) => sys::exit_now(0),
                Received::Closed | Received::Failed(_) => self.parent_is_gone(),
                Received::Message(..) | Received::Nothing => {}
            }
        }
    }

    /// The parent has ended before it could do it itself: the terminal's modes and the queue are
    /// left.
    fn parent_is_gone(&self) -> ! {
        if let Some(outer) = &self.outer {
            outer.restore_after_death();
        }
        streams::give_back(&self.plan.pipe_owners);
        if let Some(name) = &self.plan.queue {
            let _ = queue::remove(name);
        }
        sys::exit_now(0)
    }
}

/// Everything that is there, so that a child which has become CMD is known as such before the next
/// order is obeyed.
fn hear_child(ward: &mut Ward) {
    while let Some(gate) = &ward.gate {
        match gate.receive() {
            Received::Message(Report::Listener, listener) => ward.listener = listener,
            Received::Message(..) => {}
            Received::Nothing => return,
            Received::Closed | Received::Failed(_) => ward.gate = None,
        }
    }
}

fn send(ward: &Ward, signal: Signal) {
    let _ = pidfd_send_signal(&ward.pidfd, signal);
}

fn reap(ward: &Ward) -> rustix::io::Result<Ending> {
    let status = rustix::io::retry_on_intr(|| {
        waitid(WaitId::PidFd(ward.pidfd.as_fd()), WaitIdOptions::EXITED)
    })?;
    status.as_ref().map(Ending::of).ok_or(Errno::CHILD)
}

/// SIGKILL for every descendant, until none is left. The warden is a subreaper: a process whose
/// parent dies becomes its child, and its children are what it kills, round by round. Their numbers
/// cannot be used anew meanwhile, since nobody but the warden reaps them.
fn end_descendants() {
    while reap_the_ended() == Children::Some {
        for pid in children().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = waitid(WaitId::All, WaitIdOptions::EXITED);
    }
}

/// Whether a process has children.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Children {
    Some,
    None,
}

fn reap_the_ended() -> Children {
    loop {
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Children::Some,
            Err(_) => return Children::None,
        }
    }
}

fn end_children_by_waiting() {
    while !matches!(waitid(WaitId::All, WaitIdOptions::EXITED), Err(Errno::CHILD)) {}
}

/// The children of this process, which has one thread: proc_pid_task(5), or where the kernel is
/// built without CONFIG_PROC_CHILDREN the parent fields of all processes.
fn children() -> Vec<i32> {
    let own = getpid().as_raw_nonzero();
    match std::fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        Ok(list) => list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => {
            let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
            let pids = entries
                .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
            pids.filter(|&pid| parent_of(pid) == Some(own.get())).collect()
        }
    }
}

/// Field 4 of proc_pid_stat(5), behind a name that may hold spaces and parentheses.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
