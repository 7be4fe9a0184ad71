//! What stands between verify and its probe: launchers that pass everything on, that chatter, that
//! change what passes, that start nothing, or answer themselves.

use super::{because, judged, with};
use crate::judged::{verdicts, verify};
use crate::need;
use crate::support::days;
use std::collections::BTreeSet;

const OPEN: [&str; 5] = ["sh", "-c", "exec \"$@\"", "x", "{probe}"];

#[test]
fn a_launcher_without_walls_has_none_that_holds() {
    need!(root);
    let (code, report) = judged(&[], &OPEN);
    assert_eq!(code, 1, "{report:#}");
    let found = verdicts(&report);
    let words: BTreeSet<&str> = found.values().copied().collect();
    assert_eq!((found.len(), words), (14, ["leaked", "shared"].into()), "{found:?}");
    // What nobody orders of root, and of time, is no fault.
    let (code, _) = judged(&["--only", "time,user"], &OPEN);
    assert_eq!(code, 0);
    let (code, _) = judged(&["--only", "time,user", "--expect", "time=held"], &OPEN);
    assert_eq!(code, 1);
}

#[test]
fn chatter_is_kept_and_shown_and_disturbs_nothing() {
    need!(root);
    let script = "echo one; printf '@two three'; exec \"$@\"";
    let launcher = ["sh", "-c", script, "x", "{probe}"];
    let (code, report) = judged(&["--only", "uts"], &launcher);
    assert_eq!((code, verdicts(&report)["uts"]), (1, "shared"), "{report:#}");
    assert_eq!(report["target"]["chatter"], serde_json::json!(["one", "@two three"]));
    let words = ["--only", "uts", "--"].into_iter().chain(launcher);
    let table = verify().opt(words).ran();
    assert!(table.stdout.contains("it said: one\n"), "{table:?}");
}

#[test]
fn a_launcher_that_passes_a_terminal_is_judged_too() {
    need!(root);
    for tty in [&["--only", "uts,ipc"][..], &["--only", "uts,ipc", "--tty"]] {
        let (code, report) = judged(tty, &["script", "-qec", "exec {probe}", "/dev/null"]);
        let found = verdicts(&report);
        assert_eq!((code, found["uts"], found["ipc"]), (1, "shared", "shared"), "{report:#}");
    }
}

/// A launcher, and what is said of it in place of a verdict.
const WRONG: [(&[&str], &str); 9] = [
    (&["true", "{nonce}"], "true: nothing has come from the probe: it has ended with 0"),
    (&["sh", "-c", "echo oh no >&2; exit 7 # {probe}"], "ended with 7, and said: oh no"),
    (&["sh", "-c", "kill -9 $$ # {probe}"], "signal 9 has ended it"),
    (&["sh", "-c", "{probe}; {probe}"], "the probe was started twice"),
    (&["sh", "-c", "{probe} & {probe}"], "the probe was started twice"),
    (&["sh", "-c", "{probe} | sed -u s/number/nvmber/"], "is changed on its way"),
    (&["sh", "-c", "sed -u s/number/nvmber/ | {probe}"], "is changed on its way"),
    (&["sh", "-c", "sleep 1000 | {probe} & cat >/dev/null"], "what it is asked does not reach it"),
    (&["/no/such/launcher", "{probe}"], "/no/such/launcher: there is no such program"),
];

#[test]
fn what_a_launcher_does_wrong_is_named_and_nothing_is_held() {
    need!(root);
    for (launcher, told) in WRONG {
        let (code, report) = judged(&["--only", "uts,ipc"], launcher);
        let reason = because(&report);
        assert!(code == 3 && reason.contains(told), "{launcher:?}: {code} {reason}");
        assert!(verdicts(&report).values().all(|verdict| *verdict == "unknown"), "{report:#}");
    }
}

/// It says what a probe says first, under a nonce that it was given, and is none.
const IMPOSTOR: &str = r#"
import sys, zlib
nonce = sys.argv[-1]
hello = b"rustic-probe 1 %d" % NUMBER
sys.stdout.write("\n@%s< %08x %s\n" % (nonce, zlib.crc32(hello), hello.decode()))
sys.stdout.flush()
sys.stdin.read()
"#;

