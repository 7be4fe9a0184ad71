//! Why an entry could not be made, and how that is said.

use crate::error::Failure;
use crate::rootfs::policy::{Rule, shown};
use rustix::io::Errno;

/// Why an entry was not made.
pub(super) enum WriteError {
    Errno(Errno),
    Broken(Rule),
    Content(Failure),
}

impl From<Errno> for WriteError {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Rule> for WriteError {
    fn from(rule: Rule) -> Self {
        Self::Broken(rule)
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        Self::Content(failure)
    }
}

impl WriteError {
    pub(super) fn of(self, entry: &[u8]) -> Failure {
        match self {
            Self::Errno(errno) => cannot(entry, errno),
            Self::Broken(rule) => rule.of(entry),
            Self::Content(failure) => failure,
        }
    }
}

/// The failure of one entry, with what the errno means for a disk.
pub(super) fn cannot(entry: &[u8], errno: Errno) -> Failure {
    let failure =
        Failure::new(format!("archive entry '{}': cannot be written", shown(entry))).errno(errno);
    match errno {
        Errno::NOSPC => failure.why("the file system is full: of bytes (df), or of files (df -i)"),
        Errno::DQUOT => failure.why("the quota of this user is used up"),
        _ => failure,
    }
}
