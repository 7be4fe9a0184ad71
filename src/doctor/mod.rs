//! `rustic doctor`: what this host allows, and the fix for what it does not. Nothing is guessed: each
//! check is a start of rustic's own, in namespaces of its own, and what it says when it fails is
//! what `run` says. The host stays as it was: the root of each is the built-in one in memory, or the
//! caller's own without any mount; no store is made, and no module is loaded.
//!
//! [`checks`] are those starts, each perhaps with a [`lack`]; [`surroundings`] is what is around
//! rustic, [`diagnosis`] both, and [`report`] its text.

mod checks;
mod diagnosis;
mod lack;
mod report;
mod surroundings;

pub use diagnosis::examine;
pub use report::Form;
pub use surroundings::apparmor_profile;
