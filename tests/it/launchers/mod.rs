//! verify of other launchers: that the probe is found behind them, that what they do to it is
//! named, and that what is said of them is so.

mod joined;
mod namespaces;
mod relays;

use crate::judged::{report, verify};
use serde_json::Value;

/// What verify says of a launcher, with its exit code.
#[track_caller]
pub(crate) fn judged(options: &[&str], launcher: &[&str]) -> (i32, Value) {
    let options = options.iter().copied().chain(["--json", "--"]).chain(launcher.iter().copied());
    let ran = verify().opt(options).ran();
    assert_eq!(ran.stderr, "", "{}", ran.stdout);
    (ran.code, crate::judged::json(&ran))
}

/// Why nothing was tried.
pub(crate) fn because(report: &Value) -> String {
    report["walls"][0]["because"].as_str().unwrap_or_default().to_owned()
}

/// The report of several launchers by their recipes.
#[track_caller]
pub(crate) fn with(names: &str) -> (i32, Value) {
    report(verify().opt(["--with", names]))
}
