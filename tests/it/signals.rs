//! Signals: forwarded, lost by PID 1, waited for, and what is reported.

use crate::need;
use crate::support::{
    Rustic, days, eventually, finish, marker, parent_of, payload, piped, processes, shell, sleeps,
    until_line,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Child;

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

#[test]
fn sigterm_ends_a_deaf_pid_1_and_143_is_reported() {
    need!(root);
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        for pid in ["yes", "no"] {
            // Not a shell that becomes sleep: busybox's ignores SIGQUIT until then.
            let days = days();
            let run = Rustic::run().ns("pid", pid).opt(["sleep"]).opt(days.clone());
            let child = run.started();
            let runs = |&pid: &i32| {
                std::fs::read_to_string(format!("/proc/{pid}/comm"))
                    .is_ok_and(|name| name == "sleep\n")
            };
            eventually("sleep runs", || sleeps(&days).iter().any(runs));
            send(&child, signal);
            assert_eq!(finish(child).code, 128 + signal as i32, "{signal} --pid {pid}");
        }
    }
}

/// Sends a signal by its number, real-time ones too.
fn send_number(child: &Child, number: i32) {
    let sent = shell(&["sh"], &format!("kill -{number} {}", child.id())).status().unwrap();
    assert!(sent.success());
}

#[test]
fn every_signal_that_can_be_caught_is_passed_on() {
    need!(root);
    let untold = [libc::SIGCHLD, libc::SIGTTIN, libc::SIGTTOU, libc::SIGPIPE];
    let own = [libc::SIGWINCH, libc::SIGTSTP, libc::SIGCONT];
    let cannot = [libc::SIGKILL, libc::SIGSTOP];
    let others = (1..32).chain(libc::SIGRTMIN()..=libc::SIGRTMAX());
    let passed: Vec<i32> = others
        .filter(|signal| ![&untold[..], &own, &cannot].concat().contains(signal))
        // It would come of a write of rustic's own, too.
        .filter(|&signal| signal != libc::SIGXFSZ)
        .collect();
    assert!(passed.contains(&libc::SIGALRM) && passed.contains(&(libc::SIGRTMIN() + 3)));
    let bind = format!("{}:/mnt/payload", payload().display());
    for init in [&[][..], &["--init"]] {
        let run = Rustic::run().opt(["--bind", &bind]).opt(init.iter().copied());
        let mut child = run.opt(["/mnt/payload", "tell-signals"]).started_until("waiting");
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        for &signal in &passed {
            send_number(&child, signal);
            let mut line = String::new();
            std::io::BufRead::read_line(&mut out, &mut line).unwrap();
            assert_eq!(line, format!("{signal}\n"), "{init:?}");
        }
        child.stdout = Some(out.into_inner());
        // Not what is meant for rustic alone.
        for signal in untold.into_iter().chain([libc::SIGCONT, libc::SIGWINCH]) {
            send_number(&child, signal);
        }
        send_number(&child, libc::SIGKILL);
        let ran = finish(child);
        assert_eq!((ran.code, ran.stdout.as_str()), (-libc::SIGKILL, ""), "{init:?}");
    }
}

#[test]
fn a_signal_that_nobody_handles_ends_the_container_with_its_number() {
    need!(root);
    for signal in [libc::SIGALRM, libc::SIGRTMIN() + 3, libc::SIGRTMAX()] {
        for init in [&[][..], &["--init"]] {
            let run = Rustic::run().opt(init.iter().copied());
            let child = run.opt(["sh", "-c", "echo up; read x"]).started_until("up");
            send_number(&child, signal);
            assert_eq!(finish(child).code, 128 + signal, "{init:?}");
        }
    }
}

