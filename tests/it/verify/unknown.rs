//! What verify cannot know it calls unknown, with the reason.

use super::schema::assert_schema;
use super::started_unread;
use crate::judged::{by, json, report, verdicts, verify, walls, wrong};
use crate::need;
use crate::support::{Rustic, binary, children_of, finish, scratch};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

#[test]
fn a_namespace_that_cannot_be_read_is_no_proof() {
    need!(root);
    // Without CAP_SYS_PTRACE the namespaces of another uid's process are hidden from the verifier
    // too.
    let options = ["--only", "mnt,uts", "--uid", "1000"];
    let (code, report) = by(&["setpriv", "--bounding-set=-sys_ptrace"], &options);
    assert_eq!(
        (code, verdicts(&report)["mnt"], verdicts(&report)["uts"]),
        (3, "unknown", "unknown"),
        "{report:#}"
    );
    // The control: who may read them knows.
    let (code, report) = by(&["env"], &options);
    assert_eq!(
        (code, verdicts(&report)["mnt"], verdicts(&report)["uts"]),
        (0, "held", "held"),
        "{report:#}"
    );
}

#[test]
fn a_right_that_the_caller_lacks_costs_what_needs_it_and_no_more() {
    need!(root);
    let without = |capability: &str, time: &str| {
        let options = ["--root", "pivot", "--caps", "none", "--time", time];
        let (code, report) = by(&["setpriv", &format!("--bounding-set=-{capability}")], &options);
        let time = verdicts(&report)["time"].to_owned();
        (code, wrong(&report).join(" "), time)
    };
    let shared = (0, String::new(), "shared".to_owned());
    assert_eq!(without("net_raw", "no"), shared);
    assert_eq!(without("sys_chroot", "no"), shared);
    // The stage's clocks cannot be set: that costs what is to hold, and not what is shared anyway.
    assert_eq!(without("sys_time", "no"), (0, String::new(), "unknown".to_owned()));
    assert_eq!(without("sys_time", "yes"), (3, "time".to_owned(), "unknown".to_owned()));
}

