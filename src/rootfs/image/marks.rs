//! What the entries of a layer ask for, decided by their names alone: writing, or removing what those
//! below have made.

use crate::rootfs::entry::{Entry, EntryKind, EntryPath};
use crate::rootfs::policy::Rule;
use std::collections::BTreeSet;

/// What the name of a mark begins with, and that of one that hides all of a directory.
const MARK: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Bytes of names of a layer that are kept in mind.
const MOST_REMEMBERED: usize = 64 << 20;

/// Whether an entry is a mark, which says that something of those below is gone.
pub fn is_mark(entry: &Entry) -> bool {
    let name = entry.place.split().map(|(_, name)| name.as_os_str().as_encoded_bytes());
    name.is_some_and(|name| name.starts_with(MARK))
}

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is a directory, written over what those below have said of it.
    WriteDirectory,
    /// It is written, also in the place of a directory of those below.
    Write,
    /// It is written over something of its own layer.
    WriteOver,
    /// What has this name is removed.
    Remove(EntryPath),
    /// What those below have in this directory is removed.
    Clear(Vec<u8>),
}

/// Whose what is in a directory that is cleared is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Made by this layer: what those below have in it goes.
    Own,
    /// Of those below.
    Below,
    /// Of those below, with something of this layer in it, which engines treat differently.
    Mixed,
}

/// The entries of a layer that have come so far.
#[derive(Default)]
pub struct Entries {
    /// What this layer has made: its marks are about those below it.
    made: BTreeSet<Vec<u8>>,
    /// The directories in which nothing is left of those below.
    cleared: BTreeSet<Vec<u8>>,
    bytes: usize,
}

impl Entries {
    /// What an entry asks for, whose place is where it is behind the links of the tree.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn take(&mut self, entry: &Entry) -> Result<Action, Rule> {
        let place = entry.place.bytes();
        let split = entry.place.split();
        if let Some((parent, name)) = split
            && let name = name.as_os_str().as_encoded_bytes()
            && name.starts_with(MARK)
        {
            return self.mark(parent, name, &entry.kind);
        }
        let action = match entry.kind {
            EntryKind::Directory => Action::WriteDirectory,
            _ if self.has_made_below(place) => Action::WriteOver,
            _ => Action::Write,
        };
        if self.made.insert(place.to_vec()) {
            self.remember(place)?;
        }
        Ok(action)
    }

    fn mark(&self, parent: &[u8], name: &[u8], kind: &EntryKind) -> Result<Action, Rule> {
        if *kind == EntryKind::Directory {
            return Err(Rule::MarkKind);
        }
        if name == OPAQUE {
            return Ok(Action::Clear(parent.to_vec()));
        }
        let hidden = &name[MARK.len()..];
        if hidden.is_empty() || hidden == b"." || hidden == b".." || hidden.starts_with(MARK) {
            return Err(Rule::Mark);
        }
        let place = joined(parent, hidden);
        if self.has_made_below(&place) {
            return Err(Rule::MarkOfOwn);
        }
        EntryPath::of(&place).map(Action::Remove)
    }

    /// Whose something is that was found in a directory to be cleared.
    pub fn found(&self, place: &[u8]) -> Found {
        match (self.made.contains(place), self.has_made_below(place)) {
            (true, _) => Found::Own,
            (false, true) => Found::Mixed,
            (false, false) => Found::Below,
        }
    }

    /// Whether a directory was cleared, or one that it lies in.
    pub fn is_cleared(&self, directory: &[u8]) -> bool {
        if self.cleared.is_empty() {
            return false;
        }
        let ends = directory.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let above = ends.map(|(end, _)| &directory[..end]);
        above.chain([directory, b""]).any(|directory| self.cleared.contains(directory))
    }

    /// Nothing is left in it of those below.
    ///
    /// # Errors
    /// [`Rule::LayerNames`] where that is more than is remembered.
    pub fn cleared(&mut self, directory: &[u8]) -> Result<(), Rule> {
        self.cleared.insert(directory.to_vec());
        self.remember(directory)
    }

    fn remember(&mut self, name: &[u8]) -> Result<(), Rule> {
        self.bytes += name.len() + size_of::<Vec<u8>>();
        if self.bytes > MOST_REMEMBERED { Err(Rule::LayerNames) } else { Ok(()) }
    }

    /// Whether this layer has made something there, or below it.
    fn has_made_below(&self, place: &[u8]) -> bool {
        let below = joined(place, b"");
        self.made.contains(place)
            || self.made.range(below.clone()..).next().is_some_and(|made| made.starts_with(&below))
    }
}

/// A name in a directory.
pub(super) fn joined(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}
