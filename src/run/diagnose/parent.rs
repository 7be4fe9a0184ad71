//! What the errors of the parent's steps mean.

use crate::causes::namespaces;
use crate::error::Failure;
use crate::host::Host;
use crate::namespace::{Choice, Namespace, Namespaces};
use crate::run::step::ParentStep;
use crate::walls::network;
use rustix::io::Errno;

impl ParentStep {
    pub(super) fn diagnose(&self, errno: Errno, failure: Failure, host: &Host) -> Failure {
        match self {
            Self::MakeNetwork if failure.why.as_deref() == Some(network::NEEDS_NET_ADMIN) => {
                failure.man("capabilities(7)").remedy("--net no, or that right")
            }
            Self::MakeNetwork if failure.why.is_some() => failure,
            Self::MakeNetwork => {
                let made = Namespaces::shared().with(Namespace::Net, Choice::New);
                namespaces::refused(failure, &made, errno, host)
            }
            Self::MakeQueue(_) => no_queue(errno, failure),
            Self::ReceiveReady(_)
            | Self::RemoveQueue(_)
            | Self::OpenViews(_)
            | Self::RaiseDescriptorLimit
            | Self::GivePipes { .. } => failure,
        }
    }
}

fn no_queue(errno: Errno, failure: Failure) -> Failure {
    let failure = failure.remedy("--ready none starts without the queue");
    match errno {
        Errno::MFILE => {
            failure.why("the user's bytes for message queues are used up (RLIMIT_MSGQUEUE)")
        }
        Errno::NOSPC => {
            failure.why("every queue of the IPC namespace is taken (fs.mqueue.queues_max)")
        }
        Errno::EXIST => {
            failure.why("somebody else has made a queue of this name, and it is not used")
        }
        Errno::NOSYS => failure.why("this kernel has no POSIX message queues"),
        _ => failure,
    }
}