/// What each probe calls, when it is asked and answers.
fn calls(report: &Value) -> BTreeMap<String, String> {
    let probes = walls(report).into_values().flat_map(|wall| wall["probes"].as_array().unwrap());
    probes
        .map(|probe| {
            (
                probe["id"].as_str().unwrap().to_owned(),
                probe["inside"]["call"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn a_probe_that_stops_leaves_the_rest_unknown_and_no_answer_is_taken_for_another() {
    need!(root);
    let (_, whole) = report(verify());
    for round in 0..20 {
        let child = started_unread(&verify().opt(["--json"]));
        // The third is that of the container which is verified: the controls come first.
        let mut probes = BTreeSet::new();
        while probes.len() < 3
            && Path::new("/proc").join(child.id().to_string()).join("ns/pid").exists()
        {
            probes.extend(probes_below(child.id()));
        }
        if let Some(pid) = probes
            .iter()
            .next_back()
            .and_then(|pid| rustix::process::Pid::from_raw(*pid))
            .filter(|_| probes.len() == 3)
        {
            // When it tries crossings it has said hello, which is waited for much longer.
            std::thread::sleep(Duration::from_millis(5 + round * 3));
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::STOP);
        }
        let ran = finish(child);
        let stopped = json(&ran);
        if !ran.stdout.contains("silence") {
            continue;
        }
        assert_eq!(ran.code, 3, "{stopped:#}");
        for (id, call) in calls(&stopped) {
            assert!(call == "-" || call == calls(&whole)[&id], "{id} is judged by {call}");
        }
        let asked = |wall: &str| walls(&stopped)[wall]["verdict"] != "unknown";
        assert!(
            asked("pid") || !asked("keyring"),
            "what was asked last is known first: {stopped:#}"
        );
        let silent = ["keyring", "terminal", "kernel", "devices"].map(asked);
        assert!(silent.contains(&false), "the last walls were not asked any more: {stopped:#}");
        return;
    }
    panic!("it was never stopped in time");
}

/// The probes among the processes below one.
fn probes_below(pid: u32) -> Vec<i32> {
    let children = children_of(pid);
    let is_probe = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.starts_with(b"rustic-probe\0"))
    };
    let own = children.iter().filter(|pid| is_probe(pid)).map(|pid| *pid as i32);
    own.chain(children.iter().filter(|pid| !is_probe(pid)).flat_map(|pid| probes_below(*pid)))
        .collect()
}

#[test]
fn without_user_namespaces_nothing_is_held_and_the_limit_is_named() {
    need!(root);
    let script = "echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all,+setuid,+setgid,+setfcap \"$@\"";
    let words = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"];
    let (code, report) = by(&words, &["--user", "yes"]);
    assert_eq!(code, 3);
    assert!(verdicts(&report).values().all(|verdict| *verdict == "unknown"), "{report:#}");
    for wall in walls(&report).values() {
        assert!(
            wall["because"].as_str().unwrap().contains("user.max_user_namespaces is 0"),
            "{wall}"
        );
    }
    assert_schema(&report);
}

#[test]
fn it_works_inside_a_container_and_says_what_it_cannot_do_there() {
    need!(root);
    let inside = |outer: &[&str], words: &[&str]| {
        let bind = format!("{}:/rustic", binary().display());
        let run = Rustic::run().opt(outer.iter().copied()).opt([
            "--bind",
            bind.as_str(),
            "/rustic",
            "verify",
            "--json",
        ]);
        let ran = run.opt(words.iter().copied()).ran();
        (ran.code, json(&ran))
    };
    // With every right, all but the cgroup: inside a cgroup namespace its path is /, and there is
    // no tree to make another in.
    let (code, report) = inside(&["--caps", "all", "--seccomp", "none"], &[]);
    assert_eq!((code, wrong(&report)), (3, vec!["cgroup"]), "{report:#}");
    assert!(
        walls(&report)["cgroup"]["because"].as_str().unwrap().contains("no other can be made here"),
        "{report:#}"
    );
    // With the rights of a container, in a user namespace; the filter around it refuses keys and
    // TIOCSTI to the control too.
    let nest = ["--nest", "yes", "--proc", "open"];
    let (code, report) = inside(&nest, &["--user", "yes"]);
    assert_eq!(
        (code, wrong(&report)),
        (3, vec!["cgroup", "devices", "keyring", "terminal"]),
        "{report:#}"
    );
    assert!(
        walls(&report)["keyring"]["because"].as_str().unwrap().contains("Function not implemented"),
        "{report:#}"
    );
    // Without an order to nest there is no user namespace, and no verdict.
    let (code, report) = inside(&[], &["--user", "yes"]);
    assert_eq!((code, wrong(&report).len()), (3, 13));
    let because = walls(&report)["pid"]["because"].as_str().unwrap().to_owned();
    assert!(because.contains("EPERM") && because.contains("--nest yes"), "{because}");
    // Behind a chroot the kernel makes no user namespace, user_namespaces(7).
    let (code, report) = inside(&["--root", "chroot"], &["--user", "yes"]);
    assert_eq!((code, wrong(&report).len()), (3, 13));
    assert!(
        walls(&report)["pid"]["because"]
            .as_str()
            .unwrap()
            .contains("unshare(CLONE_NEWUSER): EPERM"),
        "{report:#}"
    );
}

#[test]
fn a_container_that_cannot_start_leaves_every_wall_unknown_with_its_error() {
    need!(root);
    let file = scratch("verify-broken").join("broken.tar");
    fs::write(&file, "no archive").unwrap();
    let (code, report) = report(verify().opt(["--rootfs", file.to_str().unwrap()]));
    assert_eq!(code, 3);
    for wall in walls(&report).values() {
        assert!(wall["because"].as_str().unwrap().contains("broken.tar"), "{wall}");
    }
}
