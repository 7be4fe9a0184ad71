//! The processors that a new process may begin on. The kernel leaves it on that of who made it
//! where no other one seems idle, and of a virtual machine's none does that is halted
//! (vcpu_is_preempted, include/linux/sched.h): then two that could work at the same time take
//! turns.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// Those of this process.
pub struct Processors(Option<CpuSet>);

impl Processors {
    /// What sched_getaffinity(2) tells; nothing where it tells nothing, or of a single one.
    pub fn own() -> Self {
        Self(sched_getaffinity(None).ok().filter(|all| all.count() > 1))
    }

    /// Moves a new process away from this one's processor, until it [`Processors::regain`]s them.
    pub fn part(&self, pid: Pid) {
        let Some(mut others) = self.0 else { return };
        others.unset(sched_getcpu());
        if others.count() > 0 {
            let _ = sched_setaffinity(Some(pid), &others);
        }
    }

    /// Takes all of them back, in that process.
    pub fn regain(&self) {
        if let Some(all) = &self.0 {
            let _ = sched_setaffinity(None, all);
        }
    }
}
