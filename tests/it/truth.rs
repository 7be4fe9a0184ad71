//! verify beside an independent witness: a sample of the part --truth, and its controls.

use crate::need;
use crate::parts::truth::{Outside, disagreements, image, verify_agrees};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn verify_agrees_with_an_independent_witness_in_a_sample_of_containers() {
    need!(root);
    verify_agrees(90);
}

/// The walls that the witness has crossed.
fn crossed(looked: &Value) -> BTreeSet<String> {
    assert_eq!(looked["ended"], true, "{looked:#}");
    let lines = looked["crossed"].as_array().unwrap().iter();
    lines.map(|line| line.as_str().unwrap().split(' ').next().unwrap().to_owned()).collect()
}

fn words(options: &str) -> Vec<String> {
    options.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_witness_crosses_what_is_open_and_nothing_by_default() {
    need!(root);
    let mut outside = Outside::start(&image());
    // The caller's clocks are shared by default.
    let closed = outside.look(&words("--time no"));
    assert_eq!(crossed(&closed), ["time".to_owned()].into(), "{closed:#}");
    let every = "--pid no --uts no --net no --ipc no --cgroup no --caps all --seccomp none \
        --proc open --stdio inherit --bind /:/mnt";
    let (every, mount) =
        (outside.look(&words(every)), outside.look(&words("--mount no --caps sys_admin")));
    let open: BTreeSet<String> = crossed(&every).union(&crossed(&mount)).cloned().collect();
    let expected = [
        "cgroup", "devices", "fds", "ipc", "kernel", "keyring", "mnt", "net", "pid", "root",
        "terminal", "time", "uts",
    ];
    let expected: BTreeSet<String> = expected.map(str::to_owned).into();
    assert_eq!(open, expected, "{every:#} {mount:#}");
}

#[test]
fn a_verdict_that_the_witness_contradicts_is_seen() {
    let looked = |crossed: &[&str], verdict: &str, code: i32| {
        disagreements(&json!({
            "ended": true, "crossed": crossed, "code": code, "options": "", "said": "",
            "verdicts": { "net": verdict, "pid": "held" },
        }))
    };
    assert_eq!(looked(&[], "held", 0), Vec::<String>::new());
    assert_eq!(looked(&["net connect"], "shared", 0), Vec::<String>::new());
    assert_eq!(looked(&["net connect"], "held", 0), ["net is held, and crossed by connect"]);
    assert!(looked(&[], "leaked", 1)[0].starts_with("net is leaked, and crossed by nothing"));
    assert_eq!(looked(&["root path"], "held", 0), ["root is held, and crossed by path"]);
    assert_eq!(looked(&[], "held", 1), ["exit code Some(1)"]);
    // Of what did not start nothing may be said.
    let none = |verdict: &str, code: i32| {
        disagreements(&json!({
            "ended": false, "crossed": [], "code": code, "options": "", "said": "no",
            "verdicts": { "net": verdict },
        }))
    };
    assert_eq!(none("unknown", 3), Vec::<String>::new());
    assert_eq!(none("held", 0).len(), 1);
}
