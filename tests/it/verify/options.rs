//! The options of verify and those that it passes on, and what it prints for people.

use crate::judged::{report, verdicts, verify, walls, wrong};
use crate::need;
use crate::support::tree;
use std::fs;

#[test]
fn walls_can_be_chosen_explained_and_listed() {
    need!(root);
    let only = report(verify().opt(["--only", "ipc,net"])).1;
    assert_eq!(verdicts(&only).into_keys().collect::<Vec<_>>(), ["ipc", "net"]);
    let why = verify().opt(["--why", "ipc"]).ran().ok();
    for words in [
        "RV-IPC-01",
        "it crosses: the control",
        "mq_open(/rustic.",
        "ENOENT (No such file or directory)",
        "ipc_namespaces(7)",
        "ipc:[",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    let list = verify().opt(["--list"]).nobody().ran().ok();
    let (_, everything) = report(verify());
    let probes: Vec<_> = walls(&everything)
        .into_values()
        .flat_map(|wall| wall["probes"].as_array().unwrap())
        .collect();
    assert!(probes.len() >= 40);
    for probe in probes {
        let line =
            list.lines().find(|line| line.starts_with(probe["id"].as_str().unwrap())).unwrap();
        assert!(
            line.contains(probe["title"].as_str().unwrap())
                && line.contains(probe["effect"].as_str().unwrap()),
            "{line}"
        );
    }
}

#[test]
fn a_wrong_call_ends_with_2_and_names_what_is_wrong() {
    verify().opt(["--only", "mount"]).ran().fails(2, &["mount", "is called mnt"]);
    verify().opt(["--only", "door"]).ran().fails(2, &["door", "pid mnt root"]);
    verify().opt(["--ipc", "maybe"]).ran().fails(2, &["maybe"]);
    verify().opt(["--flip", "--why", "ipc"]).ran().fails(2, &["--why"]);
    verify().opt(["sh"]).ran().fails(2, &["sh"]);
    verify().opt(["--rootfs", "/nonexistent"]).ran().fails(2, &["/nonexistent"]);
    verify().opt(["--mount", "no", "--root", "pivot"]).ran().fails(2, &["--root pivot"]);
}

#[test]
fn the_rights_that_are_there_are_named_whatever_the_verdict_is() {
    need!(root);
    let remarks = |options: &[&str]| {
        let (code, report) = report(verify().opt(["--only", "user"]).opt(options.iter().copied()));
        (code, walls(&report)["user"]["remarks"].to_string())
    };
    let (code, some) = remarks(&["--caps", "syslog"]);
    assert!(code == 0 && some.contains("the machine there are: CAP_SYSLOG"), "{some}");
    let (code, none) = remarks(&["--caps", "none"]);
    assert!(code == 0 && none.contains("there is none"), "{none}");
    let (code, machine) = remarks(&["--user", "yes", "--caps", "all"]);
    assert!(code == 0 && machine.contains("there is none"), "{machine}");
}

#[test]
fn options_of_run_reach_the_container_that_is_verified() {
    need!(root);
    let directory = tree("verify-options");
    for file in ["hosts", "hostname", "resolv.conf"] {
        fs::write(directory.join("etc").join(file), "").unwrap();
    }
    let options = [
        "--rootfs",
        directory.to_str().unwrap(),
        "--read-only",
        "--uid",
        "1000",
        "--hostname",
        "box",
        "--tmpfs",
        "/tmp",
    ];
    let (code, report) = report(verify().opt(options));
    assert_eq!((code, wrong(&report)), (0, vec![]), "{report:#}");
    let argv: Vec<_> = report["target"]["argv"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    for word in [
        &format!("--rootfs={}", directory.display()),
        "--read-only",
        "--uid=1000",
        "--hostname=box",
        "--tmpfs=/tmp",
    ] {
        assert!(argv.contains(&word), "{word} in {argv:?}");
    }
    let uts = walls(&report)["uts"]["probes"].as_array().unwrap()[0].clone();
    assert_eq!(uts["inside"]["data"], "box");
}
