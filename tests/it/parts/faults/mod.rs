//! Every system call of parent, warden and child failing with every errno that is likely, and
//! SIGKILL at each of them. A run then either ends with one message and a documented code, or CMD
//! has exactly the walls of a clean run; nothing hangs, and nothing is left.

mod judged;
mod points;

use crate::need;
use crate::plans::{Plan, with_their_state};
use crate::support::{marker, queues, scratch};
use judged::{judged, without_numbers};
use points::{Point, Wrong, drawn};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

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

/// What CMD says of itself where nothing fails, without numbers: under `strace` with these options.
fn clean(plan: &Plan, dir: &Path, options: &[&str]) -> String {
    let run = plan.marked(&marker()).store(&dir.join("store"));
    let ran = run.under(["strace"]).under(options.iter().copied()).ran();
    without_numbers(&ran.stdout)
}

/// What was tried, and what was wrong of it.
struct Tried {
    faults: usize,
    kills: usize,
    wrong: Vec<String>,
}

/// Tries faults and kills, so many of each.
fn tried(faults: usize, kills: usize, seed: u64) -> Tried {
    let (dir, plans) = (folder("fault-points"), with_their_state());
    let (mut all_faults, mut all_kills, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for (number, plan) in plans.iter().enumerate() {
        let strace = ["-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=acct"];
        states.push(clean(plan, &dir, &strace));
        let (faults, kills) = points::of(number, plan, &dir.join(format!("trace-{number}")));
        all_faults.extend(faults);
        all_kills.extend(kills);
    }
    let kept = stored(&dir.join("store"));
    let faults = drawn(all_faults, faults, seed);
    let kills = drawn(all_kills, kills, seed ^ 0x5555);
    let mut wrong = wrong_of(faults.iter().chain(&kills), &plans, &states, &dir);
    let left: Vec<_> = stored(&dir.join("store")).difference(&kept).cloned().collect();
    if !left.is_empty() {
        wrong.push(format!("the store has more than before: {left:?}"));
    }
    Tried { faults: faults.len(), kills: kills.len(), wrong }
}

/// Tries the points, four at a time, and gives what was wrong.
fn wrong_of<'a>(
    points: impl Iterator<Item = &'a Point> + Send,
    plans: &[Plan],
    states: &[String],
    dir: &Path,
) -> Vec<String> {
    let (next, wrong) = (Mutex::new(points), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (next, wrong) = (&next, &wrong);
            scope.spawn(move || {
                loop {
                    let Some(point) = next.lock().unwrap().next() else { return };
                    let (number, plan) = (point.plan, &plans[point.plan]);
                    // A user can write to no other's file.
                    let trace = dir.join(format!("worker-{worker}-{number}"));
                    if let Some(what) = judged(point, plan, &states[number], &trace) {
                        let (call, how) = (&point.call, point.what.expression());
                        let told = format!("{}, {call}:{how}: {what}", plan.name);
                        wrong.lock().unwrap().push(told);
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

/// Tries so many of each in the order of a seed, and expects nothing to be wrong. Gives how many
/// faults and kills there were.
pub(crate) fn expect_nothing_wrong(faults: usize, kills: usize, seed: u64) -> (usize, usize) {
    let Tried { faults, kills, wrong } = tried(faults, kills, seed);
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
    let (dir, plans) = (folder("fault-control"), with_their_state());
    for (name, call, inject, seen) in [
        ("root, queue seen", "getgroups", "retval=0:when=2000", None),
        ("root, queue seen", "sethostname", "retval=0", Some("0 «")),
        ("root, queue seen", "mount_setattr", "retval=0:when=2", Some("0 «")),
        ("root, queue seen", "mq_unlink", "retval=0", Some("a queue is left")),
        ("root, no mounts", "unlinkat", "retval=0", Some("is left")),
    ] {
        let number = plans.iter().position(|plan| plan.name == name).unwrap();
        let plan = &plans[number];
        let state = clean(plan, &dir, &["-o", "/dev/null"]);
        let what = Wrong::Result(inject.into());
        let point = Point { plan: number, call: call.into(), what };
        let before = queues();
        let what = judged(&point, plan, &state, &dir.join("trace"));
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
