//! The wait: one poll over everything that can happen, until the end of the container.

use super::descendants::end_descendants;
use super::{HEARING, Ward, Warden};
use crate::beneath::Kind;
use crate::exit::Exit;
use crate::namespace::{Namespace, Switch};
use crate::run::child::Inheritance;
use crate::run::control::{Ending, FarEnd, NearEnd, Order, Report};
use crate::run::resource::{self, Which};
use crate::run::signals::{self, Fate};
use crate::run::wire::Received;
use crate::sys;
use crate::walls::seccomp;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

/// Something that can happen while the warden waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WardenEvent {
    Parent,
    Gate,
    Listener,
    Unlistened,
    Ended,
}

impl Ward {
    fn poll(&self, wire: &FarEnd) -> Vec<WardenEvent> {
        let input = PollFlags::IN;
        let sources = [
            // The gate first: what the parent orders depends on whether the child has become CMD.
            self.gate
                .as_ref()
                .map(|gate| (WardenEvent::Gate, PollFd::from_borrowed_fd(gate.as_fd(), input))),
            Some((WardenEvent::Parent, PollFd::from_borrowed_fd(wire.as_fd(), input))),
            self.listener.as_ref().map(|listener| {
                (WardenEvent::Listener, PollFd::from_borrowed_fd(listener.as_fd(), input))
            }),
            Some((WardenEvent::Ended, PollFd::from_borrowed_fd(self.pidfd.as_fd(), input))),
        ];
        let (events, mut fds): (Vec<WardenEvent>, Vec<PollFd<'_>>) =
            sources.into_iter().flatten().unzip();
        if poll(&mut fds, None).is_err() {
            return Vec::new();
        }
        let happened = events.into_iter().zip(fds).filter(|(_, fd)| !fd.revents().is_empty());
        happened
            .map(|(event, fd)| match event {
                // Once the last process with the filter is gone the listener hangs up, and a read
                // of it could wait for ever.
                WardenEvent::Listener if !fd.revents().contains(PollFlags::IN) => {
                    WardenEvent::Unlistened
                }
                event => event,
            })
            .collect()
    }
}

impl Warden<'_> {
    pub(super) fn guard(mut self, inheritance: Inheritance<'_>, gate: NearEnd, go: Order) -> ! {
        let mut ward = match self.start(inheritance, gate, go) {
            Ok(ward) => ward,
            Err((step, error)) => {
                // A start that a signal has ended has not failed.
                let ending = self.asked.get().map_or_else(
                    || {
                        let _ = self.wire.send(&Report::fault(step, error), None);
                        Ending::Code(Exit::Failed.code())
                    },
                    Ending::Signal,
                );
                self.clear(None);
                self.finish(ending)
            }
        };
        loop {
            for event in ward.poll(&self.wire) {
                match event {
                    WardenEvent::Parent => self.hear_parent(&ward),
                    WardenEvent::Gate => self.hear_child(&mut ward),
                    WardenEvent::Listener => self.hear_listener(&mut ward),
                    WardenEvent::Unlistened => ward.listener = None,
                    WardenEvent::Ended => {
                        let ending = self.ending(&ward);
                        self.clear(Some(&ward));
                        self.finish(ending)
                    }
                }
            }
        }
    }

    /// Everything that is there, so that a child which has become CMD is known as such before the
    /// next order is obeyed.
    fn hear_child(&self, ward: &mut Ward) {
        while let Some(gate) = &ward.gate {
            match gate.receive() {
                Received::Message(Report::Listener, listener) => ward.listener = listener,
                Received::Message(Report::Claim { name, kind }, Some(dir)) => {
                    self.claim(gate, &mut ward.passed, (name, kind, dir));
                }
                Received::Message(..) => {}
                Received::Nothing => return,
                Received::Closed | Received::Failed(_) => ward.gate = None,
            }
        }
    }

