//! The points at which something can go wrong in a plan: which calls its processes make, and how
//! each may fail.

use crate::plans::Plan;
use crate::support::marker;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What the kernel may answer to a call that is right.
const ERRNOS: [&str; 9] =
    ["ENOMEM", "EINTR", "EAGAIN", "EPERM", "EMFILE", "EIO", "ENOSPC", "EBUSY", "ENOSYS"];

/// What the kernel refuses only where the arguments are wrong: the runtime and libraries of Rust
/// take no error of these, and start no program that gets one.
const CANNOT_FAIL: [&str; 19] = [
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
    "uname",
];

/// One thing that goes wrong.
#[derive(Clone)]
pub(super) struct Point {
    /// The plan, by its place in the list.
    pub(super) plan: usize,
    pub(super) call: String,
    pub(super) what: Wrong,
}

/// What goes wrong at a call, as strace is told it.
#[derive(Clone)]
pub(super) enum Wrong {
    /// It has another result.
    Result(String),
    /// SIGKILL comes.
    Kill(String),
}

impl Wrong {
    pub(super) fn expression(&self) -> &str {
        match self {
            Wrong::Result(expression) | Wrong::Kill(expression) => expression,
        }
    }
}

/// Every fault and every kill of a plan. The trace is written to a file, and the store is beside
/// it.
pub(super) fn of(number: usize, plan: &Plan, trace: &Path) -> (Vec<Point>, Vec<Point>) {
    let (mut faults, mut kills) = (Vec::new(), Vec::new());
    for (call, calls) in calls(plan, trace) {
        let point = |what| Point { plan: number, call: call.clone(), what };
        for time in 1..=calls.most {
            let hits_cmd = time > calls.of_child && time <= calls.of_child + calls.of_cmd;
            if hits_cmd || call == "exit_group" {
                continue;
            }
            // strace starts rustic with the first execve.
            let first_execve = call == "execve" && time == 1;
            if !first_execve {
                kills.push(point(Wrong::Kill(format!("signal=SIGKILL:when={time}"))));
            }
            if first_execve || CANNOT_FAIL.contains(&call.as_str()) {
                continue;
            }
            let fails = |errno| point(Wrong::Result(format!("error={errno}:when={time}")));
            faults.extend(ERRNOS.map(fails));
        }
    }
    (faults, kills)
}

/// So many of the points, in a random order that a seed gives again, xorshift.
pub(super) fn drawn(mut points: Vec<Point>, count: usize, mut seed: u64) -> Vec<Point> {
    for at in (1..points.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        points.swap(at, (seed % (at as u64 + 1)) as usize);
    }
    points.truncate(count);
    points
}

/// How often a call is made: strace counts for each process, and CMD is the process of the child.
#[derive(Default)]
struct Calls {
    /// By the process that makes most of them, without CMD.
    most: usize,
    of_child: usize,
    of_cmd: usize,
}

/// How often the processes call what before CMD takes the child's place.
fn calls(plan: &Plan, trace: &Path) -> BTreeMap<String, Calls> {
    let folder = trace.parent().expect("a trace in the folder of the test");
    let strace = ["strace", "-f", "-qq", "-o", trace.to_str().unwrap()];
    let ran = plan.marked(&marker()).store(&folder.join("store")).under(strace).ran();
    assert!(plan.is_clean(&ran), "{ran:?}");
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
        if name == "execve" && arguments.starts_with(&format!("\"{}\", ", plan.cmd)) {
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
