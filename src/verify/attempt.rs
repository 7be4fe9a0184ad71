//! What came of one attempt, and how little of it may be believed.

use crate::verify::protocol::{Outcome, Reply, errno_name};
use crate::verify::target::Target;
use crate::verify::verdict::{Answer, Identity, Receipt, RefusedBy};
use caps::Capability;
use rustix::io::Errno;

/// What came of one attempt, seen from both sides.
#[derive(Clone, Debug)]
pub struct Try {
    /// What the inside said.
    pub reply: Reply,
    /// What that means.
    pub answer: Answer,
    /// Whether the two sides are the same.
    pub identity: Identity,
    /// What the outside found.
    pub receipt: Receipt,
    /// The same for a reader.
    pub outside: String,
    /// What was ordered and let it through.
    pub door: Option<String>,
}

impl Try {
    /// An attempt to bring back what only the outside knows. `walled` are the errnos that this wall
    /// answers with; to bring back something else is to have found an object of the inside's own.
    pub fn reading(reply: Reply, identity: Identity, secret: &str, walled: &[Errno]) -> Self {
        let came_back = reply.data().contains(secret);
        let receipt = if came_back { Receipt::Arrived } else { Receipt::Absent };
        let answer = answer(&reply, walled);
        let outside = match receipt {
            Receipt::Arrived | Receipt::Admitted => "our secret came back",
            Receipt::Absent => "our secret did not come back",
        };
        Self { reply, answer, identity, receipt, outside: outside.into(), door: None }.or_stayed()
    }

    /// An attempt to leave a mark outside, which has arrived or not.
    pub fn marking(
        reply: Reply,
        identity: Identity,
        receipt: Receipt,
        outside: impl Into<String>,
        walled: &[Errno],
    ) -> Self {
        let answer = answer(&reply, walled);
        Self { reply, answer, identity, receipt, outside: outside.into(), door: None }
    }

    /// An attempt that could not be made, because something is missing outside.
    pub fn unplanted(call: &str, reason: &str) -> Self {
        let answer = Answer::Unplanted(format!("its canary could not be planted: {reason}"));
        Self { answer, ..Self::untried(call, reason) }
    }

    /// An attempt that there is nothing to make with, or no sense in.
    pub fn untried(call: &str, reason: &str) -> Self {
        let reply = Reply::untried(call, "", reason);
        let answer = Answer::Untried(reason.into());
        Self {
            reply,
            answer,
            identity: Identity::NoNamespace,
            receipt: Receipt::Absent,
            outside: "-".into(),
            door: None,
        }
    }

    /// What the inside was refused with.
    pub fn errno(&self) -> Option<String> {
        match self.reply.outcome {
            Outcome::Refused(errno) => Some(errno_name(errno)),
            Outcome::Done(..) | Outcome::Untried(_) | Outcome::Killed(_) | Outcome::Silent => None,
        }
    }

    /// What was done inside stays there, where nothing has arrived.
    pub fn or_stayed(mut self) -> Self {
        if self.answer == Answer::Through && self.receipt == Receipt::Absent {
            self.answer = Answer::Stayed;
        }
        self
    }

    /// What has arrived came through this door, if there is one; no other is needed where both
    /// sides are the same.
    pub fn through(mut self, door: Option<String>) -> Self {
        if self.receipt == Receipt::Arrived && self.identity != Identity::Same && door.is_some() {
            (self.receipt, self.door) = (Receipt::Admitted, door);
        }
        self
    }

    /// Where both sides share it anyway, that one way to it is closed says nothing.
    pub fn or_closed(mut self) -> Self {
        if self.identity == Identity::Same
            && let Answer::Refused(_, errno) = &self.answer
        {
            self.answer =
                Answer::Untried(format!("both sides share it, and this way is closed: {errno}"));
        }
        self
    }

    /// Where both sides share it anyway, that this way leads to something else says nothing.
    pub fn or_elsewhere(mut self) -> Self {
        if self.identity == Identity::Same && self.answer == Answer::Stayed {
            self.answer = Answer::Untried("both sides share it, and this leads elsewhere".into());
        }
        self
    }

    /// SIGSEGV is how a kernel without the calls of i386 answers them.
    pub fn or_without_i386(mut self) -> Self {
        if self.reply.outcome == Outcome::Killed(libc::SIGSEGV) || cfg!(not(target_arch = "x86_64"))
        {
            self.answer = Answer::Untried("this kernel has no calls of i386".into());
        }
        self
    }

    /// In the control, which has what the caller has: what is not there for it to find is nothing
    /// to be kept from the inside.
    pub fn or_nothing_to_find(mut self, subject: &Target, reason: &str) -> Self {
        if subject.role.is_open() && self.receipt == Receipt::Absent {
            self.answer = Answer::Untried(reason.into());
        }
        self
    }

    /// Where the wall stands, a call that is refused whatever it is about says nothing of it: a
    /// filter answers so.
    pub fn or_filtered(mut self) -> Self {
        if self.identity == Identity::Different
            && let Answer::Refused(RefusedBy::Right, errno) = &self.answer
        {
            self.answer = Answer::Untried(format!("the call is refused inside, with {errno}"));
        }
        self
    }

    /// Where the wall stands, a refusal for want of a right says nothing of it: the crossing was
    /// not tried.
    pub fn or_without(mut self, capability: Capability) -> Self {
        if self.identity != Identity::Same
            && matches!(self.answer, Answer::Refused(RefusedBy::Right | RefusedBy::WallOrRight, _))
        {
            self.answer = Answer::Untried(format!("inside {capability} is missing for it"));
        }
        self
    }
}

/// The attempt on a canary, if that could be planted.
pub fn planted<'a, T>(
    canary: &'a Result<T, String>,
    call: &str,
    attempt: impl FnOnce(&'a T) -> Try,
) -> Try {
    match canary {
        Ok(canary) => attempt(canary),
        Err(reason) => Try::unplanted(call, reason),
    }
}

/// What a reply means. `walled` are the errnos that this wall answers with.
pub fn answer(reply: &Reply, walled: &[Errno]) -> Answer {
    match &reply.outcome {
        Outcome::Done(..) => Answer::Through,
        Outcome::Untried(reason) => Answer::Untried(reason.clone()),
        Outcome::Silent => Answer::Refused(RefusedBy::Other, "silence".into()),
        Outcome::Killed(signal) => Answer::Refused(RefusedBy::Other, format!("signal {signal}")),
        Outcome::Refused(errno) => {
            let raw = Errno::from_raw_os_error(*errno);
            let right = matches!(raw, Errno::PERM | Errno::ACCESS | Errno::NOSYS);
            let refusal = match (walled.contains(&raw), right) {
                (true, true) => RefusedBy::WallOrRight,
                (true, false) => RefusedBy::Wall,
                (false, true) => RefusedBy::Right,
                (false, false) => RefusedBy::Other,
            };
            Answer::Refused(refusal, errno_name(*errno))
        }
    }
}

/// Of several attempts at the same thing the one that has shown most, the first among equals;
/// `None` where there was none to make.
pub fn strongest(attempts: impl Iterator<Item = Try>) -> Option<Try> {
    attempts.reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })
}

/// How much an attempt has shown: a leak more than a door, and a doubt more than a wall.
fn rank(attempt: &Try) -> u8 {
    match (attempt.receipt, &attempt.answer) {
        (Receipt::Arrived, _) => 3,
        (Receipt::Admitted, _) => 2,
        (Receipt::Absent, Answer::Refused(RefusedBy::Other | RefusedBy::Right, _)) => 1,
        (Receipt::Absent, _) => 0,
    }
}
