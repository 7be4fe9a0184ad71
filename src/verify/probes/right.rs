//! Rights, asked for by calls that can do nothing: the errno tells a missing right from a wrong
//! argument.

use super::receipt::arrived;
use crate::namespace::Namespace;
use crate::verify::attempt::{Try, answer};
use crate::verify::protocol::{Outcome, Reply};
use crate::verify::target::Target;
use crate::verify::verdict::{Answer, Identity};
use caps::Capability;
use rustix::io::Errno;

/// A capability and what a call answers that needs it and can do nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Right {
    /// The capability that is asked for.
    pub capability: Capability,
    /// The errnos that say it is there; none for success.
    pub present: &'static [Errno],
}

/// The attempt to have a right over what is outside, from what a call answered that does nothing.
/// The receipt is the kernel's word about the probe, read from outside: the capability is
/// effective, in the user namespace that counts.
pub(super) fn held_outside(
    right: Right,
    reply: Reply,
    identity: Identity,
    subject: &Target,
) -> Try {
    let refused = match &reply.outcome {
        Outcome::Refused(errno) => Some(Errno::from_raw_os_error(*errno)),
        Outcome::Done(..) | Outcome::Untried(_) | Outcome::Killed(_) | Outcome::Silent => None,
    };
    let done = matches!(reply.outcome, Outcome::Done(..));
    let says = done && right.present.is_empty()
        || refused.is_some_and(|errno| right.present.contains(&errno));
    let counts = subject.identity(Namespace::User) == Identity::Same && identity == Identity::Same;
    let effective = subject.effective() & right.capability.bitmask() != 0;
    let answer = if says && counts {
        Answer::Through
    } else if says {
        Answer::Stayed
    } else if refused == Some(Errno::NOSYS) {
        // Without modules in the kernel, or without swap, there is no such right to have.
        Answer::Untried("this kernel has no such call".into())
    } else {
        answer(&reply, &[Errno::PERM])
    };
    let receipt = arrived(says && counts && effective);
    let outside =
        format!("{} {}", right.capability, if effective { "effective" } else { "not effective" });
    Try { reply, answer, identity, receipt, outside, door: None }
}

/// Why a right is not asked for that the caller has none of.
pub(super) fn none_to_keep(capability: Capability) -> String {
    format!(
        "the caller does not hold {capability} itself, so there is none to keep from the inside"
    )
}
