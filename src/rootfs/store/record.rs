//! What is kept of an image beside its files.

use crate::rootfs::report::UnpackReport;
use serde::{Deserialize, Serialize};

/// What an image is, as its `record.json` has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Where the archive was, for people: a path, or what else it came from.
    pub source: String,
    /// How it was compressed, as in `tar.gz`.
    pub format: String,
    /// Its length in bytes.
    pub archive_bytes: u64,
    /// When it was unpacked, in seconds since 1970.
    pub unpacked_at: u64,
    /// What was made.
    pub report: UnpackReport,
}
