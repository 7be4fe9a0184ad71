//! What the errors of a step mean: the kernel's one errno stands for many causes, and where they
//! can be told apart they get their own words.

use crate::error::Failure;
use crate::exit::Exit;
use crate::host::Host;
use crate::namespace::{Namespace, Namespaces, Switch};
use crate::run::describe::{inside, text};
use crate::run::step::{Mount, Source, Step};
use crate::walls::idmap::Writer;
use rustix::io::Errno;

impl Step {
    /// The failure that a user sees when the step was answered with `errno`.
    pub fn diagnose(&self, errno: Errno, detail: &str, host: &Host) -> Failure {
        let described = self.describe();
        let failure =
            Failure::new(format!("cannot {}", described.cannot)).errno(errno).man(described.man);
        let failure = if detail.is_empty() { failure } else { failure.why(detail) };
        match (self, errno) {
            (Self::Clone(namespaces), errno) => clone_failure(failure, namespaces, errno, host),
            (Self::WriteIdMaps(maps), Errno::PERM) if maps.writer == Writer::OneId => failure
                .remedy(
                    "is rustic in a chroot, or its user namespace without the right to \
                    map its own id?",
                ),
            (Self::Make(mount), Errno::PERM) => match fresh_kernel_files(mount) {
                Some(namespace) => failure
                    .why(
                        "a user namespace may mount it only where the caller's own is seen whole: \
                         something is mounted over parts of it, as the masks of a container are",
                    )
                    .remedy(format!(
                        "--{} no, or --proc open for the container that this one is in",
                        namespace.name()
                    ))
                    .man("mount_namespaces(7)"),
                None => failure,
            },
            (Self::SetSysctls { .. }, Errno::NOENT) => {
                failure.remedy("sysctl -a shows the names that this kernel has")
            }
            (Self::SetSysctls { .. }, Errno::ACCESS) => failure
                .why("in a user namespace the parameters of IPC can be set since Linux 6.9 only"),
            (Self::Seccomp { .. }, Errno::INVAL | Errno::NOSYS) => {
                failure.why("this kernel has no seccomp filters").remedy("--seccomp none")
            }
            (Self::Seccomp { .. }, Errno::PERM | Errno::ACCESS) => {
                failure.why("a filter around rustic forbids to make another one")
            }
            (Self::Attach(_), Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::INVAL) => failure
                .remedy(
                    "make it a plain directory or file in the image; rustic does not \
                    mend or follow it",
                ),
            (Self::Attach(mount), Errno::NOENT | Errno::ROFS)
                if mount.make_target == Switch::No =>
            {
                failure.remedy(format!(
                    "make {} in the root file system, or leave out \
                    --read-only",
                    inside(mount)
                ))
            }
            (Self::MakePrivate, Errno::INVAL) => failure
                .why(
                    "the caller's root is not a mount: rustic is in a \
                    chroot",
                )
                .man("pivot_root(2)"),
            (Self::Keyring { .. }, Errno::DQUOT) => failure
                .why(
                    "the user's quota of keys is used \
                    up",
                )
                .remedy("raise kernel.keys.maxkeys, or leave out --seccomp none"),
            (Self::MakeQueue(_), errno) => {
                let failure = failure.remedy("--ready none starts without the queue");
                match errno {
                    Errno::MFILE => failure.why(
                        "the user's bytes for message queues are used up \
                        (RLIMIT_MSGQUEUE)",
                    ),
                    Errno::NOSPC => failure.why(
                        "every queue of the IPC namespace is taken \
                        (fs.mqueue.queues_max)",
                    ),
                    Errno::EXIST => failure.why(
                        "somebody else has made a queue of this name, and \
                        it is not used",
                    ),
                    Errno::NOSYS => failure.why("this kernel has no POSIX message queues"),
                    _ => failure,
                }
            }
            (Self::OpenQueue { .. }, _) => failure.remedy("--ready none starts without the queue"),
            (Self::SetUid(_) | Self::SetGid(_), Errno::INVAL) => {
                failure.why("the user namespace does not map this id").man("user_namespaces(7)")
            }
            (Self::Exec { cmd, .. }, Errno::NOENT) if detail.is_empty() => {
                let name = cmd.first().map(|word| text(word)).unwrap_or_default();
                Failure::new(format!("{name}: not found inside")).errno(errno).exit(Exit::NotFound)
            }
            (Self::Exec { .. }, _) => failure.exit(Exit::CannotRun),
            (_, Errno::MFILE) => failure
                .why(
                    "the limit of open descriptors is too low \
                (RLIMIT_NOFILE)",
                )
                .man("getrlimit(2)"),
            _ => failure,
        }
    }
}

/// The namespace that a new proc or sysfs belongs to.
fn fresh_kernel_files(mount: &Mount) -> Option<Namespace> {
    match &mount.source {
        Source::New { fs, .. } if *fs == c"proc" => Some(Namespace::Pid),
        Source::New { fs, .. } if *fs == c"sysfs" => Some(Namespace::Net),
        Source::New { .. } | Source::Host(_) | Source::Scratch(_) => None,
    }
}

/// Why a clone was refused: the kernel's one errno stands for many causes, and the sysctls tell
/// them apart.
fn clone_failure(failure: Failure, namespaces: &Namespaces, errno: Errno, host: &Host) -> Failure {
    let zero = |path: &str| std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "0");
    let limited = namespaces
        .new_ones()
        .find(|namespace| zero(&format!("/proc/sys/user/{}", namespace.limit())));
    match errno {
        Errno::NOSPC | Errno::USERS => match limited {
            Some(namespace) => failure
                .why(format!("user.{} is 0", namespace.limit()))
                .remedy(format!(
                    "sysctl user.{}=1000, or --{} \
                    no",
                    namespace.limit(),
                    namespace.name()
                ))
                .man(namespace.man()),
            None => failure
                .why(
                    "a limit on the number of namespaces is reached, or they are nested \
                    more than 32 deep",
                )
                .man("namespaces(7)"),
        },
        Errno::PERM if namespaces.is_new(Namespace::User) => {
            let apparmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
            if std::fs::read_to_string(apparmor).is_ok_and(|value| value.trim() == "1")
                && host.uid != 0
            {
                failure
                    .why(
                        "kernel.apparmor_restrict_unprivileged_userns is 1: user namespaces are \
                        for root or for programs with a profile",
                    )
                    .remedy("sudo rustic run …")
            } else if zero("/proc/sys/kernel/unprivileged_userns_clone") {
                failure.why("kernel.unprivileged_userns_clone is 0").remedy("sudo rustic run …")
            } else {
                failure
                    .why(
                        "the caller may not make a user namespace: it is in a chroot, or a \
                         filter or a policy forbids it",
                    )
                    .remedy("--nest yes for the container that this one is in, if rustic made it")
                    .man("user_namespaces(7)")
            }
        }
        Errno::PERM => failure
            .why("making namespaces needs CAP_SYS_ADMIN")
            .remedy(
                "sudo rustic run …, or \
                --user yes",
            )
            .man("capabilities(7)"),
        Errno::INVAL if namespaces.is_new(Namespace::Time) => failure
            .why(
                "this kernel has no time namespaces, or rustic shares its memory with \
                other processes",
            )
            .man("time_namespaces(7)"),
        _ => failure,
    }
}
