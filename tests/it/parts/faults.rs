//! Every system call of parent, warden and child failing with every errno that is likely, and
//! SIGKILL at each of them. A run then either ends with one message and a documented code, or CMD
//! has exactly the walls of a clean run; nothing hangs, and nothing is left.

use crate::need;
use crate::support::{NOBODY, binary, marker, payload, processes, queues, scratch};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the kernel may answer to a call that is right.
const ERRNOS: [&str; 9] =
    ["ENOMEM", "EINTR", "EAGAIN", "EPERM", "EMFILE", "EIO", "ENOSPC", "EBUSY", "ENOSYS"];

/// What the kernel refuses only where the arguments are wrong: the runtime and libraries of Rust
/// take no error of these, and start no program that gets one.
const CANNOT_FAIL: [&str; 18] = [
    "arch_prctl",
    "brk",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "gettid",
    "getuid",
    "poll",
    "prlimit64",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "umask",
];

/// How a program of Rust aborts before or without rustic's own words: where it has no memory, and
/// where closing a directory fails, which the kernel has no way to let happen.
const EXCUSED: [(&[&str], &str); 4] = [
    (&["mmap", "mprotect"], "alternative stack"),
    (&["mmap", "mremap"], "memory allocation of"),
    (&["mmap", "mprotect"], "failed to spawn thread"),
    (&["close"], "unexpected error during closedir"),
];

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// A way to start a container.
struct Plan {
    name: &'static str,
    uid: u32,
    options: Vec<String>,
    input: Option<&'static str>,
    cmd: &'static str,
    /// How CMD ends.
    code: i32,
}

fn plans() -> Vec<Plan> {
    let plan = |name, uid, options: &str, input| {
        let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        // Without mounts of its own there is nowhere to bind the payload.
        let (cmd, code) =
            if name == "root, no mounts" { ("/bin/cat", 1) } else { ("/mnt/payload", 0) };
        Plan { name, uid, options, input, cmd, code }
    };
    vec![
        plan("root, queue seen", 0, "--ipc no", None),
        plan("root, user namespace", 0, "--user yes --uid 7", Some("/etc/passwd")),
        plan("plain user", NOBODY, "--scratch-size 64M", Some("/etc/passwd")),
        plan("root, no mounts", 0, "--mount no --net no", None),
    ]
}

impl Plan {
    /// `folder` holds the store.
    fn command(&self, folder: &Path, strace: &[String], mark: &str) -> Command {
        let mut command = if self.uid == 0 {
            Command::new("strace")
        } else {
            let mut command = Command::new("setpriv");
            let id = self.uid.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "strace"]);
            command
        };
        let bind = format!("{}:/mnt/payload", payload().display());
        command.args(strace).arg(binary()).arg("run").args(&self.options);
        if self.cmd == "/mnt/payload" {
            command.args(["--bind", &bind, self.cmd, "state", mark]);
        } else {
            command.args([self.cmd, "/etc/passwd", "/proc/mark", mark]);
        }
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
        if self.uid == 0 {
            command.env("RUSTIC_STORE", folder.join("store"));
        }
        let stdin = match self.input {
            Some(path) => fs::File::open(path).unwrap().into(),
            None => Stdio::null(),
        };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// How often the processes call what before CMD takes the child's place.
    fn calls(&self, trace: &Path) -> BTreeMap<String, Calls> {
        let strace = ["-f", "-qq", "-o", trace.to_str().unwrap()].map(str::to_owned);
        let folder = trace.parent().expect("a trace in the folder of the test");
        let output = self.command(folder, &strace, &marker()).output().unwrap();
        assert!(output.status.code() == Some(self.code), "{output:?}");
        let text = fs::read_to_string(trace).unwrap();
        let (mut of_process, mut of_cmd) = (BTreeMap::new(), BTreeMap::<&str, usize>::new());
        let mut cmd = None;
        for line in text.lines() {
            // A call that strace resumes after another one was counted where it began.
            let Some((pid, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            let Some((name, arguments)) = call.split_once('(') else { continue };
            if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                continue;
            }
            if cmd == Some(pid) {
                *of_cmd.entry(name).or_default() += 1;
            } else {
                *of_process.entry((pid, name)).or_insert(0_usize) += 1;
            }
            if name == "execve" && arguments.starts_with(&format!("\"{}\", ", self.cmd)) {
                cmd = Some(pid);
            }
        }
        let cmd = cmd.expect("CMD has been executed");
        let mut calls = BTreeMap::<String, Calls>::new();
        for ((pid, name), count) in of_process {
            let entry = calls.entry(name.into()).or_default();
            entry.most = entry.most.max(count);
            if pid == cmd {
                entry.of_child = count;
            }
        }
        for (name, count) in of_cmd {
            calls.entry(name.into()).or_default().of_cmd = count;
        }
        calls
    }
}

