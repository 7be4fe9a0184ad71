//! The verdict: a pure function of who is who, what was answered inside, what was seen outside, and
//! whether the same crossing works where there is no wall.

/// Whether both sides are in the same namespace, compared from outside with both held open: inode
/// numbers are used anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// They share it: nothing is to be held.
    Same,
    /// Each has its own.
    Different,
    /// No namespace makes this wall, and it is always ordered.
    NoNamespace,
    /// It could not be read, for this reason.
    Unreadable(String),
}

/// What the crossing was answered inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It went through.
    Through,
    /// It did something, and to the container's own: a name that was set, a mount that was made.
    Stayed,
    /// It was refused.
    Refused(RefusedBy, String),
    /// There was nothing to try it with, or no sense in it, for this reason.
    Untried(String),
    /// What it was to reach could not be set up outside, for this reason.
    Unplanted(String),
}

impl Answer {
    /// Whether something was tried at all.
    pub fn is_tried(&self) -> bool {
        !matches!(self, Self::Untried(_) | Self::Unplanted(_))
    }
}

/// What an errno says about who has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBy {
    /// The wall: what is outside is not there.
    Wall,
    /// A missing right: EPERM, EACCES, ENOSYS.
    Right,
    /// Either: this wall answers as a missing right does.
    WallOrRight,
    /// Neither.
    Other,
}

/// What was seen outside. That something has arrived nobody inside can feign: it is there, or it is
/// a secret that only the outside knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The crossing has left its mark, or has brought back what only the outside knows.
    Arrived,
    /// The same, through something that was ordered: a door.
    Admitted,
    /// Nothing.
    Absent,
}

/// The same crossing, without a wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// It works, so that a failure inside means something.
    Crossed,
    /// It fails there too, with this answer.
    Failed(String),
    /// What it was to reach could not be set up, for this reason.
    Unplanted(String),
    /// There was nothing to try it with there, for this reason.
    Untried(String),
}

/// What is true of a wall, as far as one probe can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The crossing fails here, and works without the wall.
    Held,
    /// Both sides share it, or the crossing goes through a door that was ordered.
    Shared,
    /// The wall is there, and the crossing works all the same.
    Leaked,
    /// Nothing can be said, for this reason.
    Unknown(String),
    /// The probe has nothing to try here, for this reason; others may.
    Untried(String),
}

impl Verdict {
    /// The words of those that a wall can have.
    pub const WORDS: [&'static str; 4] = ["held", "shared", "leaked", "unknown"];

    /// Its word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Shared => "shared",
            Self::Leaked => "leaked",
            Self::Unknown(_) => "unknown",
            Self::Untried(_) => "untried",
        }
    }

    /// Why nothing can be said.
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::Unknown(reason) | Self::Untried(reason) => Some(reason),
            Self::Held | Self::Shared | Self::Leaked => None,
        }
    }
}

/// The verdict of one probe.
///
/// What has arrived outside outweighs what is said inside. "Held" needs a control that has crossed,
/// a refusal that is this wall's, and two sides that are known not to be one.
pub fn verdict(
    identity: &Identity,
    answer: &Answer,
    receipt: Receipt,
    control: &Control,
) -> Verdict {
    match control {
        Control::Failed(reason) => {
            return Verdict::Unknown(format!("the control failed: {reason}"));
        }
        Control::Unplanted(reason) => return Verdict::Unknown(reason.clone()),
        Control::Untried(reason) => return Verdict::Untried(reason.clone()),
        Control::Crossed => {}
    }
    match (answer, receipt, identity) {
        (Answer::Untried(reason), ..) => Verdict::Untried(reason.clone()),
        (Answer::Unplanted(reason), ..) => Verdict::Unknown(reason.clone()),
        (_, Receipt::Admitted, _) => Verdict::Shared,
        (_, Receipt::Arrived, Identity::Same | Identity::Unreadable(_)) => Verdict::Shared,
        (_, Receipt::Arrived, Identity::Different | Identity::NoNamespace) => Verdict::Leaked,
        (Answer::Through, ..) => {
            Verdict::Unknown("inside it is said to work, and outside nothing was seen".into())
        }
        (_, _, Identity::Unreadable(reason)) => {
            Verdict::Unknown(format!("whose namespace it is could not be read: {reason}"))
        }
        (Answer::Refused(RefusedBy::Right | RefusedBy::WallOrRight, _), _, Identity::Same) => {
            Verdict::Shared
        }
        (Answer::Refused(_, errno), _, Identity::Same) => {
            Verdict::Unknown(format!("both sides share it, and yet the answer is {errno}"))
        }
        (Answer::Stayed, _, Identity::Same) => {
            Verdict::Unknown("both sides share it, and yet nothing was seen outside".into())
        }
        (Answer::Stayed | Answer::Refused(RefusedBy::Wall | RefusedBy::WallOrRight, _), ..) => {
            Verdict::Held
        }
        (Answer::Refused(_, errno), ..) => {
            Verdict::Unknown(format!("{errno} is no answer of this wall"))
        }
    }
}

/// The verdict of a wall from those of its probes: one leak is a leak, one open way is a door, one
/// doubt is a doubt, and only then it holds. Probes that had nothing to try do not count, but there
/// must be one that had.
pub fn of_all<'a>(verdicts: impl Iterator<Item = &'a Verdict> + Clone) -> Verdict {
    let find =
        |wanted: fn(&Verdict) -> bool| verdicts.clone().find(|verdict| wanted(verdict)).cloned();
    find(|verdict| *verdict == Verdict::Leaked)
        .or_else(|| find(|verdict| *verdict == Verdict::Shared))
        .or_else(|| find(|verdict| matches!(verdict, Verdict::Unknown(_))))
        .or_else(|| find(|verdict| *verdict == Verdict::Held))
        .unwrap_or_else(|| {
            Verdict::Unknown(
                verdicts
                    .clone()
                    .find_map(Verdict::because)
                    .unwrap_or("no probe was tried")
                    .to_owned(),
            )
        })
}

#[cfg(test)]
mod tests;
