//! What the errors of the child's other steps mean.

use crate::error::Failure;
use crate::exit::Exit;
use crate::run::describe::text;
use crate::run::step::ChildStep;
use crate::self_exe;
use rustix::io::Errno;
use std::ffi::CString;

impl ChildStep {
    pub(super) fn diagnose(&self, errno: Errno, failure: Failure) -> Failure {
        match self {
            Self::Seccomp { .. } => match errno {
                Errno::INVAL | Errno::NOSYS => {
                    failure.why("this kernel has no seccomp filters").remedy("--seccomp none")
                }
                Errno::PERM | Errno::ACCESS => {
                    failure.why("a filter around rustic forbids to make another one")
                }
                _ => failure,
            },
            Self::Keyring { .. } => match errno {
                Errno::DQUOT => failure
                    .why("the user's quota of keys is used up")
                    .remedy("raise kernel.keys.maxkeys, or leave out --seccomp none"),
                _ => failure,
            },
            Self::OpenQueue { .. } => failure.remedy("--ready none starts without the queue"),
            Self::SetUid(_) | Self::SetGid(_) => match errno {
                Errno::INVAL => {
                    failure.why("the user namespace does not map this id").man("user_namespaces(7)")
                }
                _ => failure,
            },
            Self::Exec { .. } if failure.why.as_deref() == Some(self_exe::NOT_EXECUTED) => {
                own_not_executed(errno)
            }
            Self::Exec { cmd, .. } => not_executed(cmd, errno, failure),
            Self::WaitForGo
            | Self::BecomeRoot
            | Self::Session
            | Self::OpenViewsByPath(_)
            | Self::Terminal { .. }
            | Self::TakeStreams { .. }
            | Self::Loopback
            | Self::JoinNetwork
            | Self::Hostname(_)
            | Self::NotifySocket(_)
            | Self::LimitQueues(_)
            | Self::CloseDescriptors { .. }
            | Self::FindAccount { .. }
            | Self::DropBounding(_)
            | Self::SetGroups(_)
            | Self::SetCapabilities(_)
            | Self::Chdir(_)
            | Self::NoNewPrivs
            | Self::VerifyCredentials(_)
            | Self::SendReady(_) => failure,
        }
    }
}

/// The reaper, or the probe of verify.
fn own_not_executed(errno: Errno) -> Failure {
    let failure = Failure::new("cannot run rustic itself inside").errno(errno).man("execveat(2)");
    match errno {
        Errno::NOENT => failure
            .why(
                "a kernel with TOMOYO, before Linux 6.12 and its stable updates, executes no file \
                 without a name where there is no /dev/fd",
            )
            .remedy("a mount namespace, whose /dev has it; run needs it with --init alone"),
        _ => failure,
    }
}

/// Why CMD cannot be run, with the exit code that a shell has for it. Without a detail CMD itself is
/// not there; an interpreter that is missing has one.
pub(super) fn not_executed(cmd: &[CString], errno: Errno, failure: Failure) -> Failure {
    if errno == Errno::NOENT && failure.why.is_none() {
        let name = cmd.first().map(|word| text(word)).unwrap_or_default();
        return Failure::new(format!("{name}: not found inside")).errno(errno).exit(Exit::NotFound);
    }
    failure.exit(Exit::CannotRun)
}
