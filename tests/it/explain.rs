//! `--dry-run` prints what `--explain` says as it happens, and both say what strace sees.

use crate::need;
use crate::support::{
    Rustic, binary, children_of, marker, payload, processes, queues, scratch, store, traced, tree,
    unique,
};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};

/// Sides and their steps, with the random names left out: `child` → calls in order.
fn steps(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut sides = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (number, side) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if number.parse::<u32>().is_ok() && ["parent", "warden", "builder", "child"].contains(&side)
        {
            sides
                .entry(side.into())
                .or_default()
                .push(without_random(&words.collect::<Vec<_>>().join(" ")));
        }
    }
    sides
}

/// Nor an id of a range, whose pipes may become.
fn without_random(text: &str) -> String {
    if let Some((whose, _)) = text.strip_prefix("fchown(").and_then(|rest| rest.split_once(", ")) {
        return format!("fchown({whose}, …)");
    }
    let mut plain = text.to_owned();
    for prefix in ["/rustic.", "rustic-run-"] {
        while let Some(at) = plain
            .find(prefix)
            .map(|at| at + prefix.len())
            .filter(|&at| plain.as_bytes().get(at).is_some_and(u8::is_ascii_alphanumeric))
        {
            let end = plain[at..]
                .find(|c: char| !c.is_ascii_alphanumeric())
                .map_or(plain.len(), |end| at + end);
            plain.replace_range(at..end, "…");
        }
    }
    plain
}

/// A process in a network namespace of its own, which ends with this.
struct OtherNetwork(Child);

impl OtherNetwork {
    fn start() -> Self {
        Self(Rustic::run().ns("user", "no").sh("echo up; read end").started_until("up"))
    }

    /// The file of its namespace.
    fn file(&self) -> String {
        format!("/proc/{}/ns/net", children_of(children_of(self.0.id())[0])[0])
    }
}

impl Drop for OtherNetwork {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Sets of options whose plans differ.
fn variants(other: &OtherNetwork) -> Vec<Vec<String>> {
    let joined = other.file();
    let (root, bind) = (tree("explain"), format!("{}:/mnt/payload", payload().display()));
    let root = root.to_str().unwrap();
    let sets: Vec<Vec<&str>> = vec![
        vec![],
        vec!["--ipc", "no"],
        vec!["--user", "yes"],
        vec!["--user", "yes", "--pid", "no", "--net", "no"],
        vec!["--mount", "no"],
        vec!["--root", "chroot", "--uts", "no", "--net", "no"],
        vec!["--uid", "1000"],
        vec!["--uid", "1000", "--caps", "CAP_NET_RAW,CAP_CHOWN"],
        vec!["--caps", "none", "--seccomp", "none", "--ready", "none"],
        vec!["--caps", "all"],
        vec!["--rootfs", root, "--bind", "/etc:/mnt/etc:ro", "--tmpfs", "/run"],
        vec!["--rootfs", root, "--ephemeral", "--time", "yes"],
        vec!["--ready", "app", "--ipc", "no", "--bind", &bind],
        vec!["--ready", "app"],
        vec!["--init"],
        vec!["--net", &joined],
        vec!["--net", &joined, "--user", "yes"],
    ];
    sets.into_iter().map(|set| set.into_iter().map(str::to_owned).collect()).collect()
}

/// A CMD that every variant has.
fn command(options: &[String]) -> Vec<&'static str> {
    let has = |word: &str| options.contains(&word.to_owned());
    match (has("--rootfs"), has("app"), has("--bind")) {
        (true, _, _) => vec!["payload", "true"],
        (_, true, true) => vec!["sh", "-c", "/mnt/payload ready-queue >/dev/null"],
        (_, true, false) => vec!["sh", "-c", "echo >&$RUSTIC_READY_FD"],
        _ => vec!["true"],
    }
}

#[test]
fn a_dry_run_prints_the_steps_that_the_run_then_explains() {
    need!(root);
    let other = OtherNetwork::start();
    for nobody in [false, true] {
        for options in variants(&other) {
            let run = || if nobody { Rustic::run().nobody() } else { Rustic::run() };
            // A plain user has no second id, cannot make mount targets in the tree, which is root's,
            // and cannot join a namespace of root's.
            let roots = |word: &String| ["--uid", "--rootfs"].contains(&word.as_str());
            if nobody && options.iter().any(|word| roots(word) || word.starts_with("/proc/")) {
                continue;
            }
            let dry = run().opt(options.clone()).opt(["--dry-run"]).opt(command(&options)).ran();
            let explained =
                run().opt(options.clone()).opt(["--explain"]).opt(command(&options)).ran();
            assert_eq!(
                (dry.code, dry.stderr.as_str(), explained.code),
                (0, "", 0),
                "{options:?}: {dry:?} {explained:?}"
            );
            assert_eq!(
                steps(&dry.stdout),
                steps(&explained.stderr),
                "nobody: {nobody}, {options:?}"
            );
            assert!(steps(&dry.stdout)["child"].len() > 10);
            assert_eq!(explained.stdout, "");
        }
    }
}

