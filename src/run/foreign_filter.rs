//! A seccomp filter that is in force around rustic: what it does to a start is told before one is
//! made, and not guessed.

use crate::causes::surroundings::ANOTHER_FILTER;
use crate::error::Failure;
use crate::host::is_filtered;
use crate::run::plan::Plan;
use crate::sys::needed::{Made, NEEDED, NeededCall};
use crate::sys::{self, exit_now};
use rustix::io::{read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

/// What whoever is ended by such a filter has to be told.
pub(super) fn deadly(what: &str) -> Failure {
    Failure::new(what).remedy(ANOTHER_FILTER).man("seccomp(2)")
}

/// Makes each call of a plan in vain, in a process of its own, where a filter is in force.
///
/// # Errors
/// A call whose maker the filter ends.
pub(super) fn survive(plan: &Plan) -> Result<(), Failure> {
    if !is_filtered() {
        return Ok(());
    }
    let said: Vec<String> = plan.steps.iter().map(|step| step.describe().call).collect();
    let is_made = |call: &&NeededCall| {
        call.made == Made::Always || said.iter().any(|said| call.is_named_in(said))
    };
    let calls: Vec<&NeededCall> = NEEDED.iter().filter(is_made).collect();
    let cannot = |errno| Failure::new("cannot try the seccomp filter around rustic").errno(errno);
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (told, tell) = pipe_with(flags).map_err(cannot)?;
    // SAFETY: the threads of an unpack have been joined, and no other is there yet.
    #[allow(unsafe_code, reason = "fork(2) with one thread")]
    let forked = unsafe { sys::fork() };
    let Some(child) = forked.map_err(cannot)? else {
        for (place, call) in calls.iter().enumerate() {
            let _ = write(&tell, &[place as u8]);
            call.make_in_vain();
        }
        exit_now(0)
    };
    // The end first: what was begun is in the pipe then, all of it, and nothing is waited for.
    let ended = retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED));
    let signal = ended.map_err(cannot)?.and_then(|status| status.terminating_signal());
    let mut begun = [0; NEEDED.len()];
    let count = read(&told, &mut begun).unwrap_or(0);
    let last = begun[..count].last().and_then(|&place| calls.get(usize::from(place)));
    match (signal, last) {
        (Some(libc::SIGSYS), Some(call)) => {
            let (what, why) = (
                format!("the seccomp filter around rustic ends whoever calls {}(2)", call.name),
                "it was in force when rustic began, and this start makes the call",
            );
            Err(deadly(&what).why(why))
        }
        _ => Ok(()),
    }
}
