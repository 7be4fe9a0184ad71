//! What is kept of an image beside its files.

use crate::rootfs::image::ImageRecord;
use crate::rootfs::keeper::FileIds;
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
    /// The ids that the owners on disk are; none where they are those of the archive.
    #[serde(default)]
    pub ids: Option<FileIds>,
    /// What is known of an image in layers.
    #[serde(default)]
    pub image: Option<ImageRecord>,
}

/// How the owners of a tree look from a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnersSeen {
    /// As well as they can.
    Right,
    /// Lost when it was unpacked: here they could be kept.
    Lost,
    /// As somebody else's: it was unpacked for other ids.
    Wrong,
}

impl Record {
    /// How the owners look to who has these ids; none is every id.
    pub fn owners_seen(&self, ids: Option<&FileIds>) -> OwnersSeen {
        let lost = self.report.owners_squashed + self.report.owners_unmapped;
        match self.ids.as_ref() {
            same if same == ids => OwnersSeen::Right,
            _ if self.report.other_owners > 0 => OwnersSeen::Wrong,
            Some(own) if !ids.is_some_and(|ids| ids.is_one() || ids.root() == own.root()) => {
                OwnersSeen::Wrong
            }
            _ if lost > 0 && !ids.is_some_and(FileIds::is_one) => OwnersSeen::Lost,
            _ => OwnersSeen::Right,
        }
    }
}
