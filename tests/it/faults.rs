//! Every step failing, rustic killed at every moment, limits of every size: one clear error, and
//! nothing left behind.

use crate::need;
use crate::support::{
    NOBODY, Rustic, binary, eventually, host, marker, payload, processes, queues, scratch, shared,
    tree,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The variants of Step, read from the source: a new one without a plan here that takes it fails
/// the first test below.
fn variants() -> BTreeSet<String> {
    let source =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/run/step.rs")).unwrap();
    let body = source.split_once("pub enum Step {").unwrap().1.split_once("\n}\n").unwrap().0;
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned())
        .collect()
}

/// Runs whose plans have every step between them.
fn plans() -> Vec<Rustic> {
    let root = tree("faults");
    vec![
        Rustic::run().ns("ipc", "no").opt(["--sysctl", "net.ipv4.ip_forward=1"]).sh("true"),
        Rustic::run().ns("user", "yes").opt(["--root", "chroot", "sh", "-c", "true"]),
        Rustic::run().opt(["--rootfs", root.to_str().unwrap(), "payload", "true"]),
        Rustic::run().nobody().sh("true"),
        Rustic::run().input(Path::new("/etc/passwd")).opt(["--uid", "1000"]).sh("true"),
        Rustic::run().nobody().input(Path::new("/etc/passwd")).sh("true"),
        Rustic::run().ns("mount", "no").sh("true"),
        Rustic::run().opt(["--ready", "app"]).sh("echo >&$RUSTIC_READY_FD"),
    ]
}

#[test]
fn every_step_that_fails_is_named_and_leaves_nothing() {
    need!(root);
    let (before, mut failed) = (queues(), BTreeSet::new());
    for plan in plans() {
        for variant in variants() {
            let mark = marker();
            let ran = plan
                .clone()
                .opt([&mark])
                .env("RUSTIC_FAIL_STEP", &format!("{variant}:{}", libc::EPERM))
                .ran();
            match ran.code {
                0 => {} // This plan has no such step.
                125 | 126 => {
                    failed.insert(variant.clone());
                    assert_eq!(
                        ran.stderr.matches("rustic: ").count(),
                        1,
                        "{variant}: {}",
                        ran.stderr
                    );
                    assert!(
                        ran.stderr.starts_with("rustic: cannot ") && ran.stderr.contains("EPERM"),
                        "{variant}: {}",
                        ran.stderr
                    );
                    assert_eq!(ran.code == 126, variant == "Exec", "{variant}: {ran:?}");
                }
                code => panic!("{variant}: {code}: {ran:?}"),
            }
            assert_eq!(processes(&mark), Vec::<i32>::new(), "{variant}");
        }
    }
    // The terminal's step is taken only in a terminal.
    let script = format!("RUSTIC_FAIL_STEP=Terminal:1 {} run true", binary().display());
    let screen = host("script", ["-qec", &format!("{script}; true"), "/dev/null"]);
    assert!(screen.contains("cannot make a terminal"), "{screen}");
    failed.insert("Terminal".into());
    assert_eq!(failed, variants());
    // Other tests run beside this one and have queues for a moment; a queue that is left stays.
    eventually("no queue is left", || queues().is_subset(&before));
}