#[test]
fn who_answers_for_the_probe_is_named() {
    need!(root);
    let other = IMPOSTOR.replace("NUMBER", "1000000");
    let (code, report) = judged(&[], &["python3", "-c", &other, "{probe}"]);
    assert!(code == 3 && because(&report).contains("no probe that runs"), "{report:#}");
    let itself = IMPOSTOR.replace("NUMBER", "__import__('os').getpid()");
    let (code, report) = judged(&[], &["python3", "-c", &itself, "{probe}"]);
    let reason = because(&report);
    assert!(code == 3 && reason.contains("answers for the probe, and is /"), "{reason}");
}

#[test]
fn what_a_launcher_leaves_running_ends_with_it() {
    need!(root);
    let days = days();
    let script = format!("sleep {} {} & exec {{probe}}", days[0], days[1]);
    let (code, _) = judged(&["--only", "uts"], &["sh", "-c", &script]);
    assert_eq!(code, 1);
    crate::support::eventually("the end of what was left", || {
        crate::support::sleeps(&days).is_empty()
    });
}

#[test]
fn a_launcher_is_told_of_no_option_of_rustics_own_containers() {
    need!(root);
    for (options, told) in [
        (&["--ipc", "no", "--", "unshare", "{probe}"][..], "of rustic's own containers"),
        (&["--with", "unshare", "--caps", "all"], "of rustic's own containers"),
        (&["--", "unshare", "-m"], "not told to start {probe}"),
        (&["--with", "unshar"], "no such recipe; there are unshare bwrap"),
        (&["--flip", "--", "unshare", "{probe}"], "cannot be used with"),
        (&["--tty"], "required"),
    ] {
        let ran = verify().opt(options.iter().copied()).ran();
        assert!(ran.code == 2 && ran.stderr.contains(told), "{options:?}: {ran:?}");
    }
}

/// The launchers of a report of several, by name.
fn rows(report: &serde_json::Value) -> Vec<(&str, i64)> {
    let rows = report["rows"].as_array().unwrap().iter();
    let row = |row: &serde_json::Value| row["summary"]["exit"].as_i64().unwrap();
    rows.map(|one| (one["target"]["name"].as_str().unwrap(), row(one))).collect()
}

#[test]
fn of_several_launchers_each_has_a_row_and_a_missing_one_is_no_verdict() {
    need!(root);
    let (code, report) = with("unshare,chroot");
    assert_eq!((code, rows(&report)), (1, vec![("unshare", 1), ("chroot", 1)]), "{report:#}");
    // A machine that lacks one: the others are judged.
    let without = verify().opt(["--with", "unshare,bwrap", "--only", "uts", "--json"]);
    let ran = without.env("PATH", "/no/such/folder").ran();
    let report = crate::judged::json(&ran);
    assert_eq!(rows(&report), [("unshare", 3), ("bwrap", 3)], "{report:#}");
    assert_eq!(ran.code, 3);
    let told = because(&report["rows"][0]);
    assert_eq!(told, "unshare: there is no such program");
}

#[test]
fn a_launchers_own_open_form_says_what_is_owed_to_its_options() {
    need!(root);
    let options = ["--with", "unshare,bwrap,chroot", "--only", "pid,uts,devices", "--control-each"];
    let (_, report) = crate::judged::report(verify().opt(options));
    let notes = |at: usize| report["rows"][at]["target"]["notes"].to_string();
    assert!(notes(1).contains("owed to its options are uts, devices"), "{}", notes(1));
    // With every right nothing of the others' holds, with their options or without.
    for at in [0, 2] {
        let told = "owed to its options are no wall; held there too: no wall";
        assert!(notes(at).contains(told), "{}", notes(at));
    }
    let without = crate::judged::report(verify().opt(options[..4].iter().copied())).1;
    assert!(!without.to_string().contains("owed to its options"), "{without:#}");
}
