//! Containers that run already, judged by one of their processes.

use crate::judged::{report, verdicts, verify};
use crate::need;
use crate::support::{Rustic, days, end, eventually, sleeps, until_line};
use serde_json::Value;
use std::process::{Child, Command, Stdio};

/// What verify says of the container that a process is in.
#[track_caller]
fn judged(pid: i32, options: &[&str]) -> (i32, Value) {
    report(verify().opt(["--pid", &pid.to_string()]).opt(options.iter().copied()))
}

/// A launcher with a process that sleeps for days.
fn sleeping(words: &[&str], days: &[String; 2]) -> (Child, i32) {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args(["sleep", &days[0], &days[1]])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let mut pid = 0;
    eventually("the process that sleeps", || {
        let all = sleeps(days);
        let asleep = |pid: &&i32| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n")
        };
        pid = all.iter().find(asleep).copied().unwrap_or(0);
        pid != 0
    });
    (child, pid)
}

#[test]
fn a_container_that_runs_is_judged_by_one_of_its_processes() {
    need!(root);
    let walls = ["--only", "pid,mnt,uts,net,ipc,root"];
    let mut launcher = vec!["unshare", "-mpuinf", "--kill-child", "--mount-proc"];
    launcher.extend(["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]);
    let (child, pid) = sleeping(&launcher, &days());
    let (code, made) = judged(pid, &walls);
    end(child);
    let found = verdicts(&made);
    let told = ["pid", "mnt", "uts", "ipc", "net", "root"].map(|wall| found[wall]);
    assert_eq!(told, ["held", "held", "held", "held", "leaked", "leaked"], "{made:#}");
    assert_eq!((code, &made["target"]["kind"]), (1, &"process".into()));
    // The control: the same process without a launcher shares all of it.
    let (child, pid) = sleeping(&["env"], &days());
    let (_, open) = judged(pid, &walls);
    end(child);
    let namespaces = ["pid", "mnt", "uts", "net", "ipc"].map(|wall| verdicts(&open)[wall]);
    assert_eq!(namespaces, ["shared"; 5], "{open:#}");
}

#[test]
fn what_cannot_be_joined_is_not_tried_and_a_filter_is_told() {
    need!(root);
    let run = Rustic::run().sh("echo up; sleep 1000");
    let child = until_line(run.started(), "up");
    let inside = crate::support::children_of(child.id());
    let pid = inside.into_iter().flat_map(crate::support::children_of).next().unwrap() as i32;
    let (code, report) = judged(pid, &[]);
    end(child);
    let found = verdicts(&report);
    assert_eq!((code, found["pid"], found["root"], found["kernel"]), (3, "held", "held", "held"));
    for wall in ["fds", "keyring", "terminal"] {
        assert_eq!(found[wall], "unknown", "{report:#}");
    }
    // Without its filter a port of AF_VSOCK is reached, and of that nothing may be said.
    assert_eq!(found["net"], "unknown", "{report:#}");
    let notes = report["target"]["notes"].to_string();
    assert!(notes.contains("filter of system calls is not on the probe"), "{notes}");
    assert!(notes.contains("only read: it holds no file"), "{notes}");
}

#[test]
fn a_process_that_cannot_be_joined_is_named() {
    need!(root);
    let gone = i32::MAX.to_string();
    verify().opt(["--pid", &gone]).ran().fails(125, &["there is no process 2147483647"]);
    verify().opt([format!("--pid={gone}")]).ran().fails(125, &["there is no process 2147483647"]);
    verify().opt(["--pid", "2"]).ran().fails(125, &["process 2 is a thread of the kernel"]);
    verify().opt(["--process", "0"]).ran().fails(2, &["0 is not in"]);
    let both = ["--pid", "1", "--ipc", "no"];
    verify().opt(both).ran().fails(2, &["of rustic's own containers"]);
    // A word is an order about the namespace, as for run.
    let (code, report) = report(verify().opt(["--pid", "no", "--only", "pid"]));
    assert_eq!((code, verdicts(&report)["pid"]), (0, "shared"), "{report:#}");
}
