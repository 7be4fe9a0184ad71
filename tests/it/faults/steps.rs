//! Every step of every plan fails once.

use crate::need;
use crate::plans::{Plan, with_every_step};
use crate::support::{apart, binary, host, marker, processes, shared_state};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The steps of every process, read from the source: a new one that no plan has fails the test
/// below.
fn variants() -> BTreeSet<String> {
    let steps = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/step");
    let all: BTreeSet<String> = ["parent", "warden", "root", "child"]
        .into_iter()
        .flat_map(|side| of(&steps, side))
        .collect();
    assert!(all.len() > 50, "the variants are found in the source");
    all
}

fn of(steps: &Path, side: &str) -> Vec<String> {
    let source = fs::read_to_string(steps.join(side).with_extension("rs")).unwrap();
    let body = source.split_once("Step {\n").unwrap().1.split_once("\n}\n").unwrap().0;
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_step_that_fails_is_named_and_leaves_nothing() {
    need!(root);
    apart(each_step_fails);
}

fn each_step_fails() {
    let (before, mut failed) = (shared_state(), BTreeSet::new());
    for plan in with_every_step() {
        for variant in variants() {
            if fails_at(&plan, &variant) {
                failed.insert(variant);
            }
        }
    }
    // The terminal's step is taken only in a terminal.
    let script = format!("RUSTIC_FAIL_STEP=Terminal:1 {} run true", binary().display());
    let screen = host("script", ["-qec", &format!("{script}; true"), "/dev/null"]);
    assert!(screen.contains("cannot make a terminal"), "{screen}");
    failed.insert("Terminal".into());
    assert_eq!(failed, variants());
    assert_eq!(shared_state(), before);
}

/// Lets a step fail; whether the plan has it.
fn fails_at(plan: &Plan, variant: &str) -> bool {
    let mark = marker();
    let fail = format!("{variant}:{}", libc::EPERM);
    let ran = plan.marked(&mark).env("RUSTIC_FAIL_STEP", &fail).ran();
    let said = format!("{}, {variant}: {ran:?}", plan.name);
    assert_eq!(processes(&mark), Vec::<i32>::new(), "{said}");
    match ran.code {
        0 => false,
        125 | 126 => {
            assert_eq!(ran.stderr.matches("rustic: ").count(), 1, "{said}");
            assert!(
                ran.stderr.starts_with("rustic: cannot ") && ran.stderr.contains("EPERM"),
                "{said}"
            );
            assert_eq!(ran.code == 126, variant == "Exec", "{said}");
            true
        }
        _ => panic!("{said}"),
    }
}
