//! The queue of readiness: seen and not seen, and every way in which it cannot be had.

use crate::need;
use crate::support::{
    Rustic, apart, end, ended, host, payload, scratch, shared_state, shell, traced,
};
use std::fs;

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
    for line in [
        " Child: mq_open: ENOENT",
        "Parent: the child cannot see /rustic.",
        "another IPC namespace",
    ] {
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
    let queue = mq_open(
        name.as_str(),
        MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR,
        mode,
        Some(&attributes),
    )
    .unwrap();
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
    let ran = ended(&mut shell(&["unshare", "--ipc", "--mount", "sh"], script));
    (ran.code, ran.stdout + &ran.stderr)
}

#[test]
fn queue_limits_bend_or_are_named() {
    need!(root);
    let (code, text) = in_own_ipc(
        "echo 1 >/proc/sys/fs/mqueue/msg_max; echo 128 >/proc/sys/fs/mqueue/msgsize_max; $RUSTIC \
            run --ipc no echo up",
    );
    assert_eq!((code, text.as_str()), (0, "up\n"), "one small message is enough");
    let (code, text) = in_own_ipc(
        "echo 0 >/proc/sys/fs/mqueue/queues_max; setpriv --bounding-set -sys_resource --inh-caps \
            -sys_resource $RUSTIC run --ready queue --ipc no echo up",
    );
    assert_eq!(code, 125, "{text}");
    assert!(text.contains("queues_max") && text.contains("--ready none"), "{text}");
    let (code, text) = in_own_ipc(
        "setpriv --bounding-set -sys_resource --inh-caps -sys_resource prlimit --msgqueue=0 \
            $RUSTIC run --ready queue --ipc no echo up",
    );
    assert_eq!(code, 125, "{text}");
    assert!(text.contains("RLIMIT_MSGQUEUE"), "{text}");
    let (code, text) = in_own_ipc("prlimit --msgqueue=0 $RUSTIC run --ready none --ipc no echo up");
    assert_eq!((code, text.as_str()), (0, "up\n"));
}

#[test]
fn the_payload_has_half_of_the_queue_bytes() {
    need!(root);
    let outside: u64 =
        host("awk", ["/Max msgqueue/ {print $4}", "/proc/self/limits"]).trim().parse().unwrap();
    let inside: u64 = Rustic::run()
        .sh("grep 'Max msgqueue' /proc/self/limits | awk '{print $4}'")
        .ran()
        .ok()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(inside, outside / 2);
}

#[test]
fn nothing_of_the_queue_is_left() {
    need!(root);
    apart(|| {
        let before = shared_state();
        for ipc in ["no", "yes"] {
            Rustic::run().ns("ipc", ipc).sh("true").ran().ok();
            assert_eq!(Rustic::run().ns("ipc", ipc).opt(["nosuch"]).ran().code, 127);
            assert_eq!(shared_state(), before);
        }
    });
}

#[test]
fn every_start_is_heard() {
    need!(root);
    for _ in 0..150 {
        for (ipc, word) in [("no", "received READY"), ("yes", "cannot see")] {
            let ran = Rustic::run().opt(["-v"]).ns("ipc", ipc).opt(["true"]).ran();
            assert!(ran.code == 0 && ran.stderr.contains(word), "{ran:?}");
        }
    }
}

#[test]
fn all_queues_taken_by_another_keeps_no_start_but_one_that_asks_for_a_queue() {
    need!(root);
    // 256 queues of a namespace, held by a process in it. Both runs meet the same one: the kernel
    // gives the bytes of a namespace back to their user some time after its end.
    let script = "
        $PAYLOAD fill-queues >$FILLED & filler=$!
        while ! grep -q filled $FILLED; do sleep 0.05; done
        $RUSTIC run -v --info-fd 1 --ipc no echo up; echo first $?
        $RUSTIC run --ready queue --ipc no echo up >$FILLED 2>&1; echo second $?
        cat $FILLED; kill $filler";
    let filled = scratch("fill").join("out");
    let script = script
        .replace("$PAYLOAD", payload().to_str().unwrap())
        .replace("$FILLED", filled.to_str().unwrap());
    let (_, text) = in_own_ipc(&script);
    assert!(text.contains("up\n") && text.contains("goes on without a queue"), "{text}");
    // Readiness is told all the same, by the way that is left.
    assert!(text.contains("\"event\":\"ready\",\"via\":\"exec\""), "{text}");
    assert!(text.contains("first 0\nsecond 125\n"), "{text}");
    assert!(
        text.contains("cannot make message queue")
            && (text.contains("EMFILE") || text.contains("ENOSPC")),
        "{text}"
    );
}

#[test]
fn a_container_that_fills_its_queues_does_not_stop_the_next_start() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let hungry = Rustic::run().opt(["--bind", &bind, "/mnt/payload", "fill-queues"]);
    let hungry = hungry.started_until("filled true");
    for _ in 0..5 {
        assert_eq!(Rustic::run().ns("ipc", "no").sh("echo up").ran().ok(), "up\n");
    }
    end(hungry);
}

#[test]
fn no_wait_looks_at_the_wall_clock() {
    need!(root);
    let trace = scratch("clock").join("trace");
    for options in [vec!["--ipc", "no"], vec!["--ready", "app"]] {
        let waits = "trace=mq_timedreceive,mq_timedsend,ppoll,poll,pselect6,clock_nanosleep,\
            timer_settime,timerfd_settime,futex";
        let strace = ["strace", "-f", "-qq", "-e", waits, "-o", trace.to_str().unwrap()];
        let run = Rustic::run().under(strace).opt(options);
        run.sh("test -z \"$RUSTIC_READY_FD\" || echo >&3").ran().ok();
        let text = fs::read_to_string(&trace).unwrap();
        assert!(text.contains("poll("), "the control: the waits are seen");
        for (_, call) in traced(&text).iter().filter(|(_, call)| call.starts_with("mq_timed")) {
            assert!(call.contains("NULL"), "no absolute CLOCK_REALTIME: {call}");
        }
        assert!(!text.contains("CLOCK_REALTIME"), "{text}");
    }
}
