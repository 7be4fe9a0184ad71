//! The warden's steps: from the subreaper to the child that may go on.

use super::{Ward, Warden};
use crate::error::SysError;
use crate::exit::Exit;
use crate::namespace::{Namespaces, Switch};
use crate::rootfs::run_directory;
use crate::run::child::{self, Inheritance};
use crate::run::control::{NearEnd, Order, Report};
use crate::run::resource::Resource;
use crate::run::step::WardenStep;
use crate::spec::Verbosity;
use crate::sys;
use crate::walls::idmap::Writer;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec, retry_on_intr};
use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, set_child_subreaper, setsid, waitid};

/// What is not there before the child is cloned, and what the child is given then.
pub(super) struct Start<'a> {
    pub(super) inheritance: Option<Inheritance<'a>>,
    pub(super) gate: Option<NearEnd>,
    ward: Option<Ward>,
    /// What the parent has been given of mount targets.
    pub(super) passed: Vec<OwnedFd>,
    /// Who has cloned the child from inside, to be reaped.
    pub(super) joiner: Option<Pid>,
}

impl Warden<'_> {
    /// Takes the warden's steps. On a failure: the step's number and what was answered.
    pub(super) fn start(
        &self,
        inheritance: Inheritance<'_>,
        gate: NearEnd,
        go: Order,
    ) -> Result<Ward, (usize, SysError)> {
        let talk = inheritance.talk;
        let mut start = Start {
            inheritance: Some(inheritance),
            gate: Some(gate),
            ward: None,
            passed: Vec::new(),
            joiner: None,
        };
        let mut last = 0;
        for (number, whole, step) in self.plan.warden() {
            last = number;
            let taken = whole.ordered_failure().map_or_else(|| self.execute(step, &mut start), Err);
            if let Err(error) = taken {
                start.ward.iter().for_each(|ward| self.kill(ward));
                return Err((number, error));
            }
            if talk != Verbosity::Quiet {
                let _ = self.wire.send(&Report::Done(number), None);
            }
        }
        let joiner = start.joiner;
        let ward = start.ward.ok_or_else(|| (last, SysError::from(Errno::CHILD)))?;
        if let Some(gate) = &ward.gate {
            match gate.send(&go, None) {
                // A child that is gone already has said why on its own wire.
                Ok(()) | Err(Errno::PIPE) => {}
                Err(errno) => {
                    self.kill(&ward);
                    return Err((last, SysError::new(errno, "letting the child go on")));
                }
            }
        }
        // When the child is on its way: what ends with the joiner's mount namespace takes time.
        if let Some(joiner) = joiner {
            let _ = retry_on_intr(|| waitid(WaitId::Pid(joiner), WaitIdOptions::EXITED));
        }
        Ok(ward)
    }

    fn execute(&self, step: &WardenStep, start: &mut Start<'_>) -> Result<(), SysError> {
        match step {
            WardenStep::BecomeSubreaper => {
                setsid()?;
                Ok(set_child_subreaper(Some(getpid()))?)
            }
            WardenStep::MakeRunDirectory(path) => Ok(run_directory::make(path)?),
            WardenStep::Clone(namespaces) => self.clone_child(namespaces, start),
            WardenStep::JoinAndClone { joins, namespaces } => {
                self.clone_from_inside(joins, namespaces, Switch::No, start)
            }
            WardenStep::BuildAndClone { joins, namespaces } => {
                self.clone_from_inside(joins, namespaces, Switch::Yes, start)
            }
            WardenStep::WriteIdMaps(maps) => match (&start.ward, &maps.writer) {
                // Who has cloned the child inside has written them too.
                (_, Writer::Joiner | Writer::Nobody | Writer::Outside) => Ok(()),
                (
                    Some(ward),
                    Writer::Privileged | Writer::Range | Writer::OneId | Writer::Helpers { .. },
                ) => maps.write(ward.pid),
                (
                    None,
                    Writer::Privileged | Writer::Range | Writer::OneId | Writer::Helpers { .. },
                ) => Err(Errno::CHILD.into()),
            },
        }
    }

    fn clone_child(&self, namespaces: &Namespaces, start: &mut Start<'_>) -> Result<(), SysError> {
        match clone(namespaces.clone_flags())? {
            Some((pid, pidfd)) => {
                self.begin(pid, pidfd, start);
                Ok(())
            }
            None => self.become_child(start),
        }
    }

    pub(super) fn become_child(&self, start: &mut Start<'_>) -> ! {
        drop(start.gate.take());
        match start.inheritance.take() {
            Some(inheritance) => child::main(self.plan, inheritance),
            None => sys::exit_now(Exit::Failed.code()),
        }
    }

    /// The child is there: the parent is told, and what the warden has of it is closed.
    pub(super) fn begin(&self, pid: Pid, pidfd: OwnedFd, start: &mut Start<'_>) {
        let started = Report::Started(pid.as_raw_nonzero().get());
        let _ = self.wire.send(&started, Some(pidfd.as_fd()));
        // The warden's copy of the child's end would keep the parent from seeing its end of file.
        drop(start.inheritance.take());
        let user_namespace = self.user_namespace(pid);
        if let (Some(gate), Ok(pidfd)) = (&mut start.gate, fcntl_dupfd_cloexec(&pidfd, 3)) {
            gate.know_peer(pidfd);
        }
        let gate = start.gate.take();
        let passed = std::mem::take(&mut start.passed);
        start.ward = Some(Ward { pid, pidfd, gate, listener: None, passed, user_namespace });
    }

    /// That of the child, where files of subordinate ids will have to be removed.
    fn user_namespace(&self, pid: Pid) -> Option<OwnedFd> {
        let helped = matches!(
            self.plan.maps.as_ref().map(|maps| &maps.writer),
            Some(Writer::Helpers { .. })
        );
        let makes = |resource: &Resource| matches!(resource, Resource::RunDirectory(_));
        if !helped || !self.plan.resources.iter().any(makes) {
            return None;
        }
        let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
        std::fs::File::open(path).ok().map(OwnedFd::from)
    }
}

pub(super) fn clone(flags: u64) -> rustix::io::Result<Option<(Pid, OwnedFd)>> {
    // SAFETY: the warden, and who joins for it, has one thread.
    #[allow(unsafe_code, reason = "clone3(2) with one thread")]
    let cloned = unsafe { sys::clone3(flags) };
    cloned
}
