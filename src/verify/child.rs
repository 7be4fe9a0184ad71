//! The end of a process that was forked here.

use crate::error::of_nix;
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
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

/// Does something with the uid of somebody else, in a process of its own.
///
/// # Errors
/// Where it fails there, or the uid cannot be taken, EPERM.
pub(super) fn as_uid(
    uid: u32,
    act: impl FnOnce() -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    // SAFETY: the verifier and its processes have one thread each.
    #[allow(unsafe_code, reason = "fork(2) with one thread")]
    let forked = unsafe { sys::fork() };
    match forked? {
        Some(child) => match ended(child).and_then(|status| status.exit_status()) {
            Some(0) => Ok(()),
            _ => Err(Errno::PERM),
        },
        None => {
            let uid = nix::unistd::Uid::from_raw(uid);
            let done = nix::unistd::setresuid(uid, uid, uid).map_err(of_nix).and_then(|()| act());
            sys::exit_now(u8::from(done.is_err()))
        }
    }
}
