//! One poll over everything that can happen, until the end.

use super::{Phase, Readiness, Supervisor};
use crate::error::Failure;
use crate::exit::{Exit, FORBIDDEN_CALL};
use crate::namespace::Switch;
use crate::run::control::{Ending, Order, SILENT};
use crate::run::foreign_filter;
use crate::run::pty_relay::{Relay, RelaySide};
use crate::run::refusal::Unsuccessful;
use crate::run::stream_relay::Lost;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use std::time::Instant;

/// Something that can happen while the parent waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParentEvent {
    Child,
    Queue,
    Pipe,
    Socket,
    Warden,
    Signal,
    Info,
    Relay(RelaySide),
    Streams,
}

impl Supervisor<'_> {
    /// Lets the warden go and waits for the end.
    ///
    /// # Errors
    /// The step that failed, or a container that was not ready in time.
    pub fn wait(mut self) -> Result<Exit, Unsuccessful> {
        // A queue that nobody has asked for by name may be missing: then that CMD runs tells
        // enough.
        let missing = self.run.plan.queue.is_some() && self.queue.is_none();
        self.order(if missing { Order::GoWithoutQueue } else { Order::Go });
        self.make_network();
        while self.ending.is_none() {
            for event in self.poll() {
                match event {
                    ParentEvent::Child => self.hear_child(),
                    ParentEvent::Queue => self.read_queue(),
                    ParentEvent::Pipe => self.read_pipe(),
                    ParentEvent::Socket => self.read_socket(),
                    ParentEvent::Warden => self.hear_warden(),
                    ParentEvent::Signal => self.hear_signals(),
                    ParentEvent::Info => self.info.flush(),
                    ParentEvent::Relay(RelaySide::Keys) => self.relay_keys(),
                    ParentEvent::Relay(RelaySide::Inner) => {
                        self.relay.iter_mut().for_each(Relay::inner)
                    }
                    ParentEvent::Relay(RelaySide::Outer) => {
                        self.relay.iter_mut().for_each(Relay::show)
                    }
                    ParentEvent::Streams => self.connections.pipes.relay(),
                }
            }
            self.let_cmd_start();
            self.dismiss_warden();
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
        if self.dismissed == Switch::No {
            self.order(Order::Dismiss);
        }
        let refused = self.refused.take();
        let concluded = self.conclude(lost);
        concluded.map_err(|failure| match refused {
            Some(refusal) => Unsuccessful::Refused(refusal, Box::new(failure)),
            None => failure.into(),
        })
    }

    /// Waits until something happens, or the time for readiness is over. Monotonic: poll(2) knows
    /// nothing of the wall clock.
    fn poll(&self) -> Vec<ParentEvent> {
        let input = PollFlags::IN;
        // What is left in the wires when the warden tells the end is read then.
        let sources = [
            Some((ParentEvent::Warden, PollFd::from_borrowed_fd(self.warden.as_fd(), input))),
            self.child
                .as_ref()
                .map(|child| (ParentEvent::Child, PollFd::from_borrowed_fd(child.as_fd(), input))),
            self.queue
                .as_ref()
                .map(|queue| (ParentEvent::Queue, PollFd::from_borrowed_fd(queue.as_fd(), input))),
            self.pipe
                .as_ref()
                .map(|pipe| (ParentEvent::Pipe, PollFd::from_borrowed_fd(pipe.as_fd(), input))),
            self.socket.as_ref().filter(|socket| socket.can_be_read()).map(|socket| {
                (ParentEvent::Socket, PollFd::from_borrowed_fd(socket.as_fd(), input))
            }),
            Some((ParentEvent::Signal, PollFd::from_borrowed_fd(self.signals.as_fd(), input))),
            self.info
                .blocked()
                .map(|fd| (ParentEvent::Info, PollFd::from_borrowed_fd(fd, PollFlags::OUT))),
        ];
        let relayed = self
            .relay
            .iter()
            .flat_map(Relay::sources)
            .map(|(side, fd)| (ParentEvent::Relay(side), fd));
        let streams = self.connections.pipes.sources().map(|fd| (ParentEvent::Streams, fd));
        let (events, mut fds): (Vec<ParentEvent>, Vec<PollFd<'_>>) =
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

    /// Once CMD runs, and the queue has no name any more, there is nothing that the warden would
    /// have to wait for; but the modes of a terminal are put right at the end.
    fn dismiss_warden(&mut self) {
        let runs = self.child.is_none() && self.failure.is_none();
        if self.dismissed == Switch::No && runs && self.queue.is_none() && self.relay.is_none() {
            self.dismissed = Switch::Yes;
            self.order(Order::Dismiss);
        }
    }

    fn conclude(self, lost: Option<Lost>) -> Result<Exit, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.stage != Phase::Executing && self.ending == Some(Ending::Signal(libc::SIGSYS)) {
            return Err(foreign_filter::deadly(
                "the container could not be made: a seccomp filter has ended its first process",
            ));
        }
        // It ended on its way, and could not say at which step.
        if self.stage != Phase::Executing && self.ending == Some(SILENT) {
            return Err(Failure::new(
                "the container could not be made: its first process ended before it could say why",
            ));
        }
        if let Some(Lost { stream, errno }) = lost {
            return Err(Failure::new(format!("cannot write all of CMD's {stream}")).errno(errno));
        }
        let exit = self.ending.map_or(Exit::Failed, Exit::from);
        self.run.voice.parent(&match exit {
            Exit::Signal(signal) => format!("the child was ended by signal {signal}"),
            exit => format!("the child has ended with {}", exit.code()),
        });
        if exit == Exit::Signal(libc::SIGSYS) {
            self.run.voice.warning(FORBIDDEN_CALL);
        }
        Ok(exit)
    }
}