#[test]
fn a_dry_run_does_nothing() {
    need!(root);
    // Other tests make queues meanwhile: this run's has a name of its own.
    let (store, queue) = (scratch("dry").join("store"), format!("dry-{}", unique()));
    let mark = marker();
    let ran = Rustic::run()
        .env("RUSTIC_QUEUE_NAME", &queue)
        .opt([
            "--store",
            store.to_str().unwrap(),
            "--dry-run",
            "--ipc",
            "no",
            "sh",
            "-c",
            &format!("echo done; : {mark}"),
        ])
        .ran();
    assert!(
        ran.code == 0 && ran.stdout.contains("execve(sh)") && !ran.stdout.contains("done"),
        "{ran:?}"
    );
    assert!(!store.exists());
    assert!(
        ran.stdout.contains(&format!("/rustic.{queue}"))
            && !queues().contains(&format!("rustic.{queue}"))
    );
    assert!(processes(&mark).is_empty());
    Rustic::run().opt(["--dry-run", "--hostname", "two words"]).ran().fails(125, &["two words"]);
    Rustic::run()
        .opt(["--dry-run", "--rootfs", "/etc/passwd"])
        .ran()
        .fails(125, &["not a root file system"]);
    Rustic::run().opt(["--dry-run", "--info-fd", "77"]).ran().fails(125, &["--info-fd 77"]);
    Rustic::run().nobody().opt(["--dry-run", "--user", "no"]).ran().fails(125, &["CAP_SYS_ADMIN"]);
}

/// The calls that are compared; of prctl its first argument.
const SET: [&str; 24] = [
    "clone3",
    "unshare",
    "setns",
    "mount",
    "umount2",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "sethostname",
    "setgroups",
    "setresgid",
    "setresuid",
    "capset",
    "keyctl",
    "seccomp",
    "mq_open",
    "mq_timedsend",
    "mq_unlink",
];
const PRCTL: [&str; 4] =
    ["PR_CAPBSET_DROP", "PR_CAP_AMBIENT", "PR_SET_KEEPCAPS", "PR_SET_NO_NEW_PRIVS"];

/// The calls of the set in a line, in order.
fn calls(line: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in line.match_indices('(') {
        let name = &line[line[..at].rfind(|c| !word(c)).map_or(0, |start| start + 1)..at];
        let argument = line[at + 1..].split(|c| !word(c)).next().unwrap_or_default();
        if SET.contains(&name) || ["execve", "execveat", "mq_timedreceive"].contains(&name) {
            found.push(name.to_owned());
        } else if name == "prctl"
            && PRCTL.contains(&argument)
            && !line.contains("PR_CAP_AMBIENT_IS_SET")
        {
            found.push(format!("prctl {argument}"));
        }
    }
    found
}

/// Repetitions stand for one: of a call (options, capabilities, the places of PATH), and of up to
/// three in a row (a mask for each path that is hidden).
fn collapsed(mut calls: Vec<String>) -> Vec<String> {
    for length in 1..=3 {
        let mut at = 0;
        while at + 2 * length <= calls.len() {
            if calls[at..at + length] == calls[at + length..at + 2 * length] {
                calls.drain(at..at + length);
            } else {
                at += 1;
            }
        }
    }
    calls
}

#[test]
fn what_is_said_is_what_strace_sees() {
    need!(root);
    let other = OtherNetwork::start();
    for options in variants(&other) {
        let trace = scratch("trace").join("trace");
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-e", "signal=none", "-o"])
            .arg(&trace)
            .arg(binary())
            .arg("run")
            .args(&options)
            .arg("--explain")
            .args(command(&options));
        let output = strace.env("RUSTIC_STORE", store()).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{options:?}: {output:?}");
        let said = steps(&String::from_utf8_lossy(&output.stderr));

        // Who is who: the first pid is the parent; who calls clone3 is the warden, or who joins or
        // builds for it; whom that makes last is the child.
        let trace = traced(&fs::read_to_string(&trace).unwrap());
        let parent = trace.first().map(|(pid, _)| pid.clone()).unwrap();
        let (warden, answer) =
            trace.iter().find(|(_, call)| call.starts_with("clone3(")).cloned().unwrap();
        let mut mine =
            trace.iter().filter(|(pid, call)| *pid == warden && call.starts_with("clone3("));
        let answer = mine.next_back().map_or(&answer, |(_, call)| call);
        let child = answer.rsplit_once("= ").unwrap().1.trim().to_owned();
        let mut seen = BTreeMap::<String, Vec<String>>::new();
        for (pid, call) in trace {
            // The first call only: what an argument is called is no call.
            let head = call.split_once('"').map_or(call.as_str(), |(head, _)| head);
            seen.entry(pid).or_default().extend(calls(head).into_iter().take(1));
        }
        let mut seen_of = |pid: &str| collapsed(seen.remove(pid).unwrap_or_default());
        let said_of = |side: &str| {
            collapsed(said.get(side).into_iter().flatten().flat_map(|step| calls(step)).collect())
        };
        let (parent, warden, child) = (seen_of(&parent), seen_of(&warden), seen_of(&child));
        assert_eq!(
            parent.split_first().map(|(_, rest)| rest.to_vec()),
            Some(said_of("parent")),
            "{options:?}: parent, after its own execve"
        );
        let mut expected = said_of("warden");
        expected.splice(expected.len() - 1..expected.len() - 1, said_of("builder"));
        assert_eq!(warden, collapsed(expected), "{options:?}: warden");
        // What CMD calls comes after its execve.
        let last = child.iter().position(|call| call.starts_with("execve")).unwrap();
        let expected = said_of("child");
        let upto = expected.iter().position(|call| call.starts_with("execve")).unwrap();
        assert_eq!(child[..=last], expected[..=upto], "{options:?}: child");
    }
}
