//! The program inside says that it is ready: by the queue, by a descriptor, by a socket, or never.

use super::{order, with_events};
use crate::need;
use crate::support::{Rustic, eventually, marker, payload, processes, scratch, tree};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn the_program_inside_says_ready_by_queue_by_descriptor_or_by_socket() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    for (options, script, via) in [
        (vec!["--ipc", "no"], "/mnt/payload ready-queue", "queue"),
        (vec!["--ipc", "no", "--uid", "1000"], "/mnt/payload ready-queue", "queue"),
        (vec!["--ipc", "yes"], "echo >&$RUSTIC_READY_FD", "fd"),
        (vec!["--ipc", "no"], "printf READY=1 >&$RUSTIC_READY_FD", "fd"),
        (vec!["--user", "yes", "--uid", "7"], "echo >&$RUSTIC_READY_FD", "fd"),
        (vec!["--mount", "no"], "echo >&$RUSTIC_READY_FD", "fd"),
        (vec!["--init"], "echo >&$RUSTIC_READY_FD", "fd"),
        (
            vec!["--ipc", "yes", "--uid", "1000"],
            "/mnt/payload notify 'STATUS=warm\\nREADY=1'",
            "socket",
        ),
    ] {
        let bound = if options.contains(&"no") && options.contains(&"--mount") {
            vec![]
        } else {
            vec!["--bind", &bind]
        };
        let all: Vec<_> =
            ["--ready", "app"].into_iter().chain(options.iter().copied()).chain(bound).collect();
        let (code, text, events) = with_events(&all, &format!("{script}; sleep 0.1; exit 6"));
        assert_eq!(code, 6, "{options:?}: {text}");
        assert_eq!(
            order(&events),
            ["started", &format!("ready via {via}"), "exited"],
            "{options:?}: {text} {events}"
        );
    }
}

#[test]
fn a_program_that_ends_before_it_is_ready_ends_the_wait() {
    need!(root);
    let since = Instant::now();
    let (code, text, events) = with_events(&["--ready", "app"], "exit 9");
    assert_eq!((code, text.as_str()), (9, ""));
    assert_eq!(order(&events), ["started", "exited"]);
    assert!(since.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_program_that_never_says_so_is_ended_with_a_sentence() {
    need!(root);
    let mark = marker();
    let ran = Rustic::run()
        .opt(["--ready", "app", "--ready-timeout", "1"])
        .sh(&format!("sleep 600; : {mark}"))
        .ran();
    ran.fails(125, &["did not say that it is ready within 1 s", "--ready-timeout"]);
    assert_eq!(processes(&mark), Vec::<i32>::new());
}

#[test]
fn the_real_systemd_notify_is_understood() {
    need!(root);
    // A directory root with the host's /usr: what a Debian tree looks like to a program.
    let root = tree("notify");
    fs::remove_dir_all(root.join("bin")).unwrap();
    for link in ["bin", "lib", "lib64", "sbin"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).unwrap();
    }
    let (_, text, events) = with_events(
        &["--ready", "app", "--rootfs", root.to_str().unwrap(), "--bind", "/usr:/usr:ro"],
        "systemd-notify --status=warm && systemd-notify --ready && sleep 0.1",
    );
    assert_eq!(order(&events), ["started", "ready via socket", "exited"], "{text}");
}

#[test]
fn the_notify_socket_answers_barriers_and_keeps_no_descriptor() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let script = "stat -c %a $NOTIFY_SOCKET; for i in $(seq 30); do /mnt/payload notify \
        STATUS=$i; done; /mnt/payload notify BARRIER=1; echo >&3";
    let out = Rustic::run().opt(["--ready", "app", "--bind", &bind]).sh(script).ran().ok();
    assert_eq!(
        out,
        format!("666\n{}", "barrier Ok(0)\n".repeat(31)),
        "everything is read, and what came along is closed"
    );
}

#[test]
fn ready_on_the_descriptor_is_a_line_however_it_is_cut() {
    need!(root);
    for (script, expected) in [
        (
            "printf R >&3; sleep 0.1; printf EADY=1 >&3; sleep 0.2",
            vec!["started", "ready via fd", "exited"],
        ),
        ("printf NOTREADY=10 >&3; sleep 0.2", vec!["started", "exited"]),
        ("printf READY=10 >&3; sleep 0.2", vec!["started", "exited"]),
        ("printf 'anything\\n' >&3; sleep 0.2", vec!["started", "ready via fd", "exited"]),
    ] {
        let (_, _, events) = with_events(&["--ready", "app"], script);
        assert_eq!(order(&events), expected, "{script}");
    }
}

#[test]
fn a_descriptor_whose_close_waits_for_minutes_keeps_nobody() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let events = scratch("lingering").join("events");
    let mut child = Rustic::run()
        .opt(["--ready", "app", "--info-fd", "2", "--bind", &bind])
        .opt(["/mnt/payload", "notify-lingering"])
        .std()
        .stdin(Stdio::piped())
        .stderr(fs::File::create(&events).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The other end reads nothing for as long as stdin is open: until then no close comes back.
    eventually("READY is heard", || {
        fs::read_to_string(&events).unwrap().contains("\"via\":\"socket\"")
    });
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
