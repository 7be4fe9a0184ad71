//! Namespaces of a test's own. What all processes of the host share cannot be compared while other
//! tests, or anybody else, work beside this one; what only this test shares can.

use super::outside::{host, queues};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};
use std::collections::BTreeSet;
use std::fs;

/// Does it on a thread in new mount, UTS, IPC and network namespaces, where whatever it starts is
/// too. The mounts are shared ones, as systemd makes the host's, and cut off from the host's own:
/// what travels out of a container arrives here, and nowhere else.
pub(crate) fn apart(look: impl FnOnce() + Send) {
    let all = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    let enter = || {
        unshare(all).unwrap();
        for kind in [MountPropagationFlags::PRIVATE, MountPropagationFlags::SHARED] {
            mount_change("/", kind | MountPropagationFlags::REC).unwrap();
        }
        host("ip", ["link", "set", "lo", "up"]);
        look();
    };
    std::thread::scope(|scope| {
        if let Err(panic) = scope.spawn(enter).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// What the processes of one mount, UTS, IPC and network namespace share, as this thread sees it:
/// each line says where.
pub(crate) fn shared_state() -> BTreeSet<String> {
    // The thread's own: /proc/self is the process, and in the namespaces of its first thread.
    let places = [
        "/proc/thread-self/mountinfo",
        "/proc/sys/kernel/hostname",
        "/proc/sysvipc/shm",
        "/proc/sysvipc/sem",
        "/proc/sysvipc/msg",
    ];
    let read = places.into_iter().flat_map(|place| {
        let text = fs::read_to_string(place).unwrap();
        text.lines().map(|line| format!("{place}: {line}")).collect::<Vec<_>>()
    });
    let interfaces = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let interfaces = interfaces.lines().filter_map(|line| line.split_once(':'));
    let interfaces: Vec<String> = interfaces.map(|(name, _)| name.trim().to_owned()).collect();
    read.chain(interfaces).chain(queues()).collect()
}