/// The reaper is in sigwait, out of it for an orphan, and in it again, while it is looked at.
#[test]
fn a_reaper_that_is_busy_with_orphans_loses_no_signal() {
    need!(root);
    let script = "trap : HUP; trap 'exit 7' TERM; echo up; while :; do (/bin/true &); done";
    for _ in 0..3 {
        let child = Rustic::run().opt(["--init"]).sh(script).started_until("up");
        for _ in 0..60 {
            send(&child, Signal::SIGHUP);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        send(&child, Signal::SIGTERM);
        assert_eq!(finish(child).code, 7);
    }
}

/// What is only called so has SIGTERM as everybody.
#[test]
fn a_process_1_that_is_called_systemd_and_is_none_gets_sigterm() {
    need!(root);
    let root = crate::support::scratch("called");
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/rootfs.tar.gz");
    let tree = root.join("tree");
    let words = ["unpack", built_in, tree.to_str().unwrap()];
    Rustic::command("rootfs").opt(words).ran().ok();
    let script = "#!/bin/sh\ntrap 'exit 9' TERM\necho up\nwhile :; do sleep 0.01; done\n";
    let path = tree.join("systemd");
    std::fs::write(&path, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    let run = Rustic::run().opt(["--rootfs", tree.to_str().unwrap(), "/systemd"]);
    let child = run.started_until("up");
    send(&child, Signal::SIGTERM);
    assert_eq!(finish(child).code, 9);
}

/// Whoever does not read what -v tells keeps no signal waiting.
#[test]
fn a_full_pipe_behind_stderr_keeps_no_signal_waiting() {
    need!(root);
    for options in ["-v", "--explain", "-v --init", "-v --user yes", "-v --ready app"] {
        let dir = crate::support::scratch("full");
        let script = format!(
            "mkfifo full; exec 7<>full; dd if=/dev/zero bs=4k count=16 >&7 2>/dev/null; \
             \"$RUSTIC\" run {options} sleep 60 2>&7 & pid=$!; sleep 0.5; kill -TERM $pid; \
             wait $pid; echo code $?"
        );
        let mut line = shell(&["bash"], &script);
        let ran = crate::support::ended(line.current_dir(&dir));
        assert_eq!(ran.stdout, "code 143\n", "{options}: {ran:?}");
    }
}

#[test]
fn a_pid_1_that_handles_the_signal_decides_itself() {
    need!(root);
    let run =
        Rustic::run().sh("trap 'echo caught; exit 9' TERM; echo up; while :; do sleep 0.01; done");
    let child = run.started_until("up");
    send(&child, Signal::SIGTERM);
    let ran = finish(child);
    assert_eq!((ran.code, ran.stdout.as_str()), (9, "caught\n"));
    let child = Rustic::run().sh("trap '' TERM; echo up; read x; exit 8").started_until("up");
    send(&child, Signal::SIGTERM);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(finish(child_without_input(child)).code, 8, "ignored is ignored");
}

fn child_without_input(mut child: Child) -> Child {
    drop(child.stdin.take());
    child
}

#[test]
fn a_pid_1_that_waits_for_the_signal_gets_it() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    for (task, code, said) in
        [("sigwait", 42, "got Ok(SIGTERM)\n"), ("signalfd", 43, "got Some(15)\n")]
    {
        for _ in 0..10 {
            let run = Rustic::run().opt(["--bind", &bind, "/mnt/payload", task]);
            let child = run.started_until("waiting");
            // The word is said a moment before the call is made.
            std::thread::sleep(std::time::Duration::from_millis(20));
            send(&child, Signal::SIGTERM);
            let ran = finish(child);
            assert_eq!((ran.code, ran.stdout.as_str()), (code, said), "{task}");
        }
    }
}

#[test]
fn a_wait_that_the_kernel_takes_no_notice_of_does_not_keep_a_container_alive() {
    need!(root);
    let bind = format!("{}:/mnt/payload", payload().display());
    let run = Rustic::run().opt(["--bind", &bind, "/mnt/payload", "sigwait-unblocked"]);
    let child = run.started_until("waiting");
    std::thread::sleep(std::time::Duration::from_millis(20));
    send(&child, Signal::SIGTERM);
    assert_eq!(finish(child).code, 143);
}

#[test]
fn sigwinch_kills_nobody() {
    need!(root);
    let child = Rustic::run().sh("echo up; read x; exit 5").started_until("up");
    for _ in 0..5 {
        send(&child, Signal::SIGWINCH);
    }
    assert_eq!(finish(child_without_input(child)).code, 5);
}

#[test]
fn a_signal_before_cmd_runs_ends_the_start() {
    need!(root);
    // With a builder there is more before CMD, and another process that waits.
    for (delay, user) in (0..20).flat_map(|delay| [(delay, "no"), (delay, "yes")]) {
        let days = days();
        let run = Rustic::run().ns("user", user).opt(["sleep"]).opt(days.clone());
        let child = run.started();
        std::thread::sleep(std::time::Duration::from_micros(delay * 300));
        send(&child, Signal::SIGTERM);
        let ran = finish(child);
        // Before the signals are listened to, the process itself is ended by it.
        assert!(ran.code == 143 || ran.code == -15, "{ran:?}");
        eventually("nothing of it is left", || sleeps(&days).is_empty());
    }
}

#[test]
fn a_signal_that_pid_1_sends_itself_does_what_it_does_outside() {
    need!(root);
    for (script, code) in [
        ("kill -9 $$; echo alive", 137),
        ("kill -TERM $$; echo alive", 143),
        ("trap 'exit 3' TERM; kill -TERM $$; exit 4", 3),
        ("kill -STOP $$; exit 5", 5),
        ("kill -WINCH $$; kill -0 $$; exit 6", 6),
        // Another process may not end PID 1 so: the kernel's rule stands.
        ("(kill -9 1); (kill -TERM 1); sleep 0.05; exit 7", 7),
    ] {
        for uid in ["0", "1000"] {
            let ran = Rustic::run().opt(["--uid", uid]).sh(script).ran();
            assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{script} as {uid}");
        }
    }
}

#[test]
fn real_time_signals_are_reported_too() {
    need!(root);
    assert_eq!(Rustic::run().ns("pid", "no").sh("kill -40 $$").ran().code, 168);
    assert_eq!(Rustic::run().sh("kill -64 $$").ran().code, 192);
}

#[test]
fn init_passes_signals_on() {
    need!(root);
    let handles = "trap 'exit 4' USR1; echo up; while :; do sleep 0.01; done";
    let child = Rustic::run().opt(["--init"]).sh(handles).started_until("up");
    send(&child, Signal::SIGUSR1);
    assert_eq!(finish(child).code, 4);
    let child = Rustic::run().opt(["--init"]).sh("echo up; read x").started_until("up");
    send(&child, Signal::SIGTERM);
    assert_eq!(finish(child).code, 143);
}

#[test]
fn a_killed_warden_takes_the_container_along() {
    need!(root);
    let mark = marker();
    let run = Rustic::run().sh(&format!(": {mark}; echo up; sleep 999; :"));
    let child = run.started_until("up");
    // The warden is the parent of the child and carries the same command line as rustic itself.
    let parent = child.id() as i32;
    let warden = processes(&mark).into_iter().find(|&pid| parent_of(pid) == Some(parent)).unwrap();
    kill(Pid::from_raw(warden), Signal::SIGKILL).unwrap();
    let ran = finish(child);
    assert_eq!(ran.code, 125);
    assert!(ran.stderr.contains("the warden was killed"), "{}", ran.stderr);
    eventually("the container is gone", || processes(&mark).is_empty());
}

#[test]
fn what_the_caller_ignores_stays_ignored() {
    need!(root);
    let script = "trap '' HUP; exec \"$RUSTIC\" run sh -c 'echo up; read x; exit 7'";
    let child = until_line(piped(&mut shell(&["sh"], script)), "up");
    send(&child, Signal::SIGHUP);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(finish(child_without_input(child)).code, 7, "nohup");
}
