//! What can be chosen for one.

use std::path::PathBuf;

/// Whether something is wanted: the `yes` and `no` of options, and a word that a reader sees where
/// a `bool` would say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Yes.
    Yes,
    /// No.
    No,
}

/// What is chosen for one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A new one: a wall.
    New,
    /// The caller's: a door.
    Shared,
    /// The one of this file, as in `/proc/PID/ns/`: a door to whoever else is in it.
    Join(PathBuf),
}
