//! What is chosen for all of them.

use super::{Choice, Namespace};
use std::path::Path;

/// What is chosen for each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces([Choice; Namespace::ALL.len()]);

impl Namespaces {
    /// All of them shared with the caller.
    pub const fn shared() -> Self {
        Self([const { Choice::Shared }; Namespace::ALL.len()])
    }

    /// The same choice with one of them set.
    #[must_use]
    pub fn with(mut self, namespace: Namespace, choice: Choice) -> Self {
        self.0[namespace as usize] = choice;
        self
    }

    /// What was chosen for one.
    pub fn get(&self, namespace: Namespace) -> &Choice {
        &self.0[namespace as usize]
    }

    /// Whether one is new.
    pub fn is_new(&self, namespace: Namespace) -> bool {
        *self.get(namespace) == Choice::New
    }

    /// The new ones, in the order of the command line.
    pub fn new_ones(&self) -> impl Iterator<Item = Namespace> + use<'_> {
        Namespace::ALL.into_iter().filter(|&namespace| self.is_new(namespace))
    }

    /// The file of one that is joined.
    pub fn joined(&self, namespace: Namespace) -> Option<&Path> {
        match self.get(namespace) {
            Choice::Join(path) => Some(path),
            Choice::New | Choice::Shared => None,
        }
    }

    /// Whether somebody in a joined namespace can name the child, or has rights over it, before it
    /// has become CMD.
    pub fn shows_the_child(&self) -> bool {
        [Namespace::Pid, Namespace::User].into_iter().any(|one| self.joined(one).is_some())
    }

    /// The flags of the new ones for clone3(2).
    pub fn clone_flags(&self) -> u64 {
        self.new_ones().map(Namespace::clone_flag).fold(0, std::ops::BitOr::bitor)
    }
}
