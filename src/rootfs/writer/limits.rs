//! How much is written, and remembered, at most.

/// How much an archive may hold: a small file can stand for a very large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of all files, holes included.
    pub bytes: u64,
    /// Entries, implied directories included.
    pub entries: u64,
    /// How deep a file may lie: components of its name.
    pub depth: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self { bytes: 8 << 30, entries: 1_000_000, depth: 256 }
    }
}

/// Bytes of what a writer remembers until the end. Real archives have a handful of such entries;
/// more is an attack on memory.
pub(super) const MOST_REMEMBERED: usize = 4 << 20;
