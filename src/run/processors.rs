//! The processors that a new process may begin on. The kernel leaves it on that of who made it
//! where no other one seems idle, and of a virtual machine's none does that is halted
//! (vcpu_is_preempted, include/linux/sched.h): then two that could work at the same time take
//! turns.

use crate::run::plan::Plan;
use crate::run::step::ParentStep;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// Those of this process, where they are all that the machine has.
pub struct Processors(Option<CpuSet>);

impl Processors {
    /// What sched_getaffinity(2) tells, for a plan in which two processes work at the same time;
    /// nothing of a single one, or of a part. The kernel keeps in mind what was asked for (Linux
    /// 6.2), and a part that a cpuset gives may become larger.
    pub fn of(plan: &Plan) -> Self {
        if !plan.parent().any(|(.., step)| matches!(step, ParentStep::MakeNetwork)) {
            return Self(None);
        }
        let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        let is_whole = |own: &CpuSet| {
            own.count() > 1 && online.trim() == format!("0-{}", own.count().saturating_sub(1))
        };
        Self(sched_getaffinity(None).ok().filter(is_whole))
    }

    /// Moves a new process away from this one's processor, until it [`Processors::regain`]s them,
    /// which it may not do before.
    pub fn part(&self, pid: Pid) {
        let Some(mut others) = self.0 else { return };
        others.unset(sched_getcpu());
        let _ = sched_setaffinity(Some(pid), &others);
    }

    /// Takes all of them back, in that process: also those that the machine may get.
    pub fn regain(&self) {
        if self.0.is_some() {
            let mut all = CpuSet::new();
            (0..CpuSet::MAX_CPU).for_each(|processor| all.set(processor));
            let _ = sched_setaffinity(None, &all);
        }
    }
}
