//! verify: every wall is tried from inside and checked from outside, with a control that must
//! succeed.
//!
//! ```text
//!   the stage: a throw-away host                         behind the walls
//!   canary  ◀─── crossing ──────────────────────────────  probe (control: the same probe, without walls)
//!   receipt      identity: /proc/PID/ns, from outside
//! ```
//!
//! [`verdict`] is a pure function of what [`probes`] find. [`stage`] is the outside,
//! [`host_mounts`] what was there before it; [`launch`] starts who is verified, [`target`] asks,
//! [`reach`] tells where to, [`held`] looks at what it has; [`probe`] is the inside of it,
//! [`protocol`] what passes between them, [`cleanup`] who cleans up. [`verifier`] brings them
//! together, [`report`] shows what came of it. It starts rustic as anybody would, and knows nothing
//! of `run`.

mod child;
pub mod cleanup;
pub mod escaped;
pub mod flip;
pub mod held;
pub mod host_mounts;
pub mod launch;
pub mod nsenter;
pub mod place;
pub mod probe;
pub mod probes;
pub mod protocol;
pub mod reach;
pub mod remarks;
pub mod report;
pub mod rtnetlink;
pub mod shown;
pub mod stage;
pub mod target;
pub mod verdict;
pub mod verifier;
pub mod wall;

use crate::host::Host;
use crate::namespace::{Namespace, Switch};
use crate::spec::{RunOptions, Spec};
use flip::Flip;
use probes::Probe;
use report::Report;
use verifier::Verifier;
use wall::Wall;

/// What is to be verified, and how.
pub struct Order {
    /// The walls that are tried.
    pub walls: Vec<Wall>,
    /// What is expected of some walls, whatever was ordered: a verdict by its word.
    pub expected: Vec<(Wall, &'static str)>,
}

impl Order {
    /// The probes of its walls.
    pub fn probes(&self) -> impl Iterator<Item = &'static Probe> + use<'_> {
        probes::catalogue().filter(|probe| self.walls.contains(&probe.wall))
    }

    /// What is expected of a wall, where that was said.
    pub fn expected(&self, wall: Wall) -> Option<&'static str> {
        self.expected.iter().rev().find(|(one, _)| *one == wall).map(|(_, word)| *word)
    }
}

/// Verifies one container. There is always a report: what could not be tried is unknown.
pub fn verify(order: &Order, spec: &Spec, host: &Host) -> Report {
    match Verifier::new(order, spec, host) {
        Ok(verifier) => verifier.verify(spec),
        Err(failure) => Report::untried(order, &spec.namespaces, &failure),
    }
}

/// Verifies one container, and with it each in which one namespace is the other way. There is
/// always a report, as above.
pub fn flip(order: &Order, wanted: &RunOptions, spec: &Spec, host: &Host) -> Flip {
    let flipped = |namespace: Namespace, switch: Switch| {
        wanted.clone().with(namespace, flip::chosen(switch)).check(host)
    };
    match Verifier::new(order, spec, host) {
        Ok(verifier) => Flip::of(&verifier, order, spec, flipped),
        Err(failure) => {
            Flip { base: Report::untried(order, &spec.namespaces, &failure), rows: Vec::new() }
        }
    }
}