/// How often a call is made: strace counts for each process, and CMD is the process of the child.
#[derive(Default)]
struct Calls {
    /// By the process that makes most of them, without CMD.
    most: usize,
    of_child: usize,
    of_cmd: usize,
}

/// How a run ended, and what CMD saw.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
    hung: bool,
}

fn ended(mut command: Command) -> Ended {
    let mut child = command.spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = |from: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    std::thread::scope(|scope| {
        let out = scope.spawn(move || reader(&mut out));
        let err = scope.spawn(move || reader(&mut err));
        let since = Instant::now();
        let (status, hung) = loop {
            match child.try_wait().unwrap() {
                Some(status) => break (status, false),
                None if since.elapsed() > LIMIT => {
                    let _ = child.kill();
                    break (child.wait().unwrap(), true);
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
        Ended { code, stdout: out.join().unwrap(), stderr: err.join().unwrap(), hung }
    })
}

/// Numbers that differ from run to run.
fn without_numbers(state: &str) -> String {
    let mut plain = String::new();
    for c in state.chars() {
        if !c.is_ascii_digit() {
            plain.push(c);
        }
    }
    plain
}

/// One thing that goes wrong.
#[derive(Clone)]
struct Point {
    plan: usize,
    call: String,
    inject: String,
    kills: bool,
}

/// A random order that a seed gives again, xorshift.
fn shuffled(mut points: Vec<Point>, mut seed: u64) -> Vec<Point> {
    for at in (1..points.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        points.swap(at, (seed % (at as u64 + 1)) as usize);
    }
    points
}

/// A folder for traces and a store, that every user may write to.
fn folder(name: &str) -> PathBuf {
    let dir = scratch(name);
    fs::set_permissions(&dir, PermissionsExt::from_mode(0o1777)).unwrap();
    dir
}

/// What lies in a store, but for the contents of the roots and for the directories of runs.
fn stored(store: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for part in fs::read_dir(store).into_iter().flatten().flatten() {
        found.insert(part.path());
        if part.file_name() == "runs" {
            continue;
        }
        found.extend(
            fs::read_dir(part.path()).into_iter().flatten().flatten().map(|entry| entry.path()),
        );
    }
    found
}

/// Tries faults and kills, so many of each, and gives what was wrong.
fn tried(faults: usize, kills: usize, seed: u64) -> (usize, usize, Vec<String>) {
    let dir = folder("fault-points");
    let plans = plans();
    let (mut all_faults, mut all_kills) = (Vec::new(), Vec::new());
    let mut clean = Vec::new();
    let store = dir.join("store");
    for (index, plan) in plans.iter().enumerate() {
        let strace = ["-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=acct"];
        let run = ended(plan.command(&dir, &strace.map(str::to_owned), &marker()));
        clean.push(without_numbers(&run.stdout));
        for (call, calls) in plan.calls(&dir.join(format!("trace-{index}"))) {
            for number in 1..=calls.most {
                let hits_cmd = number > calls.of_child && number <= calls.of_child + calls.of_cmd;
                if hits_cmd || call == "exit_group" {
                    continue;
                }
                let point = |inject: String, kills| Point {
                    plan: index,
                    call: call.clone(),
                    inject,
                    kills,
                };
                // strace starts rustic with the first execve.
                let first_execve = call == "execve" && number == 1;
                if !first_execve {
                    all_kills.push(point(format!("signal=SIGKILL:when={number}"), true));
                }
                if first_execve || CANNOT_FAIL.contains(&call.as_str()) {
                    continue;
                }
                for errno in ERRNOS {
                    all_faults.push(point(format!("error={errno}:when={number}"), false));
                }
            }
        }
    }
    let kept = stored(&store);
    all_faults = shuffled(all_faults, seed);
    all_kills = shuffled(all_kills, seed ^ 0x5555);
    all_faults.truncate(faults);
    all_kills.truncate(kills);
    let counts = (all_faults.len(), all_kills.len());
    let points: Vec<Point> = all_faults.into_iter().chain(all_kills).collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let (plans, clean, points, dir) = (&plans, &clean, &points, &dir);
    let (next, wrong) = (&next, &wrong);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                // Each user can write a file of its own only.
                let trace = |uid| dir.join(format!("worker-{worker}-{uid}"));
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(what) = judged(
                        point,
                        &plans[point.plan],
                        &clean[point.plan],
                        &trace(plans[point.plan].uid),
                    ) {
                        wrong.lock().unwrap().push(format!(
                            "{}, {}:{}: {what}",
                            plans[point.plan].name, point.call, point.inject
                        ));
                    }
                }
            });
        }
    });
    let mut wrong = std::mem::take(&mut *wrong.lock().unwrap());
    let left: Vec<_> = stored(&store).difference(&kept).cloned().collect();
    if !left.is_empty() {
        wrong.push(format!("the store has more than before: {left:?}"));
    }
    (counts.0, counts.1, wrong)
}