/// What the kernel answers when one of its calls fails: the calls of strace's injection, and words
/// of the message.
#[test]
fn calls_that_fail_are_named() {
    need!(root);
    for (inject, options, words) in [
        ("clone3:error=EPERM:when=1", vec![], vec!["CAP_SYS_ADMIN"]),
        ("clone3:error=ENOMEM:when=1", vec![], vec!["ENOMEM"]),
        ("mount_setattr:error=EPERM:when=1", vec![], vec!["make the mounts private"]),
        ("fsopen:error=ENODEV:when=2", vec![], vec!["overlay", "ENODEV"]),
        ("fsopen:error=EPERM:when=3", vec![], vec!["mount proc", "seen whole"]),
        ("fsmount:error=ENOMEM:when=4", vec![], vec!["mount sysfs", "ENOMEM"]),
        ("pivot_root:error=EINVAL:when=1", vec![], vec!["pivot into the root", "pivot_root(2)"]),
        ("chroot:error=EPERM:when=1", vec!["--root", "chroot"], vec!["chroot into the root"]),
        ("mknodat:error=EPERM:when=3", vec![], vec!["/dev/full"]),
        ("sethostname:error=EPERM:when=1", vec![], vec!["host name 'rustic'"]),
        ("keyctl:error=EDQUOT:when=1", vec!["--seccomp", "none"], vec!["kernel.keys.maxkeys"]),
        ("mq_open:error=EMFILE", vec!["--ready", "queue"], vec!["RLIMIT_MSGQUEUE"]),
        ("mq_timedsend:error=EMSGSIZE:when=1", vec!["--ipc", "no"], vec!["send READY"]),
        ("capset:error=EPERM:when=1", vec![], vec!["capabilities"]),
        ("seccomp:error=EINVAL", vec![], vec!["seccomp filter"]),
        ("execve:error=EIO:when=1", vec![], vec!["cannot execute true", "EIO"]),
        ("openat2:error=EAGAIN", vec![], vec!["EAGAIN"]),
        ("socketpair:error=EMFILE:when=1", vec![], vec!["socket pair"]),
    ] {
        let mut command = Command::new("strace");
        // The execve of rustic itself is made before the injection counts: strace starts it.
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={inject}")]);
        let mark = marker();
        command
            .arg(binary())
            .arg("run")
            .args(&options)
            .args(["true", &mark])
            .env("RUSTIC_STORE", shared().join("store"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(125..=127)), "{inject}: {output:?}");
        assert_eq!(text.matches("rustic: ").count(), 1, "{inject}: {text}");
        for word in words {
            assert!(text.contains(word), "{inject}: '{word}' is not in: {text}");
        }
        assert_eq!(processes(&mark), Vec::<i32>::new(), "{inject}");
    }
}

#[test]
fn a_full_key_quota_is_bearable_behind_the_filter() {
    need!(root);
    let run = |options: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=keyctl:error=EDQUOT:when=1"]);
        command
            .arg(binary())
            .arg("run")
            .args(options)
            .args(["echo", "up"])
            .env("RUSTIC_STORE", shared().join("store"));
        command.output().unwrap()
    };
    assert_eq!(run(&[]).stdout, b"up\n");
    assert_eq!(run(&["--seccomp", "none"]).status.code(), Some(125));
}

