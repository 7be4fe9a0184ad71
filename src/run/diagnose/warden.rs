//! What the errors of the warden's steps mean.

use crate::causes;
use crate::causes::namespaces::{self, TOO_MANY};
use crate::error::Failure;
use crate::host::Host;
use crate::namespace::Namespace;
use crate::run::step::WardenStep;
use crate::walls::idmap::Writer;
use rustix::io::Errno;

impl WardenStep {
    pub(super) fn diagnose(&self, errno: Errno, failure: Failure, host: &Host) -> Failure {
        match self {
            Self::Clone(namespaces) => namespaces::refused(failure, namespaces, errno, host),
            Self::JoinAndClone { namespaces, .. } | Self::BuildAndClone { namespaces, .. } => {
                // Joining says which it was about; without that it was the clone.
                if failure.why.is_some() {
                    return failure;
                }
                let clone = Self::Clone(namespaces.clone());
                let what = format!("cannot {}", clone.describe().cannot);
                let failure = Failure::new(what).errno(errno).man(clone.describe().man);
                if namespaces.joined(Namespace::Pid).is_some() && errno == Errno::NOMEM {
                    return failure
                        .why("process 1 of the pid namespace that is joined has ended")
                        .man("pid_namespaces(7)");
                }
                namespaces::refused(failure, namespaces, errno, host)
            }
            Self::WriteIdMaps(maps) => match (errno, &maps.writer) {
                (Errno::PERM, Writer::OneId) => failure.remedy(
                    "is rustic in a chroot, or its user namespace without the right to map its own id?",
                ),
                (Errno::ROFS, _) => causes::read_only_proc(failure),
                _ => failure,
            },
            Self::BecomeSubreaper | Self::MakeRunDirectory(_) => failure,
        }
    }
}

/// Why the warden could not be forked.
pub fn not_forked(errno: Errno) -> Failure {
    let failure = Failure::new("cannot fork the warden").errno(errno).man("fork(2)");
    if errno == Errno::AGAIN { failure.why(TOO_MANY) } else { failure }
}
