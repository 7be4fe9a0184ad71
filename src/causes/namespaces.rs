//! Why new namespaces are refused.

use crate::causes::surroundings::ANOTHER_FILTER;
use crate::error::Failure;
use crate::host::{Host, is_filtered};
use crate::namespace::{Namespace, Namespaces};
use caps::Capability;
use rustix::io::Errno;

/// Why a clone was refused: the kernel's one errno stands for many causes, and the sysctls tell
/// them apart.
pub fn refused(failure: Failure, namespaces: &Namespaces, errno: Errno, host: &Host) -> Failure {
    let limited = namespaces
        .new_ones()
        .find(|namespace| says(&format!("/proc/sys/user/{}", namespace.limit()), "0"));
    match errno {
        Errno::NOSPC | Errno::USERS => match limited {
            Some(namespace) => failure
                .why(format!("user.{} is 0", namespace.limit()))
                .remedy(format!(
                    "sysctl user.{}=1000, or --{} no",
                    namespace.limit(),
                    namespace.name()
                ))
                .man(namespace.man()),
            None => failure
                .why(
                    "a limit on the number of namespaces is reached, or they are nested more than \
                     32 deep",
                )
                .man("namespaces(7)"),
        },
        Errno::PERM if namespaces.is_new(Namespace::User) => no_user_namespace(failure, host),
        // Told of every step.
        Errno::PERM if host.holds(Capability::CAP_SYS_ADMIN) && is_filtered() => failure,
        Errno::PERM if host.holds(Capability::CAP_SYS_ADMIN) => {
            failure.why("rustic has CAP_SYS_ADMIN: a security module forbids it")
        }
        Errno::AGAIN => failure.why(TOO_MANY).man("fork(2)"),
        Errno::PERM => failure
            .why("making namespaces needs CAP_SYS_ADMIN")
            .remedy("sudo, or --user yes")
            .man("capabilities(7)"),
        Errno::INVAL if namespaces.is_new(Namespace::Time) => failure
            .why(
                "this kernel has no time namespaces, or rustic shares its memory with other \
                 processes",
            )
            .man("time_namespaces(7)"),
        _ => failure,
    }
}

/// EAGAIN of a process that cannot be made.
pub const TOO_MANY: &str =
    "a limit on processes is reached: RLIMIT_NPROC, or pids.max of the cgroup";

fn says(path: &str, value: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
}

fn no_user_namespace(failure: Failure, host: &Host) -> Failure {
    let sudo = "sudo";
    if says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") && host.uid != 0 {
        return failure
            .why(
                "kernel.apparmor_restrict_unprivileged_userns is 1: user namespaces are for root \
                 or for programs with a profile",
            )
            .remedy(sudo);
    }
    if says("/proc/sys/kernel/unprivileged_userns_clone", "0") && host.uid != 0 {
        return failure.why("kernel.unprivileged_userns_clone is 0").remedy(sudo);
    }
    let nested = "--nest yes for the container that this one is in, if rustic made it";
    if is_filtered() {
        return failure
            .why(
                "the caller may not make a user namespace: the seccomp filter around it forbids \
                 it, or it is in a chroot",
            )
            .remedy(format!("{nested}; {ANOTHER_FILTER}"))
            .man("seccomp(2)");
    }
    failure
        .why("the caller may not make a user namespace: it is in a chroot, or a policy forbids it")
        .remedy(nested)
        .man("user_namespaces(7)")
}
