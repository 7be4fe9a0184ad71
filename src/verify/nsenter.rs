//! What one sees who enters the container's mount namespace without being inside: everything in it,
//! whatever its root is.

use crate::sys;
use crate::verify::child::ended;
use crate::verify::sides::Sides;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Whether what was looked for is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is.
    Yes,
    /// It is not.
    No,
}

const YES: u8 = 0;
const NO: u8 = 1;
const FAILED: u8 = 2;

/// Looks from the root of the mount namespace, in a process of its own, with the /proc of the
/// outside to read about itself. `None` where it cannot be entered.
pub fn look(sides: &Sides, look: impl FnOnce(&OwnedFd) -> bool) -> Option<Seen> {
    let proc =
        open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // SAFETY: the verifier has one thread.
    #[allow(unsafe_code, reason = "fork(2) with one thread")]
    let forked = unsafe { sys::fork() };
    match forked.ok()? {
        Some(child) => {
            let code = ended(child)?.exit_status()?;
            [(YES, Seen::Yes), (NO, Seen::No)]
                .into_iter()
                .find(|(one, _)| i32::from(*one) == code)
                .map(|(_, seen)| seen)
        }
        None => {
            let entered =
                move_into_link_name_space(sides.inside.as_fd(), Some(LinkNameSpaceType::Mount));
            sys::exit_now(match entered {
                Ok(()) if look(&proc) => YES,
                Ok(()) => NO,
                Err(_) => FAILED,
            })
        }
    }
}
