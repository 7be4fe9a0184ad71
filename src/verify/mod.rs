//! verify: every wall is tried from inside and checked from outside, with a control that must
//! succeed.
//!
//! ```text
//!   the stage: a throw-away host                    behind the walls
//!   canary  ◀─── crossing ─────────────────────────  agent (control: an agent without walls)
//!   receipt      identity: /proc/PID/ns, from outside
//! ```
//!
//! From the ground up: no file knows one that stands below it here, but for `report/flip`, the
//! matrix of `--flip`.
//!
//! ```text
//! wall verdict               the fourteen walls; what follows for one, a pure function
//! protocol escaped           what passes between outside and inside: requests, replies, paths
//! child                      the end of a process that was forked here
//! caller stage/              who verifies; the throw-away host, and what is cleaned up after it
//! inherited/                 what a careless caller leaves: terminal, streams, descriptors, habits
//! sides nsenter held shown   a container from outside: namespaces, files, descriptors, mounts
//! launch channel target      whose container is judged: started, talked to, identified
//! files reach                files inside, and the paths and doors by which they are reached
//! remarks                    what is told of the host, and which system calls answer
//! attempt outside            what came of an attempt; what is planted to look at
//! probe trials               one way to try a wall; all of them on one subject
//! probes/                    the walls, each with its two halves: canary and crossing
//! agent                      the inside: the one place that knows every crossing
//! options                    what is to be tried, and what is expected of it
//! report/                    what was found, as data: table, story, JSON, conclusion, exit code
//! verifier                   the stage, the controls, and containers one after another
//! reasons flip               one namespace after another toggled, and why others change with it
//! ```
//!
//! A new wall is a variant of [`wall::Wall`], a file in [`probes`] and its lines in the list there,
//! and a line in [`agent`]: the compiler or a test of [`wall`] asks for each. verify starts rustic as anybody would, and
//! knows nothing of `run`.

pub mod agent;
pub mod attempt;
pub mod caller;
pub mod channel;
mod child;
pub mod escaped;
pub mod files;
pub mod flip;
pub mod foreign;
pub mod held;
pub mod inherited;
pub mod judged;
pub mod launch;
pub mod lines;
pub mod nsenter;
pub mod options;
pub mod outside;
pub mod probe;
pub mod probes;
pub mod protocol;
pub mod reach;
mod reasons;
pub mod remarks;
pub mod report;
pub mod role;
pub mod shown;
pub mod sides;
pub mod stage;
pub mod target;
pub mod trials;
pub mod verdict;
pub mod verifier;
pub mod wall;

pub use options::VerifyOptions;

use crate::error::Failure;
use crate::host::Host;
use crate::namespace::{Namespace, Switch};
use crate::spec::{RunOptions, Spec};
use flip::Flip;
use foreign::order::LauncherOrder;
use judged::{Judged, Subject};
use report::VerifyReport;
use report::launchers::LauncherRows;
use stage::Ground;
use verifier::Verifier;

/// Verifies one container. There is always a report: what could not be tried is unknown.
pub fn verify(order: &VerifyOptions, spec: &Spec, host: &Host) -> VerifyReport {
    match Verifier::new(Ground::Stage, order, spec, host) {
        Ok(verifier) => verifier.verify(spec),
        Err(failure) => untried(order, spec, &failure),
    }
}

/// Verifies one container, and with it each in which one namespace is the other way. There is
/// always a report, as above.
pub fn flip(order: &VerifyOptions, wanted: &RunOptions, spec: &Spec, host: &Host) -> Flip {
    let flipped = |namespace: Namespace, switch: Switch| {
        wanted.clone().with(namespace, flip::chosen(switch)).check(host)
    };
    match Verifier::new(Ground::Stage, order, spec, host) {
        Ok(verifier) => Flip::of(&verifier, order, spec, flipped),
        Err(failure) => Flip { base: untried(order, spec, &failure), rows: Vec::new() },
    }
}

/// Verifies what other launchers make, one after another: first those whose daemons are on the real
/// host, since nobody leaves a stage, then the others. There is always a report, as above.
pub fn launchers(
    order: &VerifyOptions,
    launchers: &[LauncherOrder],
    spec: &Spec,
    host: &Host,
) -> LauncherRows {
    let on = |ground: Ground| -> Vec<(usize, VerifyReport)> {
        let all = launchers.iter().enumerate();
        let here: Vec<_> = all.filter(|(_, launcher)| launcher.ground == ground).collect();
        if here.is_empty() {
            return Vec::new();
        }
        let wants_dir = here.iter().any(|(_, launcher)| launcher.wants_dir());
        let verifier = Verifier::new(ground, order, spec, host);
        let ready = verifier.and_then(|verifier| {
            let places = verifier.places(spec, wants_dir)?;
            Ok((verifier, places))
        });
        let row = |launcher: &LauncherOrder| match &ready {
            Ok((verifier, places)) => verifier.verify_launcher(launcher, places),
            Err(failure) => {
                let ordered = |wall| Judged::Launcher(launcher).ordered(wall);
                VerifyReport::untried(order, ordered, Subject::of(launcher), &failure.in_a_line())
            }
        };
        here.into_iter().map(|(place, launcher)| (place, row(launcher))).collect()
    };
    let mut rows = on(Ground::Host);
    rows.extend(on(Ground::Stage));
    rows.sort_by_key(|(place, _)| *place);
    LauncherRows { rows: rows.into_iter().map(|(_, report)| report).collect() }
}

fn untried(order: &VerifyOptions, spec: &Spec, failure: &Failure) -> VerifyReport {
    let ordered = |wall| Judged::Container(spec).ordered(wall);
    VerifyReport::untried(order, ordered, Subject::Container(Vec::new()), &failure.in_a_line())
}
