//! rustic killed at any moment, with containers that would outlive it.

use crate::need;
use crate::support::{
    NOBODY, Rustic, apart, end, ended, eventually, marker, payload, processes, scratch,
    shared_state, shell,
};
use std::fs;
use std::time::Duration;

/// A CMD that tries to outlive rustic, in each of the ways that defeat a death signal.
fn stubborn(kind: usize, mark: &str) -> Vec<String> {
    let words = match kind {
        0 => format!("sleep 600; : {mark}"),
        1 => format!("exec /mnt/payload uid 1 sh -c 'sleep 600; : {mark}'"),
        2 => format!("exec /mnt/payload no-death-signal sh -c 'sleep 600; : {mark}'"),
        _ => format!(
            "(setsid sh -c '(setsid sh -c \"sleep 600; : {mark}\") & sleep 600; : {mark}' &) ; \
                sleep 600; : {mark}"
        ),
    };
    ["sh", "-c", &words].map(str::to_owned).to_vec()
}

#[test]
fn rustic_killed_at_any_moment_leaves_nothing() {
    need!(root);
    apart(killed_at_any_moment);
}

fn killed_at_any_moment() {
    let before = shared_state();
    let bind = format!("{}:/mnt/payload", payload().display());
    let mut met = 0;
    for round in 0..200 {
        let (kind, pid, nobody) = (round % 4, round / 4 % 2, round / 8 % 2);
        let mark = marker();
        let run = if nobody == 1 { Rustic::run().nobody() } else { Rustic::run() };
        let run = run
            .ns("pid", if pid == 1 { "no" } else { "yes" })
            .ns("ipc", "no")
            .opt(["--bind", &bind])
            .opt(stubborn(kind, &mark));
        let mut child = run.started();
        // Spread over the start, with some in the middle of CMD.
        std::thread::sleep(Duration::from_micros((round as u64 * 7919) % 25_000));
        child.kill().unwrap();
        // More than rustic and its warden: CMD, or the child on its way to it.
        met += usize::from(processes(&mark).len() > 1);
        child.wait().unwrap();
        eventually("no process is left", || processes(&mark).is_empty());
    }
    assert!(met > 50, "the control: kills met a container that was up, {met} times");
    eventually("no queue and no mount is left", || shared_state() == before);
}

#[test]
fn rustic_killed_without_mounts_leaves_no_directory() {
    need!(root);
    // Root has the directory in the store; nobody, who has none, in the temporary folder.
    let (store, temporary) = (scratch("runs").join("store"), scratch("temporary"));
    std::os::unix::fs::chown(&temporary, Some(NOBODY), Some(NOBODY)).unwrap();
    let left = || {
        [store.join("runs"), temporary.clone()]
            .iter()
            .filter_map(|dir| fs::read_dir(dir).ok())
            .flatten()
            .count()
    };
    let mut seen = 0;
    for round in 0..60 {
        let run = if round % 2 == 0 {
            Rustic::run().opt(["--store", store.to_str().unwrap()])
        } else {
            Rustic::run().nobody()
        };
        let run = run
            .env("TMPDIR", temporary.to_str().unwrap())
            .ns("mount", "no")
            .sh("mkdir -p /a/b; chmod 0 /a; sleep 600");
        let child = run.started();
        std::thread::sleep(Duration::from_micros(round * 1500));
        seen += left();
        end(child);
        eventually("no directory is left", || left() == 0);
    }
    assert!(seen > 0, "the control: a directory was there when rustic was killed");
}

#[test]
fn the_queue_of_a_killed_rustic_is_removed() {
    need!(root);
    // In an IPC namespace of its own, where no other test has queues.
    let script = "for i in $(seq 1 60); do $RUSTIC run --ipc no sleep 600 & p=$!; sleep 0.00$((i \
        % 10)); kill -9 $p; wait $p 2>/dev/null; done; \
                  sleep 0.3; mount -t mqueue none /mnt && ls /mnt | wc -l";
    let ran = ended(&mut shell(&["unshare", "--ipc", "--mount", "sh"], script));
    assert_eq!(ran.stdout, "0\n", "{ran:?}");
}

#[test]
fn a_kill_of_the_whole_process_group_leaves_nothing() {
    need!(root);
    let mark = marker();
    let script = format!("setsid sh -c 'sleep 600; : {mark}' & echo up; sleep 600; : {mark}");
    let run = Rustic::run().under(["setsid"]).ns("pid", "no").sh(&script);
    let mut child = run.started_until("up");
    nix::sys::signal::killpg(
        nix::unistd::Pid::from_raw(child.id() as i32),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    child.wait().unwrap();
    eventually("no process is left", || processes(&mark).is_empty());
}

#[test]
fn orphans_that_keep_forking_are_caught() {
    need!(root);
    let mark = marker();
    // Each link of a chain forks the next and ends; nothing signals the warden.
    let script = format!(
        "f() {{ (f &) ; : {mark}; }}; for i in 1 2 3 4 5; do (f &); done; echo up; sleep 600; : \
            {mark}"
    );
    let run = Rustic::run().ns("pid", "no").opt(["--uid", "1000"]).sh(&script);
    let child = run.started_until("up");
    std::thread::sleep(Duration::from_millis(50));
    end(child);
    eventually("no link of a chain is left", || processes(&mark).is_empty());
}
