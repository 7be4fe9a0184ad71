//! The warden's steps.

use crate::namespace::Namespaces;
use crate::walls::idmap::IdMaps;
use crate::walls::join::Joins;
use std::path::PathBuf;

/// A step of the warden, outside every wall.
#[derive(Debug)]
pub enum WardenStep {
    /// The warden, out of reach of the caller's process group, and heir to every orphan.
    BecomeSubreaper,
    /// The child, in its new namespaces.
    Clone(Namespaces),
    /// The same from inside of namespaces of others, by a process that joins them for it.
    JoinAndClone {
        /// Those that are joined.
        joins: Joins,
        /// Those that are new are made.
        namespaces: Namespaces,
    },
    /// The same, after a process of the warden's has made the root file system with the rights of
    /// the host's root: what is mounted before the user namespace is there, nobody in it can undo.
    BuildAndClone {
        /// Those that are joined before.
        joins: Joins,
        /// Those that are new are made.
        namespaces: Namespaces,
    },
    /// The ids of the new user namespace.
    WriteIdMaps(IdMaps),
    /// A directory of this run, locked for as long as the warden lives.
    MakeRunDirectory(PathBuf),
}
