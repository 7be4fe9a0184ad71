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
//! protocol escaped lines     what passes between outside and inside: requests, replies, paths; the
//!                            same as lines, through whatever a launcher puts between
//! child                      the end of a process that was forked here
//! caller stage/              who verifies; the throw-away host, and what is cleaned up after it
//! inherited/                 what a careless caller leaves: terminal, streams, descriptors, habits
//! sides nsenter held shown   a container from outside: namespaces, files, descriptors, mounts
//! foreign/ join              other launchers: their words, recipes and needs, and their probe among
//!                            the processes; a container that runs already, and how it is entered
//! role judged                who is started; what is judged, and what it is measured by
//! launch channel/ target     whose container is judged: started, talked to, identified
//! files reach                files inside, and the paths and doors by which they are reached
//! remarks                    what is told of the host, and which system calls answer
//! attempt outside            what came of an attempt; what is planted to look at
//! probe trials               one way to try a wall; all of them on one subject
//! probes/                    the walls, each with its two halves: canary and crossing
//! agent/                     the inside: the one place that knows every crossing
//! options                    what is to be tried, and what is expected of it
//! report/                    what was found, as data: table, story, JSON, files, exit code
//! controls verifier          the stage, the controls, and containers one after another
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
mod controls;
pub mod escaped;
pub mod files;
pub mod flip;
pub mod foreign;
pub mod held;
pub mod inherited;
pub mod join;
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
use join::Process;
use judged::{Judged, Subject};
use report::VerifyReport;
use report::launchers::LauncherRows;
use stage::Scene;
use verifier::Verifier;

/// Verifies one container. There is always a report: what could not be tried is unknown.
pub fn verify(order: &VerifyOptions, spec: &Spec, host: &Host) -> VerifyReport {
    match Verifier::new(Scene::Stage, order, spec, host) {
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
    match Verifier::new(Scene::Stage, order, spec, host) {
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
    let on = |scene: Scene| -> Vec<(usize, VerifyReport)> {
        let all = launchers.iter().enumerate();
        let here: Vec<_> = all.filter(|(_, launcher)| launcher.scene == scene).collect();
        if here.is_empty() {
            return Vec::new();
        }
        let wants_dir = here.iter().any(|(_, launcher)| launcher.wants_dir());
        let verifier = Verifier::new(scene, order, spec, host);
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
    let mut rows = on(Scene::Host);
    rows.extend(on(Scene::Stage));
    rows.sort_by_key(|(place, _)| *place);
    LauncherRows { rows: rows.into_iter().map(|(_, report)| report).collect() }
}

/// Verifies a container that runs already, by one of its processes. It stands on the real host, and
/// so does the verifier.
///
/// # Errors
/// A process that cannot be looked at, for a reader.
pub fn process(
    order: &VerifyOptions,
    pid: i32,
    spec: &Spec,
    host: &Host,
) -> Result<VerifyReport, String> {
    let process = Process::look(pid, host)?;
    let judged = Judged::Process(host.uid);
    Ok(match Verifier::new(Scene::Host, order, spec, host) {
        Ok(verifier) => verifier.verify_process(process, judged),
        Err(failure) => {
            let ordered = |wall| judged.ordered(wall);
            let subject = Subject::Process(pid, Vec::new());
            VerifyReport::untried(order, ordered, subject, &failure.in_a_line())
        }
    })
}

fn untried(order: &VerifyOptions, spec: &Spec, failure: &Failure) -> VerifyReport {
    let ordered = |wall| Judged::Container(spec).ordered(wall);
    VerifyReport::untried(order, ordered, Subject::Container(Vec::new()), &failure.in_a_line())
}