    /// The same of the builder. `None` once it hears no more.
    pub(super) fn hear_claims(
        &self,
        gate: &mut Option<NearEnd>,
        passed: &mut Vec<OwnedFd>,
    ) -> Option<()> {
        let open = gate.as_ref()?;
        match open.receive() {
            Received::Message(Report::Claim { name, kind }, Some(dir)) => {
                self.claim(open, passed, (name, kind, dir));
                Some(())
            }
            Received::Message(..) | Received::Nothing => Some(()),
            Received::Closed | Received::Failed(_) => {
                *gate = None;
                None
            }
        }
    }

    /// Makes a mount target, or shares it, and tells the parent of it and who has asked.
    fn claim(
        &self,
        gate: &NearEnd,
        passed: &mut Vec<OwnedFd>,
        (name, kind, dir): (Vec<u8>, Kind, OwnedFd),
    ) {
        let claimed = resource::claim_target(&self.plan.resources, &dir, &name, kind);
        let answer =
            claimed.as_ref().map_or_else(|errno| Order::NotClaimed(*errno), |_| Order::Claimed);
        if let Ok(Some(file)) = claimed {
            let _ = self.wire.send(&Report::Claim { name, kind }, Some(dir.as_fd()));
            let _ = self.wire.send(&Report::Claimed, Some(file.as_fd()));
            // They may have gone as numbers, and are open until they are taken.
            passed.extend([dir, file]);
        }
        // Who is gone by now hears no more.
        let _ = gate.send(&answer, None);
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

    fn obey(&mut self, order: Order, ward: &Ward) {
        match order {
            Order::Dismiss => self.dismissed.set(Switch::Yes),
            Order::Go
            | Order::GoWithoutQueue
            | Order::Taken
            | Order::Network
            | Order::Claimed
            | Order::NotClaimed(_) => {}
            Order::Kill => send(ward, Signal::KILL),
            Order::Signal(number) => self.deliver(number, ward, || {
                if let Some(signal) = sys::numbered_signal(number) {
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
        } else if self.plan.namespaces.is_new(Namespace::Pid) {
            signals::fate(ward.pid, number, by)
        } else {
            by();
            Fate::Arrives
        };
        if lost == Fate::Lost {
            self.ask(number);
            send(ward, Signal::KILL);
        }
    }

    /// Notes the first signal that ends the container.
    pub(super) fn ask(&self, number: i32) {
        self.asked.set(self.asked.get().or(Some(number)));
    }

    fn ending(&self, ward: &Ward) -> Ending {
        match (reap(ward), self.asked.get()) {
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
    pub(super) fn kill(&self, ward: &Ward) {
        send(ward, Signal::KILL);
        let _ = reap(ward);
    }

    /// Ends what the child has left, and removes what was made for the container.
    pub(super) fn clear(&self, ward: Option<&Ward>) {
        end_descendants();
        let within = ward.and_then(|ward| ward.user_namespace.as_ref());
        for (place, errno) in resource::remove_all(&self.plan.resources, Which::AllButQueue, within)
        {
            let _ = self.wire.send(&Report::Left(place, errno), None);
        }
    }

    /// Tells the parent how it ended, and waits until it has cleaned up.
    pub(super) fn finish(&self, ending: Ending) -> ! {
        if self.wire.send(&Report::Ended(ending), None).is_err() {
            self.parent_is_gone()
        }
        if self.dismissed.get() == Switch::Yes {
            sys::exit_now(0)
        }
        loop {
            match self.wire.wait() {
                Received::Message(Order::Dismiss, _) => sys::exit_now(0),
                Received::Closed | Received::Failed(_) => self.parent_is_gone(),
                Received::Message(..) | Received::Nothing => {}
            }
        }
    }

    /// The parent has ended before it could clean up: what it has made, and the terminal's modes.
    pub(super) fn parent_is_gone(&self) -> ! {
        resource::remove_all(&self.plan.resources, Which::All, None);
        if let Some(outer) = &self.outer {
            outer.restore_after_death();
        }
        sys::exit_now(0)
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