#[test]
fn every_number_of_descriptors_starts_or_says_so() {
    need!(root);
    let mut started = false;
    for limit in 3..40 {
        let script = format!("ulimit -n {limit}; exec {} run true", binary().display());
        let output = Command::new("sh")
            .args(["-c", &script])
            .env("RUSTIC_STORE", shared().join("store"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => started = true,
            Some(125) => {
                assert!(!started && text.matches("rustic: ").count() == 1, "{limit}: {text}")
            }
            other => panic!("{limit}: {other:?} {text}"),
        }
    }
    assert!(started, "40 are enough");
}

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
    let (mounts, before) = (fs::read("/proc/self/mountinfo").unwrap(), queues());
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
    eventually("no queue is left", || queues().is_subset(&before));
    assert_eq!(fs::read("/proc/self/mountinfo").unwrap(), mounts);
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
        let mut child = run.started();
        std::thread::sleep(Duration::from_micros(round * 1500));
        seen += left();
        child.kill().unwrap();
        child.wait().unwrap();
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
    let output = Command::new("unshare")
        .args(["--ipc", "--mount", "sh", "-c", script])
        .env("RUSTIC", binary())
        .env("RUSTIC_STORE", shared().join("store"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{output:?}");
}

#[test]
fn a_kill_of_the_whole_process_group_leaves_nothing() {
    need!(root);
    let mark = marker();
    let mut command = Command::new("setsid");
    command.arg(binary()).args([
        "run",
        "--pid",
        "no",
        "sh",
        "-c",
        &format!("setsid sh -c 'sleep 600; : {mark}' & echo up; sleep 600; : {mark}"),
    ]);
    let mut child =
        command.env("RUSTIC_STORE", shared().join("store")).stdout(Stdio::piped()).spawn().unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut up).unwrap();
    nix::sys::signal::killpg(
        nix::unistd::Pid::from_raw(child.id() as i32),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    child.wait().unwrap();
    eventually("no process is left", || processes(&mark).is_empty());
}

#[test]
fn a_tree_deeper_than_there_are_descriptors_is_removed_with_its_run() {
    need!(root);
    let store = scratch("deep").join("store");
    let script =
        "i=0; while [ $i -lt 600 ]; do mkdir d && cd d || break; i=$((i+1)); done; echo $i";
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -n 64; exec \"$RUSTIC\" run --mount no --store \"$STORE\" \
        --workdir /tmp sh -c \"$SCRIPT\"",
    ]);
    command.env("RUSTIC", binary()).env("STORE", &store).env("SCRIPT", script);
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "600\n", "{output:?}");
    assert_eq!(
        (
            fs::read_dir(store.join("runs")).unwrap().count(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (0, "")
    );
}

#[test]
fn what_cannot_be_removed_is_said() {
    need!(root);
    let store = scratch("mounted").join("store");
    let script = format!(
        "{} run --mount no --store {} --caps all sh -c 'mount -t tmpfs x /tmp'",
        binary().display(),
        store.display()
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success()
            && text.contains("warning: cannot remove ")
            && text.contains("EBUSY"),
        "{output:?}"
    );
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
    let mut child = Rustic::run().ns("pid", "no").opt(["--uid", "1000"]).sh(&script).started();
    let mut up = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("no link of a chain is left", || processes(&mark).is_empty());
}

#[test]
fn descriptors_that_another_process_has_in_flight_keep_no_start() {
    need!(root);
    const USER: &str = "7654";
    let filled = |uid: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", uid, "--regid", uid, "--clear-groups", "prlimit", "--nofile=512"]);
        command.arg(payload()).arg("fill-in-flight").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert_eq!(line, "filled Ok(())\n");
        child
    };
    // As root with another uid inside, and as a plain user, who has no way to send one at all.
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=512").arg(binary()).args(["run", "--uid", USER, "echo", "up"]);
    limited.env("RUSTIC_STORE", shared().join("store")).stdin(Stdio::null());
    let mut plain = Command::new("setpriv");
    plain.args(["--reuid", USER, "--regid", USER, "--clear-groups", "prlimit", "--nofile=512"]);
    plain.arg(binary()).args(["run", "sh", "-c", "kill -9 $$"]).env("HOME", "/nonexistent");
    let plain = plain.stdin(fs::File::open("/etc/passwd").unwrap());
    let mut child = filled(USER);
    let (root, plain) = (limited.output().unwrap(), plain.output().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(String::from_utf8_lossy(&root.stdout), "up\n", "{root:?}");
    assert_eq!(plain.status.code(), Some(137), "{plain:?}");
}

#[test]
fn what_cannot_be_said_or_waited_for_ends_the_run_with_a_cause() {
    need!(root);
    // The calls are those of every process: parent, warden and child.
    for (inject, words) in [
        ("sendmsg:error=ENOMEM", vec!["ENOMEM"]),
        ("recvmsg:error=EIO", vec!["EIO"]),
        ("waitid:error=EIO:when=1", vec!["EIO"]),
        ("rt_sigaction:error=EIO:when=60+", vec!["EIO"]),
        ("setsid:error=EPERM", vec!["EPERM"]),
    ] {
        let mark = marker();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={inject}")]);
        command.arg(binary()).args(["run", "true", &mark]);
        command.env("RUSTIC_STORE", shared().join("store"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ran = crate::support::finish(command.spawn().unwrap());
        assert_eq!(ran.code, 125, "{inject}: {ran:?}");
        assert_eq!(ran.stderr.matches("rustic: ").count(), 1, "{inject}: {ran:?}");
        for word in words {
            assert!(ran.stderr.contains(word), "{inject}: {ran:?}");
        }
        assert_eq!(processes(&mark), Vec::<i32>::new(), "{inject}");
    }
}

#[test]
fn a_sample_of_all_faults_and_kills_breaks_nothing() {
    need!(root);
    crate::parts::faults::expect_what_is_missing_to_be_seen();
    let seed = crate::parts::faults::today();
    crate::parts::faults::expect_nothing_wrong(200, 100, seed);
}
