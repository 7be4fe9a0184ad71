//! The end of a process that was forked here.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal,
    waitid,
};

/// Waits for it. `None` where it is no child of this process.
pub(super) fn ended(child: Pid) -> Option<WaitIdStatus> {
    retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED)).ok().flatten()
}

/// Waits for it, and ends it when it takes longer than that.
pub(super) fn ended_within(child: Pid, patience: &Timespec) -> Option<WaitIdStatus> {
    if let Ok(pidfd) = pidfd_open(child, PidfdFlags::empty()) {
        let in_time =
            retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(patience)));
        if in_time != Ok(1) {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
    }
    ended(child)
}
