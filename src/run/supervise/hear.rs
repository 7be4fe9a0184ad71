//! What the warden and the child say.

use super::{Phase, Supervisor};
use crate::error::{Failure, errno_text, printable};
use crate::ready::notify;
use crate::run::control::{Ending, Order, Report};
use crate::run::events;
use crate::run::refusal::Refusal;
use crate::run::resource::{self, Which};
use crate::run::step::{ChildStep, Idmapped, NOT_IDMAPPED, RootfsStep, Step, WardenStep};
use crate::run::wire::Received;
use crate::spec::{Rootfs, Verbosity};
use crate::walls::idmap::Writer;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, pidfd_send_signal};

impl Supervisor<'_> {
    pub(super) fn hear_child(&mut self) {
        // The warden first: it has told the child's pid before the child could say a word.
        self.hear_warden();
        self.hear_child_alone();
    }

    fn hear_child_alone(&mut self) {
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

    pub(super) fn hear_warden(&mut self) {
        while self.ending.is_none() {
            match self.warden.receive() {
                Received::Message(report, descriptor) => {
                    // A child that has ended is why the warden could not go on, and has said more.
                    if matches!(report, Report::Fault { .. }) {
                        self.hear_child_alone();
                    }
                    self.heard(report, descriptor);
                }
                Received::Nothing => return,
                Received::Closed => {
                    // Until it is gone as a whole it has its locks.
                    self.warden.outlive_peer();
                    self.warden_is_gone(Failure::new(
                        "the warden was killed, and the container with it",
                    ));
                }
                Received::Failed(errno) => {
                    self.warden_is_gone(Failure::new("cannot hear the warden").errno(errno));
                }
            }
        }
    }

    /// Something that the run cannot go on without has failed: it ends, and that is why.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure = self.failure.take().or(Some(failure));
        self.order(Order::Kill);
    }

    /// What the warden would have done, once nobody inside does anything any more.
    fn warden_is_gone(&mut self, failure: Failure) {
        if let Some(pidfd) = &self.pidfd {
            let _ = pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
            // Not our child: its end is seen, not its status.
            let _ = poll(&mut [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)], None);
        }
        for (place, errno) in resource::remove_all(&self.run.plan.resources, Which::All, None) {
            self.left(place, errno);
        }
        self.failure = self.failure.take().or(Some(failure));
        self.ending = Some(Ending::Signal(libc::SIGKILL));
    }

    fn left(&self, place: usize, errno: Errno) {
        if let Some(resource) = self.run.plan.resources.get(place) {
            let warning = format!("cannot remove {resource}: {}", errno_text(errno));
            self.run.voice.warning(&warning);
        }
    }

    fn heard(&mut self, report: Report, descriptor: Option<OwnedFd>) {
        match report {
            Report::Started(pid) => {
                self.run.voice.parent(&format!("PID of child is {pid}"));
                self.run.voice.walls(self.run.spec, self.run.plan);
                if self.info.is_wanted() {
                    self.namespaces = events::namespaces_of(pid, self.network.as_ref());
                }
                (self.pid, self.pidfd) = (Pid::from_raw(pid), descriptor);
                if let (Some(child), Some(pidfd)) = (&mut self.child, &self.pidfd)
                    && let Ok(pidfd) = fcntl_dupfd_cloexec(pidfd, 3)
                {
                    child.know_peer(pidfd);
                }
            }
            Report::Done(number) => self.done(number),
            Report::Note(number, errno) => self.note(number, errno),
            Report::Target { ordered, path } => {
                let (ordered, path) = (printable(&ordered), printable(&path));
                self.run.voice.child(&format!("{ordered} is {path}"));
            }
            Report::Claim { name, .. } => self.claim = descriptor.map(|dir| (dir, name)),
            Report::Claimed => {
                if let (Some((dir, name)), Some(file)) = (self.claim.take(), descriptor) {
                    resource::note_target(&self.run.plan.resources, dir, name, file);
                }
            }
            Report::Terminal => {
                if let (Some(relay), Some(master)) = (&mut self.relay, descriptor) {
                    relay.connect(master);
                }
            }
            Report::Fault { step, errno, detail } => {
                let Some(step) = self.run.plan.steps.get(step) else { return };
                if self.failure.is_none() {
                    self.failure = Some(step.diagnose(errno, &detail, self.run.host));
                    self.refused = self.refusal(step, errno, &detail);
                }
            }
            Report::Socket => self.socket = descriptor.map(notify::Inner::over),
            Report::View(number) => {
                if let Some(view) = self.connections.streams.views.get_mut(number) {
                    *view = descriptor;
                }
            }
            Report::Left(place, errno) => self.left(place, errno),
            Report::Listener => {}
            Report::Ended(ending) => self.ending = Some(ending),
        }
    }

    /// What the run can go on without, if that was refused.
    fn refusal(&self, step: &Step, errno: Errno, detail: &str) -> Option<Refusal> {
        match step {
            Step::Warden(WardenStep::WriteIdMaps(maps))
                if matches!(maps.writer, Writer::Helpers { .. }) =>
            {
                Some(Refusal::Ranges(printable(detail)))
            }
            // A directory is the user's own, and is not copied.
            Step::Builder(RootfsStep::Idmap { of: Idmapped::Base(_), .. })
            | Step::Rootfs(RootfsStep::Idmap { of: Idmapped::Base(_), .. })
                if detail == NOT_IDMAPPED
                    && [Errno::INVAL, Errno::PERM].contains(&errno)
                    && !matches!(self.run.spec.rootfs, Rootfs::Directory(_)) =>
            {
                Some(Refusal::Idmap)
            }
            Step::Parent(_)
            | Step::Warden(_)
            | Step::Builder(_)
            | Step::Rootfs(_)
            | Step::Child(_) => None,
        }
    }

    fn done(&mut self, number: usize) {
        match self.run.plan.steps.get(number) {
            Some(Step::Child(ChildStep::Exec { .. })) => {
                self.stage = match self.run.spec.talk {
                    Verbosity::Quiet | Verbosity::DryRun => Phase::Executing,
                    Verbosity::Story | Verbosity::Steps => Phase::Waiting,
                }
            }
            Some(step) => self.run.voice.done(number, step),
            None => {}
        }
    }

    fn note(&mut self, number: usize, errno: Errno) {
        match self.run.plan.steps.get(number) {
            Some(Step::Child(ChildStep::OpenQueue { name, .. })) => {
                self.run.voice.child(&format!("opening message queue {}", name.shown()));
                self.run.voice.child(&format!("mq_open: {}", errno_text(errno)));
                self.run.voice.parent(&format!(
                    "the child cannot see {}: the queue lives in another IPC namespace, so that \
                        wall stands",
                    name.shown()
                ));
                self.close_queue();
            }
            Some(step) => {
                self.run.voice.child(&format!("{}: {}", step.describe().call, errno_text(errno)))
            }
            None => {}
        }
    }
}
