//! What a host refuses to a run, and whether it can be done without.

use crate::error::Failure;
use crate::host::Host;
use crate::namespace::Switch;

/// Why a run has no exit code of CMD.
#[derive(Debug)]
pub enum Unsuccessful {
    /// Something was refused that it cannot go on without.
    Failed(Failure),
    /// Something was refused that it can go on without. Nothing is left of the first try.
    Refused(Refusal, Box<Failure>),
}

/// What a host may refuse to a run that can do without it.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The caller's subordinate ids, by newuidmap(1) or newgidmap(1), which said why: the container
    /// has one id.
    Ranges(String),
    /// An idmapped mount of the image's tree: the tree is copied for the run.
    Idmap,
}

impl Refusal {
    /// The host, with this known of it.
    pub fn known_to(self, host: Host) -> Host {
        match self {
            Self::Ranges(why) => Host { ranges_refused: Some(why), ..host },
            Self::Idmap => Host { idmap_refused: Switch::Yes, ..host },
        }
    }
}

impl Unsuccessful {
    /// The subordinate ids are refused, with what was said.
    pub fn no_ranges(why: String) -> Self {
        let failure = Failure::new("cannot map the ids").why(&why);
        Self::Refused(Refusal::Ranges(why), Box::new(failure))
    }

    /// What the user is told, where it is not tried again.
    pub fn failure(self) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Refused(_, failure) => *failure,
        }
    }
}

impl From<Failure> for Unsuccessful {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
