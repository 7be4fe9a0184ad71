//! Readiness: who says it and by which way, and who is told outside.

mod events;
mod program;
mod queue;
mod strangers;

use crate::support::{ended, scratch, shell};
use std::fs;

/// A run whose events go to a pipe: the shell gives it descriptor 5, and the events come behind
/// what CMD says.
fn with_events(options: &[&str], script: &str) -> (i32, String, String) {
    let events = scratch("events").join("events");
    let run = "exec 5>\"$EVENTS\"; exec \"$RUSTIC\" run --info-fd 5 \"$@\"";
    let mut command = shell(&["sh"], run);
    command.arg("sh").args(options).args(["sh", "-c", script]).env("EVENTS", &events);
    let ran = ended(&mut command);
    (ran.code, ran.stdout + &ran.stderr, fs::read_to_string(events).unwrap())
}

/// The names of the events, and by which way readiness was told.
fn order(events: &str) -> Vec<String> {
    let field = |line: &str, name: &str| {
        Some(line.split_once(&format!("\"{name}\":\""))?.1.split('"').next()?.to_owned())
    };
    events
        .lines()
        .map(|line| {
            format!(
                "{}{}",
                field(line, "event").unwrap(),
                field(line, "via").map(|via| format!(" via {via}")).unwrap_or_default()
            )
        })
        .collect()
}
