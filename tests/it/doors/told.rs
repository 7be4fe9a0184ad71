//! How a door, a leak or a failure is told, and which exit code it has.

use crate::judged::{conclusion, report, verify, walls, wrong};
use crate::need;
use crate::support::{scratch, unfolded};
use serde_json::Value;

#[test]
fn what_is_expected_decides_in_place_of_what_was_ordered() {
    need!(root);
    let expected = |options: &[&str]| {
        let (code, report) = report(verify().opt(options.iter().copied()));
        (code, wrong(&report).join(" "))
    };
    let none = ["--only", "keyring,uts", "--seccomp", "none"];
    let with = |expect: &'static str| [none.as_slice(), &["--expect", expect]].concat();
    assert_eq!(expected(&none), (0, String::new()));
    assert_eq!(expected(&with("keyring=held")), (1, "keyring".into()));
    assert_eq!(expected(&with("keyring=shared,uts=held")), (0, String::new()));
    assert_eq!(expected(&with("uts=shared")), (1, "uts".into()));
    assert_eq!(expected(&with("uts=unknown")), (1, "uts".into()));
    // What is expected to be unknown may be.
    let fails = |expect: &str| {
        let verify = verify().opt(["--only", "net", "--expect", expect]);
        report(verify.env("RUSTIC_FAIL_CONTROL", "RV-NET-02")).0
    };
    assert_eq!(fails("net=held"), 3);
    for (wrong, words) in [
        ("net", "WALL=VERDICT"),
        ("net=open", "held shared leaked unknown"),
        ("door=held", "no such wall"),
    ] {
        verify().opt(["--expect", wrong]).ran().fails(2, &[wrong, words]);
    }
    let untried = verify().opt(["--only", "pid", "--expect", "net=held"]).ran();
    untried.fails(2, &["--expect net", "not tried"]);
}

#[test]
fn a_leak_is_told_with_how_to_mend_it() {
    need!(root);
    let (code, leaking) = report(verify().opt(["--only", "fds"]).env("RUSTIC_LEAK", "descriptor"));
    let fds = walls(&leaking)["fds"];
    assert_eq!((code, fds["verdict"].as_str()), (1, Some("leaked")));
    assert!(fds["fix"].as_str().unwrap().contains("close_range(2)"), "{fds:#}");
    let table = verify().opt(["--only", "fds"]).env("RUSTIC_LEAK", "descriptor").ran();
    assert!(unfolded(&table.stdout).contains("fix close_range(2)"), "{table:?}");
    let (_, tight) = report(verify().opt(["--only", "fds"]));
    assert_eq!(walls(&tight)["fds"]["fix"], Value::Null);
}

#[test]
fn what_was_not_tried_is_not_called_as_ordered() {
    need!(root);
    let last = |options: &[&str]| {
        let ran = verify().opt(options.iter().copied()).ran();
        (ran.code, conclusion(&ran.stdout))
    };
    let (code, said) = last(&["--only", "ipc"]);
    assert_eq!(
        (code, said.as_str()),
        (0, "Every wall that was tried is as ordered. 1 of 14 walls was tried.")
    );
    // Nothing tried is never 0: here no control crosses, since the caller has nothing to lose.
    let weak = verify().under(["setpriv", "--bounding-set=-sys_time", "--reuid=0"]);
    let ran = weak.opt(["--only", "time"]).ran();
    assert_eq!(ran.code, 3, "{ran:?}");
}

#[test]
fn a_start_that_fails_is_told_with_its_cause() {
    need!(root);
    let (_, broken) = report_of_a_broken_root();
    let because = walls(&broken)["root"]["because"].as_str().unwrap().to_owned();
    assert!(because.contains("/etc/hosts: EROFS"), "{because}");
    assert!(because.contains("try   --ephemeral"), "{because}");
}

/// A directory that lacks a mount target, where nothing may be made.
fn report_of_a_broken_root() -> (i32, Value) {
    let root = scratch("doors-broken");
    report(verify().opt(["--only", "root", "--read-only", "--rootfs", root.to_str().unwrap()]))
}
