//! What `rustic verify --json` says, taken apart.

use crate::support::{Ran, Rustic, unfolded};
use serde_json::Value;
use std::collections::BTreeMap;

/// A verification, being put together.
pub(crate) fn verify() -> Rustic {
    Rustic::command("verify")
}

/// The report of a run, with its exit code.
#[track_caller]
pub(crate) fn report(verify: Rustic) -> (i32, Value) {
    let ran = verify.opt(["--json"]).ran();
    assert_eq!(ran.stderr, "", "{}", ran.stdout);
    (ran.code, json(&ran))
}

/// The report of a verification that another program starts: its words, then those of verify.
#[track_caller]
pub(crate) fn by(words: &[&str], options: &[&str]) -> (i32, Value) {
    let verify = verify().under(words.iter().copied()).opt(options.iter().copied());
    let ran = verify.opt(["--json"]).ran();
    (ran.code, json(&ran))
}

/// The report that a run has printed.
#[track_caller]
pub(crate) fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// What a table ends with, without its arrow.
pub(crate) fn conclusion(table: &str) -> String {
    unfolded(table.rsplit_once("→ ").map_or(table, |(_, last)| last))
}

/// The walls of a report by name.
pub(crate) fn walls(report: &Value) -> BTreeMap<&str, &Value> {
    report["walls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wall| (wall["wall"].as_str().unwrap(), wall))
        .collect()
}

pub(crate) fn verdicts(report: &Value) -> BTreeMap<&str, &str> {
    walls(report)
        .into_iter()
        .map(|(name, wall)| (name, wall["verdict"].as_str().unwrap()))
        .collect()
}

/// The probes of a wall: what each was answered, and what that means.
pub(crate) fn probes(wall: &Value) -> BTreeMap<&str, (&str, Option<&str>)> {
    let probes = wall["probes"].as_array().unwrap().iter();
    probes
        .map(|probe| {
            (
                probe["id"].as_str().unwrap(),
                (probe["verdict"].as_str().unwrap(), probe["inside"]["errno"].as_str()),
            )
        })
        .collect()
}

/// The walls that are not as ordered.
pub(crate) fn wrong(report: &Value) -> Vec<&str> {
    walls(report).into_iter().filter(|(_, wall)| wall["ok"] != true).map(|(name, _)| name).collect()
}
