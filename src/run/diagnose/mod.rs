//! What the errors of a step mean: the kernel's one errno stands for many causes, and where they
//! can be told apart they get their own words.

mod child;
mod parent;
mod root;
mod warden;

pub use warden::not_forked;

use crate::causes::surroundings;
use crate::error::Failure;
use crate::host::Host;
use crate::run::step::{ParentStep, RootfsStep, Step};
use crate::walls::network;
use rustix::io::Errno;

impl Step {
    /// The failure that a user sees when the step was answered with `errno`; `detail` is what it
    /// was about, where the step alone does not say it.
    pub fn diagnose(&self, errno: Errno, detail: &str, host: &Host) -> Failure {
        let described = self.describe();
        let failure = Failure::new(format!("cannot {}", described.cannot))
            .man(described.man)
            .errno(errno)
            .detail(detail);
        let failure = match self {
            Self::Parent(step) => step.diagnose(errno, failure, host),
            Self::Warden(step) => step.diagnose(errno, failure, host),
            Self::Builder(step) | Self::Rootfs(step) => step.diagnose(errno, failure),
            Self::Child(step) => step.diagnose(errno, failure),
        };
        let explain = |failure| surroundings::explain(failure, errno, &described.call, host);
        if self.is_about(detail) && failure.why.as_deref() == Some(detail) {
            explain(Failure { why: None, ..failure }).detail(detail)
        } else {
            explain(failure)
        }
    }

    /// Whether a detail is only what the step was about, a path of the root file system, say, and no
    /// cause yet.
    fn is_about(&self, detail: &str) -> bool {
        match self {
            Self::Builder(step) | Self::Rootfs(step) => !matches!(step, RootfsStep::FindCmd { .. }),
            Self::Parent(ParentStep::MakeNetwork) => detail != network::NEEDS_NET_ADMIN,
            Self::Parent(_) | Self::Warden(_) | Self::Child(_) => false,
        }
    }
}
