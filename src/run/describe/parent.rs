//! What is said of the parent's steps.

use super::{Description, described, stream_names};
use crate::run::step::ParentStep;

impl ParentStep {
    /// What is said of it.
    pub(super) fn describe(&self) -> Description {
        match self {
            Self::RaiseDescriptorLimit => described(
                "prlimit64(RLIMIT_NOFILE)".into(),
                "raise the limit of open descriptors".into(),
                "each mount is a descriptor until it is attached, and so is a target that was made",
                "getrlimit(2)",
            ),
            Self::MakeQueue(name) => described(
                format!("mq_open(\"{}\", O_CREAT|O_EXCL|O_RDWR|O_NONBLOCK, 0600)", name.shown()),
                format!("make message queue {}", name.shown()),
                "the queue that anybody can watch; whether the child sees it is what the IPC \
                    namespace decides",
                "mq_overview(7)",
            ),
            Self::MakeNetwork => described(
                "unshare(CLONE_NEWNET), ioctl(SIOCSIFFLAGS, lo, IFF_UP), setns(before)".into(),
                "make a network namespace".into(),
                "it takes as long as everything that the child does meanwhile; a new one starts \
                 with lo down",
                "network_namespaces(7)",
            ),
            Self::ReceiveReady(name) => described(
                format!("mq_timedreceive(\"{}\")", name.shown()),
                format!("receive READY from {}", name.shown()),
                "a message that carries the nonce of this run: the walls stand",
                "mq_receive(3)",
            ),
            Self::RemoveQueue(name) => described(
                format!("mq_unlink(\"{}\")", name.shown()),
                format!("remove message queue {}", name.shown()),
                "it has said what it was for, and nothing is left behind",
                "mq_unlink(3)",
            ),
            Self::OpenViews(numbers) => described(
                format!(
                    "open_tree({}, AT_EMPTY_PATH|OPEN_TREE_CLONE), mount_setattr(RDONLY|NOSUID|\
                     NOEXEC), open(/proc/self/fd/…), mount_setattr(NODEV)",
                    stream_names(numbers.iter())
                ),
                format!("open a read-only view of {}", stream_names(numbers.iter())),
                "a descriptor carries its mount: through the host's, root inside could change the \
                 file, its mode and its owner",
                "open_tree(2)",
            ),
            Self::GivePipes { before, uid } => described(
                format!("fchown({}, {uid})", stream_names(before.iter().map(|(number, _)| number))),
                format!("give the pipes behind the standard streams to user {uid}"),
                "CMD's user could not open /dev/stdin, stdout or stderr otherwise; put back at the \
                 end",
                "pipe(7)",
            ),
        }
    }
}
