//! The checks: starts of rustic's own, each with one thing that a host may not allow.

use super::lack::{Checked, Lack};
use crate::causes::no_overlay;
use crate::error::{Failure, errno_of};
use crate::host::Host;
use crate::namespace::Namespace;
use caps::Capability;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A start that takes longer hangs.
const LIMIT: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// With mounts the root is the built-in one, in the memory of the container; without, the caller's
/// own.
const IN_MEMORY: &str = "--no-store";

/// The oldest kernel that is meant, major and minor.
const OLDEST: (u32, u32) = (5, 15);

/// Every check that means something to this caller, in order of harm.
///
/// # Errors
/// A process that cannot be started at all.
pub(super) fn all(
    host: &Host,
    binary: &Path,
    store: Option<&Path>,
) -> Result<Vec<Checked>, Failure> {
    let kernel = Checked { name: "Linux 5.15 or newer", lack: too_old(host.kernel) };
    let store = store.filter(|store| *store != Path::new("/")).and_then(Path::to_str);
    let tries = tries(makes_namespaces(host), store);
    let tried = tries.into_iter().map(|(name, options)| {
        let lack = match &options[..] {
            // To mount one would make the kernel load it.
            [first, ..] if first == "--overlay" && !is_registered("overlay") => {
                let failure = Failure::new("cannot mount an overlay").errno(Errno::NODEV);
                let failure = no_overlay(failure.man("mount(8)"));
                Some(Lack::of(&format!("rustic: {failure}"), ""))
            }
            options => start(binary, options)?.1,
        };
        Ok(Checked { name, lack })
    });
    let ranges = (host.uid != 0).then(|| {
        let (said, lack) = start(binary, &["-v".to_owned(), IN_MEMORY.to_owned()])?;
        let name = "a range of ids for a plain user";
        Ok(Checked { name, lack: lack.or_else(|| without_range(&said)) })
    });
    std::iter::once(Ok(kernel)).chain(tried).chain(ranges).collect()
}

/// Whether the caller makes namespaces without a user namespace, as root of the machine does. Root
/// of a container may lack the right, and is a plain user here.
pub(super) fn makes_namespaces(host: &Host) -> bool {
    host.uid == 0 && host.holds(Capability::CAP_SYS_ADMIN)
}

/// What is tried: its name, and the options of a start.
fn tries(is_root: bool, store: Option<&str>) -> Vec<(&'static str, Vec<String>)> {
    let words = |words: &[&str]| {
        let user: &[&str] = if is_root { &[] } else { &["--user", "yes"] };
        words.iter().chain(user).map(|&word| word.to_owned()).collect::<Vec<_>>()
    };
    let mut all = vec![("a container with every usual wall", words(&[IN_MEMORY]))];
    let alone = |namespace| alone(namespace, is_root);
    all.extend(NAMESPACES.map(|(namespace, name)| (name, alone(namespace))));
    let queue = ["--ready", "queue"].map(str::to_owned).to_vec();
    all.push(("message queues for readiness", [alone(Namespace::Uts), queue].concat()));
    if let Some(store) = store {
        let over = format!("{store}:{store}");
        let name = "overlays on the file system of the store";
        all.push((name, words(&["--overlay", &over, IN_MEMORY])));
        if is_root {
            let bind = format!("{store}:{store}:ro:idmap");
            let name = "idmapped mounts on the file system of the store";
            all.push((name, words(&["--bind", &bind, "--user", "yes", IN_MEMORY])));
        }
    }
    all
}

const NAMESPACES: [(Namespace, &str); 8] = [
    (Namespace::User, "user namespaces"),
    (Namespace::Mount, "mount namespaces"),
    (Namespace::Pid, "pid namespaces"),
    (Namespace::Net, "network namespaces"),
    (Namespace::Ipc, "ipc namespaces"),
    (Namespace::Uts, "uts namespaces"),
    (Namespace::Cgroup, "cgroup namespaces"),
    (Namespace::Time, "time namespaces"),
];

