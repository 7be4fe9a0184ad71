//! The wait for readiness: from the queue, from CMD's pipe, from its socket; and where it is passed
//! on.

use super::{Phase, Readiness, Supervisor};
use crate::error::{Failure, errno_text, printable};
use crate::namespace::Switch;
use crate::ready::READY_FD;
use crate::ready::message::{self, QueueMessage};
use crate::ready::notify;
use crate::ready::queue;
use crate::run::control::Order;
use crate::run::events;
use crate::run::step::{ChildStep, ParentStep, Step};
use crate::spec::{Ready, Verbosity};
use rustix::event::Timespec;
use rustix::io::Errno;

/// A program that says more than its supervisor reads does not hold this process.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

impl Supervisor<'_> {
    /// Tells a step of the plan that was taken.
    fn did(&self, which: impl Fn(&Step) -> bool) {
        if self.run.spec.talk == Verbosity::Steps
            && let Some((number, step)) =
                self.run.plan.steps.iter().enumerate().find(|(_, step)| which(step))
        {
            self.run.voice.done(number, step);
        }
    }

    /// Tells what is left to tell of the start, and lets a child go on that waits for it at its last
    /// step: CMD's own words come behind.
    pub(super) fn let_cmd_start(&mut self) {
        if self.stage != Phase::Waiting {
            return;
        }
        self.stage = Phase::Executing;
        self.read_queue();
        self.did(|step| matches!(step, Step::Child(ChildStep::Exec { .. })));
        // One that cannot be told is ended, and the warden says how.
        if let Some(child) = &self.child
            && child.send(&Order::Go, None).is_err()
        {
            self.order(Order::Kill);
        }
    }

    /// The child's wire has ended: it has become CMD, unless it has said why not, or was killed
    /// before.
    pub(super) fn child_is_cmd(&mut self) {
        if self.failure.is_some() || self.stage != Phase::Executing {
            return;
        }
        if let Some(pid) = self.pid {
            // Until now a child that is hidden from others could not be looked into.
            if self.info.is_wanted() && self.run.plan.namespaces.shows_the_child() {
                self.namespaces =
                    events::namespaces_of(pid.as_raw_nonzero().get(), self.network.as_ref());
            }
            self.info.started(pid.as_raw_nonzero().get(), &self.namespaces);
        }
        // The wall between the child and the queue stands: nothing more will tell, and that CMD
        // runs tells enough.
        if self.run.spec.ready == Ready::Queue
            && self.queue.is_none()
            && matches!(self.readiness, Readiness::Awaited(_))
        {
            self.readiness = Readiness::Told("exec");
        }
        self.announce();
    }

    /// Passes readiness on, once CMD runs.
    fn announce(&mut self) {
        let (Readiness::Told(via), None) = (self.readiness, &self.child) else { return };
        self.readiness = Readiness::Settled;
        self.info.ready(via);
        self.pass_on("READY=1\n", notify::PATIENCE);
    }

    /// Passes lines of sd_notify(3) on to whoever started rustic. A supervisor that does not listen
    /// ends no container; that it was not told is said.
    fn pass_on(&self, lines: &str, patience: Timespec) {
        let outer = std::env::var_os("NOTIFY_SOCKET");
        let outer = outer.as_ref().and_then(notify::NotifySocket::named);
        if let Some(Err(errno)) = outer.map(|outer| outer.tell(lines, patience)) {
            let (lines, errno) = (printable(lines.trim_end()), errno_text(errno));
            self.run
                .voice
                .parent(&format!("NOTIFY_SOCKET: {lines} could not be passed on: {errno}"));
        }
    }

    fn told(&mut self, via: &'static str) {
        if matches!(self.readiness, Readiness::Awaited(_)) {
            self.readiness = Readiness::Told(via);
            self.close_queue();
            self.announce();
        }
    }

    pub(super) fn read_queue(&mut self) {
        while let (Some(queue), Some(name)) = (&self.queue, &self.run.plan.queue) {
            let Ok(Some(bytes)) = queue.receive() else { return };
            match message::parse(&bytes, &name.nonce) {
                QueueMessage::Ready => return self.ready_on_the_queue(),
                QueueMessage::Plain(text)
                    if self.run.spec.ready == Ready::App && text.trim() == "READY=1" =>
                {
                    return self.ready_on_the_queue();
                }
                QueueMessage::Other(assignment) => {
                    self.run.voice.parent(&format!("the child says {}", printable(&assignment)));
                }
                QueueMessage::Foreign => self
                    .run
                    .voice
                    .parent("a message for another run was on the queue, and is ignored"),
                QueueMessage::Plain(text)
                    if self.run.spec.ready == Ready::App
                        && let Some(line) = notify::passed_on(text.trim_end()) =>
                {
                    self.pass_on(&line, AT_ONCE);
                }
                QueueMessage::Plain(text) => {
                    self.run.voice.parent(&format!(
                        "a foreign message was on the queue, and is ignored: {}",
                        printable(&text)
                    ));
                }
            }
        }
    }

    fn ready_on_the_queue(&mut self) {
        let step = self
            .run
            .plan
            .steps
            .iter()
            .find(|step| matches!(step, Step::Parent(ParentStep::ReceiveReady(_))));
        if let Some((step, error)) = step.and_then(|step| Some((step, step.ordered_failure()?))) {
            self.failure = Some(step.diagnose(error.errno, &error.detail, self.run.host));
            self.order(Order::Kill);
        }
        self.hear_child();
        let pid = self.pid.map_or(0, |pid| pid.as_raw_nonzero().get());
        self.run.voice.parent(&format!("received READY from child {pid}"));
        self.did(|step| matches!(step, Step::Parent(ParentStep::ReceiveReady(_))));
        self.told("queue");
    }

    /// The end of a line, whatever stands in it (s6's rule), or a line that is READY=1 before its
    /// end has come.
    pub(super) fn read_pipe(&mut self) {
        const READY: &[u8] = b"READY=1";
        let mut bytes = [0; 4096];
        while let Some(pipe) = &self.pipe {
            match rustix::io::read(pipe, &mut bytes) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    let said = &bytes[..length];
                    let room = (READY.len() + 1).saturating_sub(self.line.len());
                    self.line.extend(said.iter().take(room));
                    if said.contains(&b'\n') || self.line == READY {
                        self.run
                            .voice
                            .parent(&format!("the program said READY on descriptor {READY_FD}"));
                        self.told("fd");
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    pub(super) fn read_socket(&mut self) {
        while let Some(said) = self.socket.as_mut().and_then(notify::Inner::receive) {
            if !said.lines.is_empty() {
                self.pass_on(&said.lines, AT_ONCE);
            }
            if said.ready == Switch::Yes {
                self.run.voice.parent("the program said READY on the notify socket");
                self.told("socket");
            }
        }
    }

    pub(super) fn close_queue(&mut self) {
        if let (Some(queue), Some(name)) = (self.queue.take(), &self.run.plan.queue) {
            queue.close();
            let step = self
                .run
                .plan
                .steps
                .iter()
                .find(|step| matches!(step, Step::Parent(ParentStep::RemoveQueue(_))));
            let removed = queue::remove(name);
            let ordered = step.and_then(Step::ordered_failure).map_or(removed, Err);
            if let (Some(step), Err(error)) = (step, ordered) {
                self.failure = Some(step.diagnose(error.errno, &error.detail, self.run.host));
                return self.order(Order::Kill);
            }
            self.run.voice.parent(&format!("removed message queue {}", name.shown()));
            self.did(|step| matches!(step, Step::Parent(ParentStep::RemoveQueue(_))));
        }
    }

    pub(super) fn give_up(&mut self) {
        self.readiness = Readiness::Settled;
        self.close_queue();
        let (who, seconds) = (
            if self.run.spec.ready == Ready::App { "the program" } else { "the container" },
            self.run.spec.ready_timeout.as_secs(),
        );
        self.failure = Some(
            Failure::new(format!("{who} did not say that it is ready within {seconds} s"))
                .remedy("--ready-timeout SECONDS"),
        );
        self.order(Order::Kill);
    }
}
