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

pub mod agent;
pub mod attempt;
pub mod caller;
pub mod channel;
mod child;
pub mod escaped;
pub mod files;
pub mod flip;
pub mod held;
pub mod inherited;
pub mod launch;
pub mod nsenter;
pub mod order;
pub mod outside;
pub mod probe;
pub mod probes;
pub mod protocol;
pub mod reach;
mod reasons;
pub mod remarks;
pub mod report;
pub mod shown;
pub mod sides;
pub mod stage;
pub mod target;
pub mod trials;
pub mod verdict;
pub mod verifier;
pub mod wall;

pub use order::Order;

use crate::host::Host;
use crate::namespace::{Namespace, Switch};
use crate::spec::{RunOptions, Spec};
use flip::Flip;
use report::Report;
use verifier::Verifier;

/// Verifies one container. There is always a report: what could not be tried is unknown.
pub fn verify(order: &Order, spec: &Spec, host: &Host) -> Report {
    match Verifier::new(order, spec, host) {
        Ok(verifier) => verifier.verify(spec),
        Err(failure) => Report::untried(order, spec.namespaces, &failure),
    }
}

/// Verifies one container, and with it each in which one namespace is the other way. There is
/// always a report, as above.
pub fn flip(order: &Order, wanted: &RunOptions, spec: &Spec, host: &Host) -> Flip {
    let flipped =
        |namespace: Namespace, switch: Switch| wanted.clone().with(namespace, switch).check(host);
    match Verifier::new(order, spec, host) {
        Ok(verifier) => Flip::of(&verifier, order, spec, flipped),
        Err(failure) => {
            Flip { base: Report::untried(order, spec.namespaces, &failure), rows: Vec::new() }
        }
    }
}
