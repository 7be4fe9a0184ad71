//! What an errno means that is not the step's own: the kernel is older, a filter or a security
//! module is around rustic, a limit is reached.

use crate::error::Failure;
use crate::host::{Host, is_filtered, security_profile};
use crate::namespace::Switch;
use crate::sys::needed::{NEEDED, NeededCall};
use caps::Capability;
use rustix::io::Errno;

/// Where filters come from, and how each is ordered otherwise.
pub const ANOTHER_FILTER: &str = "a filter that allows it; podman and docker: --security-opt \
    seccomp=unconfined; a unit of systemd: SystemCallFilter=, RestrictNamespaces=, \
    RestrictSUIDSGID=, ProtectHostname=";

/// A failure with what is known of its surroundings; `calls` are those that the step makes.
pub fn explain(failure: Failure, errno: Errno, calls: &str, host: &Host) -> Failure {
    let explained = match errno {
        Errno::NOSYS => missing(failure, calls, host.kernel, is_filtered()),
        Errno::PERM if failure.why.is_none() && is_filtered() => forbidden(
            failure,
            if host.holds(Capability::CAP_SYS_ADMIN) { Switch::Yes } else { Switch::No },
        ),
        Errno::AFNOSUPPORT if failure.why.is_none() && is_filtered() => {
            failure.why("a seccomp filter around rustic refuses this family of sockets").remedy(
                "--net no; a unit of systemd: RestrictAddressFamilies=AF_UNIX AF_INET AF_NETLINK",
            )
        }
        _ => failure,
    };
    match errno {
        Errno::ACCESS | Errno::PERM if explained.why.is_none() => match security_profile() {
            Some(profile) => explained
                .why(format!("rustic is confined by the security profile {profile}"))
                .remedy("run it unconfined, or allow it there: userns, mount, pivot_root")
                .man("apparmor(7)"),
            None => explained,
        },
        _ => explained,
    }
}

/// ENOSYS: of a kernel that does not have the call, or of a filter.
fn missing(failure: Failure, calls: &str, kernel: (u32, u32), filtered: bool) -> Failure {
    let named = |call: &&NeededCall| call.is_named_in(calls);
    let newest = NEEDED.iter().filter(named).max_by_key(|call| call.since);
    let (major, minor) = kernel;
    match newest {
        Some(call) if call.since > kernel => {
            let (since, minor_since) = call.since;
            let failure = failure.why(format!(
                "{}(2) came with Linux {since}.{minor_since}, and this is {major}.{minor}",
                call.name
            ));
            let mounts =
                ["fsopen", "fsmount", "fsconfig", "move_mount", "open_tree", "mount_setattr"];
            if mounts.contains(&call.name) {
                failure.remedy("--mount no, which makes no mount at all, or a newer kernel")
            } else {
                failure
            }
        }
        Some(_) if filtered => {
            let all: Vec<String> =
                NEEDED.iter().filter(named).map(|call| format!("{}(2)", call.name)).collect();
            failure
                .why(format!(
                    "a seccomp filter around rustic answers so: this kernel, {major}.{minor}, has {}",
                    all.join(", ")
                ))
                .remedy(ANOTHER_FILTER)
        }
        _ => failure,
    }
}

/// EPERM where a filter is in force: who has every right has no other cause.
fn forbidden(failure: Failure, every_right: Switch) -> Failure {
    failure
        .why(match every_right {
            Switch::Yes => "rustic has CAP_SYS_ADMIN: the seccomp filter around it answers so",
            Switch::No => "a right is missing, or the seccomp filter around rustic answers so",
        })
        .remedy(ANOTHER_FILTER)
        .man("seccomp(2)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(calls: &str, kernel: (u32, u32), filtered: bool) -> Option<String> {
        missing(Failure::new("cannot"), calls, kernel, filtered).why
    }

    #[test]
    fn an_old_kernel_is_told_from_a_filter() {
        let calls = "fsopen(\"tmpfs\"), fsconfig(), fsmount(), mount_setattr(RDONLY)";
        let old = why(calls, (5, 10), false);
        assert_eq!(old.as_deref(), Some("mount_setattr(2) came with Linux 5.12, and this is 5.10"));
        assert_eq!(why(calls, (5, 10), true), old);
        let filter = why(calls, (6, 1), true).unwrap();
        let all = "this kernel, 6.1, has fsconfig(2), fsmount(2), fsopen(2), mount_setattr(2)";
        assert!(filter.ends_with(all), "{filter}");
        assert_eq!(why(calls, (6, 1), false), None);
        assert_eq!(why("write /proc/sys/x", (6, 1), true), None);
    }
}
