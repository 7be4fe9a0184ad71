//! Exit codes as a type: those of chroot(1) and podman(1), and 128+n for signal n.

use serde::{Deserialize, Serialize};
use std::process::ExitCode;

/// What a death of CMD by SIGSYS means: said by the parent, or by the reaper, which ends with a
/// number alone.
pub const FORBIDDEN_CALL: &str = "CMD was ended by SIGSYS, which a seccomp filter sends for a call \
    that it forbids, and kill(2) for whoever asks. rustic's own filter sends it only for a calling \
    convention that this machine does not have; a filter of CMD's, or of whoever started rustic, \
    for any call. strace -f shows which one, seccomp(2)";

/// How rustic ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// CMD ended by itself with this code.
    Command(u8),
    /// CMD was ended by this signal: 128+n.
    Signal(i32),
    /// rustic failed, or was called wrongly: 125.
    Failed,
    /// CMD is there and cannot be run: 126.
    CannotRun,
    /// CMD was not found: 127.
    NotFound,
    /// verify: a wall is not as it was ordered: 1.
    NotAsOrdered,
    /// verify: called wrongly: 2.
    Usage,
    /// verify: an ordered wall is unknown, or a control failed: 3.
    Inconclusive,
}

impl Exit {
    /// The number that the caller's shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Command(code) => code,
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::Failed => 125,
            Self::CannotRun => 126,
            Self::NotFound => 127,
            Self::NotAsOrdered => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn a_signal_is_128_plus_its_number_also_for_the_last_real_time_one() {
        assert_eq!(Exit::Signal(9).code(), 137);
        assert_eq!(Exit::Signal(64).code(), 192);
    }
}
