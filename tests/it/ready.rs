//! The queue of readiness: seen and not seen, and every way in which it cannot be had.

use crate::need;
use crate::support::{Rustic, binary, host, queues, shared};

#[test]
fn ipc_no_shares_the_hosts_queues_and_ready_arrives() {
    need!(root);
    let ran = Rustic::run().opt(["-v"]).ns("ipc", "no").sh("exit 3").ran();
    assert_eq!(ran.code, 3);
    for line in [
        "Parent: opening message queue /rustic.",
        " Child: opening message queue /rustic.",
        " Child: sending READY to parent",
        "Parent: received READY from child ",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("ENOENT"));
}

#[test]
fn ipc_yes_hides_them_and_that_is_said_at_once() {
    need!(root);
    let ran = Rustic::run().opt(["-v"]).ns("ipc", "yes").sh("exit 3").ran();
    assert_eq!(ran.code, 3);
    for line in [" Child: mq_open: ENOENT", "Parent: the child cannot see /rustic.", "another IPC namespace"] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("received READY"));
}

#[test]
fn a_queue_of_the_host_is_listed_inside_with_ipc_no_and_not_with_yes() {
    need!(root);
    use nix::mqueue::{MQ_OFlag, mq_open, mq_unlink};
    let name = format!("/rustic-it.{}", std::process::id());
    let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
    let attributes = nix::mqueue::MqAttr::new(0, 1, 8, 0);
    let queue = mq_open(name.as_str(), MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR, mode, Some(&attributes)).unwrap();
    let listed = |ipc| Rustic::run().ns("ipc", ipc).opt(["ls", "/dev/mqueue"]).ran().ok();
    let (open, closed) = (listed("no"), listed("yes"));
    mq_unlink(name.as_str()).unwrap();
    nix::mqueue::mq_close(queue).unwrap();
    assert!(open.contains(&name[1..]), "{open}");
    assert_eq!(closed, "");
}

#[test]
fn ready_none_makes_no_queue() {
    need!(root);
    let ran = Rustic::run().opt(["-v", "--ready", "none"]).ns("ipc", "no").sh("true").ran();
    assert!(!ran.stderr.contains("queue /rustic."), "{}", ran.stderr);
}

/// A shell in an IPC namespace of its own, in which limits can be changed without hurting anybody.
fn in_own_ipc(script: &str) -> (i32, String) {
    let output = std::process::Command::new("unshare")
        .args(["--ipc", "--mount", "sh", "-c", script])
        .env("RUSTIC", binary())
        .env("RUSTIC_STORE", shared().join("store"))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn queue_limits_bend_or_are_named() {
    need!(root);
    let (code, text) =
        in_own_ipc("echo 1 >/proc/sys/fs/mqueue/msg_max; echo 128 >/proc/sys/fs/mqueue/msgsize_max; $RUSTIC run --ipc no echo up");
    assert_eq!((code, text.as_str()), (0, "up\n"), "one small message is enough");
    let (code, text) = in_own_ipc(
        "echo 0 >/proc/sys/fs/mqueue/queues_max; setpriv --bounding-set -sys_resource --inh-caps -sys_resource $RUSTIC run --ipc no echo up",
    );
    assert_eq!(code, 125, "{text}");
    assert!(text.contains("queues_max") && text.contains("--ready none"), "{text}");
    let (code, text) =
        in_own_ipc("setpriv --bounding-set -sys_resource --inh-caps -sys_resource prlimit --msgqueue=0 $RUSTIC run --ipc no echo up");
    assert_eq!(code, 125, "{text}");
    assert!(text.contains("RLIMIT_MSGQUEUE"), "{text}");
    let (code, text) = in_own_ipc("prlimit --msgqueue=0 $RUSTIC run --ready none --ipc no echo up");
    assert_eq!((code, text.as_str()), (0, "up\n"));
}

#[test]
fn the_payload_has_half_of_the_queue_bytes() {
    need!(root);
    let outside: u64 = host("awk", ["/Max msgqueue/ {print $4}", "/proc/self/limits"]).trim().parse().unwrap();
    let inside: u64 = Rustic::run().sh("grep 'Max msgqueue' /proc/self/limits | awk '{print $4}'").ran().ok().trim().parse().unwrap();
    assert_eq!(inside, outside / 2);
}

#[test]
fn nothing_of_the_queue_is_left() {
    need!(root);
    let before = queues();
    for ipc in ["no", "yes"] {
        Rustic::run().ns("ipc", ipc).sh("true").ran().ok();
        assert_eq!(Rustic::run().ns("ipc", ipc).opt(["nosuch"]).ran().code, 127);
    }
    // Other tests run beside this one and have queues for a moment.
    crate::support::eventually("no queue is left", || queues().is_subset(&before));
}