/// The options of a container with no namespace of its own but this one; a plain user makes every
/// other in a user namespace of his own.
fn alone(namespace: Namespace, is_root: bool) -> Vec<String> {
    let is_new = |one: Namespace| one == namespace || (one == Namespace::User && !is_root);
    let choices = Namespace::ALL.into_iter().flat_map(|one| {
        [format!("--{}", one.name()), if is_new(one) { "yes" } else { "no" }.to_owned()]
    });
    let root = (namespace == Namespace::Mount).then(|| IN_MEMORY.to_owned());
    choices.chain(root).collect()
}

/// What lacks to a user whose container has one id: -v tells so, and why.
fn without_range(said: &str) -> Option<Lack> {
    if !said.contains("there is no other id") {
        return None;
    }
    let refused = said.lines().find_map(|line| line.split_once("user: one id, because "));
    let why = refused.map_or("/etc/subuid and /etc/subgid have none for this user", |(_, why)| why);
    Some(Lack {
        what: "a container has one id: owners of an image other than root are lost".into(),
        why: Some(why.to_owned()),
        remedy: Some(
            "usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER, and newuidmap(1)"
                .into(),
        ),
        man: Some("subuid(5)".into()),
    })
}

/// Starts rustic with these options. What it says, and what lacks where it fails.
fn start(binary: &Path, options: &[String]) -> Result<(String, Option<Lack>), Failure> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["run", "--color", "never"]).env_remove("RUSTIC_ROOTFS");
    if !options.iter().any(|option| option == "--ready") {
        command.args(["--ready", "none"]);
    }
    command.args(options);
    if options.iter().any(|option| option == IN_MEMORY) {
        command.args(["--", "true"]);
    } else {
        command.args(["--rootfs", "/", "--"]).arg(binary).arg("--version");
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let cannot =
        |error: std::io::Error| Failure::new("cannot start a check").errno(errno_of(&error));
    let mut child = command.spawn().map_err(cannot)?;
    if hangs(&child) {
        // With the parent of a container everything of it ends.
        child.kill().map_err(cannot)?;
        child.wait().map_err(cannot)?;
        let what = format!("a start hung for {} s", LIMIT.tv_sec);
        return Ok((String::new(), Some(Lack { what, ..Lack::default() })));
    }
    let mut said = String::new();
    if let Some(stderr) = &mut child.stderr {
        let _ = stderr.read_to_string(&mut said);
    }
    let status = child.wait().map_err(cannot)?;
    let lack = (!status.success()).then(|| Lack::of(&said, &status.to_string()));
    Ok((said, lack))
}

fn hangs(child: &Child) -> bool {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    pidfd.is_some_and(|pidfd| {
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&LIMIT)).is_ok_and(|ready| ready == 0)
    })
}

fn too_old((major, minor): (u32, u32)) -> Option<Lack> {
    ((major, minor) < OLDEST).then(|| Lack {
        what: format!("this is Linux {major}.{minor}, which nobody has tried rustic on"),
        remedy: Some("a newer kernel; --mount no needs less of it".into()),
        ..Lack::default()
    })
}

/// Whether the kernel knows a file system without loading a module, proc_filesystems(5).
fn is_registered(kind: &str) -> bool {
    let all = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    all.lines().any(|line| line.split_whitespace().last() == Some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_with_one_id_is_told_why() {
        assert_eq!(without_range("Parent: user: new, 0 is the caller"), None);
        let none = without_range("Parent: user: new, 0 is the caller, and there is no other id\n");
        assert!(none.unwrap().why.unwrap().contains("/etc/subuid"));
        let refused = without_range(
            "Parent: user: one id, because newuidmap: no\nParent: user: there is no other id\n",
        );
        assert_eq!(refused.unwrap().why.unwrap(), "newuidmap: no");
    }

    #[test]
    fn an_old_kernel_lacks_something() {
        assert!(too_old((5, 14)).is_some() && too_old((4, 19)).is_some());
        assert!(too_old((5, 15)).is_none() && too_old((6, 0)).is_none());
    }

    #[test]
    fn each_namespace_is_tried_alone() {
        let pid = alone(Namespace::Pid, true).join(" ");
        assert!(pid.contains("--pid yes") && pid.contains("--mount no --uts no"), "{pid}");
        assert!(
            pid.contains("--user no")
                && alone(Namespace::Pid, false).join(" ").contains("--user yes")
        );
        assert_eq!(NAMESPACES.len(), Namespace::ALL.len());
    }
}
