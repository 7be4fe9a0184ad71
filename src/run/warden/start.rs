//! The warden's steps: from the subreaper to the child that may go on.

use super::{Ward, Warden};
use crate::error::SysError;
use crate::exit::Exit;
use crate::namespace::{Choice, Namespace, Namespaces};
use crate::rootfs::run_directory;
use crate::run::child::{self, Inheritance};
use crate::run::control::{FarEnd, NearEnd, Order, Report, wire};
use crate::run::resource::Resource;
use crate::run::step::WardenStep;
use crate::run::wire::Received;
use crate::spec::Verbosity;
use crate::sys;
use crate::walls::idmap::Writer;
use crate::walls::join::Joins;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitId, WaitIdOptions, getpid, set_child_subreaper,
    set_dumpable_behavior, set_parent_process_death_signal, setsid, waitid,
};

/// What is not there before the child is cloned, and what the child is given then.
struct Start<'a> {
    inheritance: Option<Inheritance<'a>>,
    gate: Option<NearEnd>,
    ward: Option<Ward>,
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
        let mut start = Start { inheritance: Some(inheritance), gate: Some(gate), ward: None };
        let mut last = 0;
        for (number, whole, step) in self.plan.warden() {
            last = number;
            let taken = whole.ordered_failure().map_or_else(|| self.take(step, &mut start), Err);
            if let Err(error) = taken {
                start.ward.iter().for_each(|ward| self.kill(ward));
                return Err((number, error));
            }
            if talk != Verbosity::Quiet {
                let _ = self.wire.send(&Report::Done(number), None);
            }
        }
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
        Ok(ward)
    }

    fn take(&self, step: &WardenStep, start: &mut Start<'_>) -> Result<(), SysError> {
        match step {
            WardenStep::BecomeSubreaper => {
                setsid()?;
                Ok(set_child_subreaper(Some(getpid()))?)
            }
            WardenStep::MakeRunDirectory(path) => Ok(run_directory::make(path)?),
            WardenStep::Clone(namespaces) => self.clone_child(namespaces, start),
            WardenStep::JoinAndClone { joins, namespaces } => {
                self.clone_from_inside(joins, namespaces, start)
            }
            WardenStep::WriteIdMaps(maps) => match (&start.ward, &maps.writer) {
                // Who has cloned the child inside has written them too.
                (_, Writer::Joiner | Writer::Nobody) => Ok(()),
                (Some(ward), Writer::Privileged | Writer::OneId | Writer::Helpers { .. }) => {
                    maps.write(ward.pid)
                }
                (None, Writer::Privileged | Writer::OneId | Writer::Helpers { .. }) => {
                    Err(Errno::CHILD.into())
                }
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

    fn become_child(&self, start: &mut Start<'_>) -> ! {
        drop(start.gate.take());
        match start.inheritance.take() {
            Some(inheritance) => child::main(self.plan, inheritance),
            None => sys::exit_now(Exit::Failed.code()),
        }
    }

    /// A process of its own joins the namespaces and clones the child, as the warden's: the warden
    /// itself stays outside of every wall.
    fn clone_from_inside(
        &self,
        joins: &Joins,
        namespaces: &Namespaces,
        start: &mut Start<'_>,
    ) -> Result<(), SysError> {
        let (mut near, far) = wire()?;
        // SAFETY: the warden has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        let Some(joiner) = forked? else {
            drop(near);
            self.join_and_clone(joins, namespaces, far, start)
        };
        drop(far);
        if let Ok(pidfd) = rustix::process::pidfd_open(joiner, rustix::process::PidfdFlags::empty())
        {
            near.know_peer(pidfd);
        }
        let told = near.wait();
        let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(joiner), WaitIdOptions::EXITED));
        match told {
            Received::Message(Report::Started(pid), Some(pidfd)) => {
                let pid = Pid::from_raw(pid).ok_or(Errno::CHILD)?;
                self.begin(pid, pidfd, start);
                Ok(())
            }
            Received::Message(Report::Fault { errno, detail, .. }, _) => {
                Err(SysError::new(errno, detail))
            }
            Received::Failed(errno) => Err(errno.into()),
            Received::Message(..) | Received::Nothing | Received::Closed => {
                Err(SysError::new(Errno::CHILD, "the process that joins them has ended"))
            }
        }
    }

    fn join_and_clone(
        &self,
        joins: &Joins,
        namespaces: &Namespaces,
        far: FarEnd,
        start: &mut Start<'_>,
    ) -> ! {
        let cloned = set_parent_process_death_signal(Some(Signal::KILL))
            .and_then(|()| self.hide_from_the_joined())
            .map_err(SysError::from)
            .and_then(|()| joins.enter())
            .and_then(|()| Ok(clone(namespaces.clone_flags() | CLONE_PARENT)?));
        let cloned = match cloned {
            Ok(None) => {
                drop(far);
                self.become_child(start)
            }
            Ok(Some((pid, pidfd))) => self.map_from_inside(pid).map(|()| (pid, pidfd)),
            Err(error) => Err(error),
        };
        let _ = match cloned {
            Ok((pid, pidfd)) => {
                far.pass(&Report::Started(pid.as_raw_nonzero().get()), pidfd.as_fd())
            }
            Err(error) => far.send(&Report::fault(0, error), None),
        };
        sys::exit_now(0)
    }

    /// Whoever has CAP_SYS_PTRACE in a user namespace that is joined, and sees the child in a pid
    /// namespace that is joined too, could trace it while it still holds the host's mounts. Of a
    /// process that is not dumpable the kernel asks for that right in the user namespace in which
    /// rustic was executed, ptrace(2); execve(2) of CMD ends that.
    fn hide_from_the_joined(&self) -> rustix::io::Result<()> {
        match self.plan.namespaces.get(Namespace::User) {
            Choice::Join(_) => set_dumpable_behavior(DumpableBehavior::NotDumpable),
            Choice::New | Choice::Shared => Ok(()),
        }
    }

    fn map_from_inside(&self, pid: Pid) -> Result<(), SysError> {
        let maps = self.plan.maps.as_ref().filter(|maps| maps.writer == Writer::Joiner);
        maps.map_or(Ok(()), |maps| maps.write(pid))
    }

    /// The child is there: the parent is told, and what the warden has of it is closed.
    fn begin(&self, pid: Pid, pidfd: OwnedFd, start: &mut Start<'_>) {
        let started = Report::Started(pid.as_raw_nonzero().get());
        let _ = self.wire.send(&started, Some(pidfd.as_fd()));
        // The warden's copy of the child's end would keep the parent from seeing its end of file.
        drop(start.inheritance.take());
        let user_namespace = self.user_namespace(pid);
        if let (Some(gate), Ok(pidfd)) = (&mut start.gate, fcntl_dupfd_cloexec(&pidfd, 3)) {
            gate.know_peer(pidfd);
        }
        let gate = start.gate.take();
        start.ward = Some(Ward { pid, pidfd, gate, listener: None, user_namespace });
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

/// clone(2): the child's parent is the caller's.
const CLONE_PARENT: u64 = libc::CLONE_PARENT as u64;

fn clone(flags: u64) -> rustix::io::Result<Option<(Pid, OwnedFd)>> {
    // SAFETY: the warden, and who joins for it, has one thread.
    #[allow(unsafe_code, reason = "clone3(2) with one thread")]
    let cloned = unsafe { sys::clone3(flags) };
    cloned
}