fn judged(point: &Point, plan: &Plan, clean: &str, trace: &Path) -> Option<String> {
    let mark = marker();
    let Point { call, inject, kills, .. } = point;
    let strace = [
        "-f".to_owned(),
        "-qq".to_owned(),
        "-o".to_owned(),
        trace.to_str().unwrap().to_owned(),
        "--seccomp-bpf".to_owned(),
        "-e".to_owned(),
        format!("trace={call},mq_open,mkdirat"),
        "-s".to_owned(),
        "1000".to_owned(),
        "-e".to_owned(),
        format!("inject={call}:{inject}"),
    ];
    let folder = trace.parent().expect("a trace in the folder of the test");
    let run = ended(plan.command(folder, &strace, &mark));
    let said = format!("{} «{}» «{}»", run.code, run.stdout.trim(), run.stderr.trim());
    if run.hung {
        return Some(format!("hung: {said}"));
    }
    let since = Instant::now();
    while !processes(&mark).is_empty() {
        if since.elapsed() > LIMIT {
            return Some(format!("a process is left: {said}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // The queue that this run has made.
    let trace = fs::read_to_string(trace).unwrap_or_default();
    let made = trace.split("mq_open(\"").filter_map(|rest| rest.split('"').next());
    let made: BTreeSet<String> =
        made.filter(|name| !name.contains(' ')).map(str::to_owned).collect();
    // A queue that cannot be removed is named.
    let named = |queue: &String| {
        call == "mq_unlink" && run.stderr.contains(&format!("cannot remove message queue /{queue}"))
    };
    while made.intersection(&queues()).any(|queue| !named(queue)) {
        if since.elapsed() > LIMIT / 10 {
            return Some(format!("a queue is left: {said}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    for queue in made.intersection(&queues()) {
        let _ = nix::mqueue::mq_unlink(format!("/{queue}").as_str());
    }
    // A directory of this run. One that cannot be removed is named, and one that was left by a
    // killed warden and parent is swept by a later start.
    for entry in fs::read_dir(folder.join("store/runs")).into_iter().flatten().flatten() {
        let path = entry.path();
        let of_this_run = trace.contains(path.to_str().unwrap());
        if of_this_run && !*kills && !run.stderr.contains(path.to_str().unwrap()) {
            return Some(format!("{} is left: {said}", path.display()));
        }
    }
    let abort = EXCUSED.iter().any(|(calls, text)| {
        calls.contains(&call.as_str()) && run.stderr.contains(text) && !run.stdout.contains('\n')
    });
    if run.stderr.contains("panicked") && !abort {
        return Some(format!("panic: {said}"));
    }
    let shown = without_numbers(&run.stdout);
    let (whole, beginning) = (shown == *clean, clean.starts_with(&shown));
    let right = match run.code {
        // The write that fails may be the message's own, and CMD may be at work already.
        125..=127 => (run.stderr.contains("rustic: ") || call == "write") && beginning,
        // The signal's own code, of the parent or of the container.
        137 | -9 => *kills && beginning,
        134 | -6 => abort,
        code => code == plan.code && whole,
    };
    if right { None } else { Some(said) }
}

/// Tries so many of each in the order of a seed, and expects nothing to be wrong.
pub(crate) fn expect_nothing_wrong(faults: usize, kills: usize, seed: u64) -> (usize, usize) {
    let (faults, kills, wrong) = tried(faults, kills, seed);
    eprintln!("{faults} fault points and {kills} kill points, seed {seed}");
    assert_eq!(wrong, Vec::<String>::new(), "{} of them, seed {seed}", wrong.len());
    (faults, kills)
}

/// As many as fit into the part's time, others each day.
#[test]
fn every_call_may_fail_and_every_process_may_be_killed_at_every_call() {
    need!(root);
    let points = |name: &str, usual| {
        std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(usual)
    };
    let (faults, kills) = (points("RUSTIC_FAULTS", 6000), points("RUSTIC_KILLS", 2500));
    let (faults, kills) = expect_nothing_wrong(faults, kills, today());
    assert!(faults >= 3000 && kills >= 1500 || std::env::var_os("RUSTIC_FAULTS").is_some());
}

/// The control: calls that seem to succeed and do nothing leave out a wall, or leave a queue.
pub(crate) fn expect_what_is_missing_to_be_seen() {
    let dir = folder("fault-control");
    let plans = plans();
    for (number, call, inject, seen) in [
        (0, "getgroups", "retval=0:when=2000", None),
        (0, "sethostname", "retval=0", Some("0 «")),
        (0, "mount_setattr", "retval=0:when=2", Some("0 «")),
        (0, "mq_unlink", "retval=0", Some("a queue is left")),
        (3, "unlinkat", "retval=0", Some("is left")),
    ] {
        let plan = &plans[number];
        let strace = ["-o", "/dev/null"].map(str::to_owned);
        let clean = without_numbers(&ended(plan.command(&dir, &strace, "x")).stdout);
        let point = Point { plan: number, call: call.into(), inject: inject.into(), kills: false };
        let before = queues();
        let what = judged(&point, plan, &clean, &dir.join("trace"));
        match seen {
            None => assert_eq!(what, None, "{call}"),
            Some(seen) => {
                assert!(what.as_ref().is_some_and(|what| what.contains(seen)), "{call}: {what:?}");
            }
        }
        for left in queues().difference(&before) {
            // Another run's queue is not the control's.
            if fs::read_to_string(dir.join("trace")).unwrap().contains(left.as_str()) {
                nix::mqueue::mq_unlink(format!("/{left}").as_str()).unwrap();
            }
        }
    }
}

/// A seed that is another one tomorrow, unless `RUSTIC_SEED` asks for one again.
pub(crate) fn today() -> u64 {
    if let Some(seed) = std::env::var("RUSTIC_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return seed;
    }
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs() / 86400)
}
