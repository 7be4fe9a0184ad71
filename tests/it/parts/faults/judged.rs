//! How a run ended in which something went wrong: whether it had to end so, and what is left of it.

use super::points::{Point, Wrong};
use crate::plans::Plan;
use crate::support::{Ran, finish_within, marker, processes, queues};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

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

/// What is wrong with a run where a point goes wrong; nothing, if it ended as it may. `clean` is
/// what CMD says of itself where nothing goes wrong.
pub(super) fn judged(point: &Point, plan: &Plan, clean: &str, trace: &Path) -> Option<String> {
    let mark = marker();
    let (call, inject) = (&point.call, point.what.expression());
    let filter = format!("trace={call},mq_open,mkdirat");
    let inject = format!("inject={call}:{inject}");
    let folder = trace.parent().expect("a trace in the folder of the test");
    let trace = trace.to_str().unwrap();
    let strace = ["strace", "-f", "-qq", "-o", trace, "--seccomp-bpf", "-e", &filter];
    let store = folder.join("store");
    let run = plan.marked(&mark).store(&store).under(strace).under(["-s", "1000", "-e", &inject]);
    let (ran, wrong) = match finish_within(run.started(), LIMIT) {
        Err(ran) => (ran, Some("hung".into())),
        Ok(ran) => {
            let trace = fs::read_to_string(trace).unwrap_or_default();
            let left = left(point, &ran, &mark, &trace, &store);
            let wrong = left.or_else(|| wrong_end(point, plan, clean, &ran));
            (ran, wrong)
        }
    };
    let said = format!("{} «{}» «{}»", ran.code, ran.stdout.trim(), ran.stderr.trim());
    wrong.map(|what| format!("{what}: {said}"))
}

/// What is left of a run that has ended: a process, a queue or a directory of its own.
fn left(point: &Point, ran: &Ran, mark: &str, trace: &str, store: &Path) -> Option<String> {
    let since = Instant::now();
    while !processes(mark).is_empty() {
        if since.elapsed() > LIMIT {
            return Some("a process is left".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    left_queue(point, ran, trace, since).or_else(|| left_directory(point, ran, trace, store))
}

/// A queue that the run has made.
fn left_queue(point: &Point, ran: &Ran, trace: &str, since: Instant) -> Option<String> {
    let made = trace.split("mq_open(\"").filter_map(|rest| rest.split('"').next());
    let made: BTreeSet<String> =
        made.filter(|name| !name.contains(' ')).map(str::to_owned).collect();
    // A queue that cannot be removed is named.
    let named = |queue: &String| {
        point.call == "mq_unlink"
            && ran.stderr.contains(&format!("cannot remove message queue /{queue}"))
    };
    while made.intersection(&queues()).any(|queue| !named(queue)) {
        if since.elapsed() > LIMIT / 10 {
            return Some("a queue is left".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    for queue in made.intersection(&queues()) {
        let _ = nix::mqueue::mq_unlink(format!("/{queue}").as_str());
    }
    None
}

/// A directory of the run. One that cannot be removed is named, and one that was left by a killed
/// warden and parent is swept by a later start.
fn left_directory(point: &Point, ran: &Ran, trace: &str, store: &Path) -> Option<String> {
    let runs = fs::read_dir(store.join("runs")).into_iter().flatten().flatten();
    let paths = runs.map(|entry| entry.path().display().to_string());
    // One of an earlier run is looked at too, when it is swept.
    let made =
        |path: &String| trace.lines().any(|line| line.contains("mkdir") && line.contains(path));
    let of_this_run = |path: &String| made(path) && !ran.stderr.contains(path);
    match point.what {
        Wrong::Kill(_) => None,
        Wrong::Result(_) => paths.filter(of_this_run).map(|path| format!("{path} is left")).next(),
    }
}

/// Whether the exit code and what was said do not belong together, or not to what went wrong.
fn wrong_end(point: &Point, plan: &Plan, clean: &str, ran: &Ran) -> Option<String> {
    let call = point.call.as_str();
    let abort = EXCUSED.iter().any(|(calls, text)| {
        calls.contains(&call) && ran.stderr.contains(text) && !ran.stdout.contains('\n')
    });
    if ran.stderr.contains("panicked") && !abort {
        return Some("panic".into());
    }
    let shown = without_numbers(&ran.stdout);
    // An image that the kernel does not show with other owners is copied: its root is no overlay.
    let is_copied = call == "mount_setattr" && without_root(&shown) == without_root(clean);
    let (whole, beginning) = (shown == *clean || is_copied, clean.starts_with(&shown));
    let right = match ran.code {
        // The write that fails may be the message's own, and CMD may be at work already.
        125..=127 => (ran.stderr.contains("rustic: ") || call == "write") && beginning,
        // The signal's own code, of the parent or of the container.
        137 | -9 => matches!(point.what, Wrong::Kill(_)) && beginning,
        134 | -6 => abort,
        // musl has no memory for the first thread, before there is a program.
        139 | -11 => call == "mmap" && ran.stderr.is_empty() && ran.stdout.is_empty(),
        _ => plan.is_clean(ran) && whole,
    };
    if right { None } else { Some("a wrong end".into()) }
}

/// Numbers that differ from run to run.
pub(super) fn without_numbers(state: &str) -> String {
    state.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// What was seen of a state, but for the mount of the root.
fn without_root(state: &str) -> Vec<&str> {
    state.lines().filter(|line| !line.starts_with("/ ")).collect()
}
