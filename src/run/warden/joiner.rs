//! The joiner: a process of the warden's that joins namespaces of others and clones the child from
//! inside of them, so that the warden itself stays outside of every wall.

use super::Warden;
use super::start::{Start, clone};
use crate::error::{SysError, of_nix};
use crate::namespace::{Namespace, Namespaces, Switch};
use crate::run::child::Child;
use crate::run::control::{FarEnd, NearEnd, Order, Report, wire};
use crate::run::wire::Received;
use crate::sys;
use crate::walls::idmap::Writer;
use crate::walls::join::Joins;
use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, kill_process, pidfd_open, set_dumpable_behavior,
    set_parent_process_death_signal,
};

/// clone(2): the child's parent is the caller's.
const CLONE_PARENT: u64 = libc::CLONE_PARENT as u64;

impl Warden<'_> {
    /// A process of its own joins the namespaces and clones the child, as the warden's: the warden
    /// itself stays outside of every wall.
    pub(super) fn clone_from_inside(
        &self,
        joins: &Joins,
        namespaces: &Namespaces,
        builds: Switch,
        start: &mut Start<'_>,
    ) -> Result<(), SysError> {
        let (mut near, far) = wire()?;
        // SAFETY: the warden has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        let Some(joiner) = forked? else {
            drop(near);
            self.join_and_clone(joins, namespaces, builds, far, start)
        };
        drop(far);
        for end in [Some(&mut near), start.gate.as_mut()].into_iter().flatten() {
            if let Ok(pidfd) = pidfd_open(joiner, PidfdFlags::empty()) {
                end.know_peer(pidfd);
            }
        }
        start.joiner = Some(joiner);
        match self.hear_joiner(&near, joiner, start) {
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
                Err(SysError::new(Errno::CHILD, "the process that clones the child has ended"))
            }
        }
    }

    /// Waits for the joiner, but no longer than for the parent: an order ends what has not begun,
    /// and so does the parent's end.
    fn hear_joiner(&self, near: &NearEnd, joiner: Pid, start: &mut Start<'_>) -> Received<Report> {
        loop {
            let gate = start.gate.as_ref().map_or(near.as_fd(), AsFd::as_fd);
            let wires = [near.as_fd(), self.wire.as_fd(), gate];
            let mut wires = wires.map(|wire| PollFd::from_borrowed_fd(wire, PollFlags::IN));
            let ready = rustix::io::retry_on_intr(|| poll(&mut wires, None));
            let [told, ordered, asked] = wires.map(|wire| !wire.revents().is_empty());
            // What it asks for comes before what it says at its end.
            if ready.is_ok() && asked && !told {
                let Start { gate, passed, .. } = &mut *start;
                if self.hear_claims(gate, passed).is_some() && !ordered {
                    continue;
                }
            }
            if ready.is_ok() && told {
                return near.wait();
            }
            if ordered
                && let Received::Message(Order::Signal(number) | Order::Typed(number), _) =
                    self.wire.receive()
            {
                self.ask(number);
            }
            break;
        }
        // Nobody but the warden reaps it: the number is still its own.
        let _ = kill_process(joiner, Signal::KILL);
        Received::Closed
    }

    fn join_and_clone(
        &self,
        joins: &Joins,
        namespaces: &Namespaces,
        builds: Switch,
        far: FarEnd,
        start: &mut Start<'_>,
    ) -> ! {
        let mut built = None;
        let cloned = set_parent_process_death_signal(Some(Signal::KILL))
            .and_then(|()| self.hide_from_the_joined())
            .map_err(SysError::from)
            .and_then(|()| joins.enter())
            .and_then(
                |()| if builds == Switch::Yes { self.build(start, &mut built) } else { Ok(()) },
            )
            .and_then(|()| joins.enter_last())
            .and_then(|()| Ok(clone(namespaces.clone_flags() | CLONE_PARENT)?));
        let cloned = match cloned {
            Ok(None) => {
                drop(far);
                match built {
                    Some(child) => child.become_cmd(self.plan),
                    None => self.become_child(start),
                }
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

    /// Who sees the child in a pid namespace that is joined, or has rights over it in a user
    /// namespace that is joined, could trace it while it still holds the host's mounts, and reach
    /// rustic's own file by /proc/PID/exe until execve(2) (CVE-2019-5736). Of a process that is not
    /// dumpable the kernel asks for CAP_SYS_PTRACE in the user namespace in which rustic was
    /// executed, ptrace(2); execve of CMD ends that.
    fn hide_from_the_joined(&self) -> rustix::io::Result<()> {
        if self.plan.namespaces.shows_the_child() {
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        }
        Ok(())
    }

    /// The root file system, in a mount namespace that the child gets a copy of, if there is to be
    /// one.
    fn build<'a>(
        &self,
        start: &mut Start<'a>,
        built: &mut Option<Child<'a>>,
    ) -> Result<(), SysError> {
        drop(start.gate.take());
        if self.plan.namespaces.is_new(Namespace::Mount) {
            unshare(CloneFlags::CLONE_NEWNS).map_err(of_nix)?;
        }
        if let Some(inheritance) = start.inheritance.take() {
            built.insert(Child::new(self.plan, inheritance)).build(self.plan);
        }
        Ok(())
    }

    fn map_from_inside(&self, pid: Pid) -> Result<(), SysError> {
        let maps = self.plan.maps.as_ref().filter(|maps| maps.writer == Writer::Joiner);
        maps.map_or(Ok(()), |maps| maps.write(pid))
    }
}
