//! Root file systems: what an archive is, how it is unpacked safely, where it is kept. Knows nothing of containers.

pub mod archive;
pub mod builtin;
pub mod extract;
pub mod remove;
pub mod run_directory;
pub mod store;

pub use archive::Archive;

use std::path::PathBuf;

/// A root file system, found and ready to become a container's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// Unpacked in the store: never changed.
    Tree(PathBuf),
    /// The user's own directory.
    Directory(PathBuf),
    /// To be unpacked into the container's own tmpfs, because no store can be written.
    Unpacked(Archive),
    /// To be unpacked into a directory of this run alone, because there is no mount namespace.
    PerRun {
        /// The archive.
        archive: Archive,
        /// The directory, not there yet.
        directory: PathBuf,
    },
}
