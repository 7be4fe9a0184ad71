//! What `rustic verify` is to do.

use crate::namespace::Switch;
use crate::verify::probe::Probe;
use crate::verify::probes;
use crate::verify::wall::Wall;
use std::path::PathBuf;

/// What is to be verified, and how.
pub struct VerifyOptions {
    /// The walls that are tried.
    pub walls: Vec<Wall>,
    /// What is expected of some walls, whatever was ordered: a verdict by its word.
    pub expected: Vec<(Wall, &'static str)>,
    /// Whether each launcher's own open form is tried as a control too.
    pub control_each: Switch,
    /// A root of the caller's that the probe's program is put into.
    pub plant: Option<PathBuf>,
}

impl VerifyOptions {
    /// The probes of its walls.
    pub fn probes(&self) -> impl Iterator<Item = &'static Probe> + use<'_> {
        probes::catalogue().filter(|probe| self.walls.contains(&probe.wall))
    }

    /// What is expected of a wall, where that was said.
    pub fn expected(&self, wall: Wall) -> Option<&'static str> {
        self.expected.iter().rev().find(|(one, _)| *one == wall).map(|(_, word)| *word)
    }
}
