//! Devices and fifos, and what becomes of those that are left out.

use super::component::{clear, placed};
use super::entries::TreeWriter;
use super::failure::WriteError;
use super::limits::MOST_REMEMBERED;
use super::rights::Devices;
use crate::rootfs::entry::Entry;
use crate::rootfs::policy::Rule;
use rustix::fs::{FileType, Mode, mknodat};

impl TreeWriter<'_> {
    /// Leaves a device out, and with it whatever had its name before.
    pub(super) fn skip(&mut self, entry: &Entry) -> Result<(), WriteError> {
        let (dir, name) = self.parent_of(&entry.place)?;
        clear(dir, name)?;
        self.report.devices_skipped += 1;
        self.skipped_bytes += entry.place.bytes().len() + size_of::<Vec<u8>>();
        self.skipped.insert(entry.place.bytes().to_vec());
        if self.skipped_bytes > MOST_REMEMBERED { Err(Rule::Closed.into()) } else { Ok(()) }
    }

    pub(super) fn node(
        &mut self,
        entry: &Entry,
        kind: FileType,
        device: rustix::fs::Dev,
    ) -> Result<(), WriteError> {
        if kind != FileType::Fifo && self.rights.devices == Devices::Skipped {
            return self.skip(entry);
        }
        let (dir, name) = self.parent_of(&entry.place)?;
        placed(dir, name, || mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device))?;
        if kind == FileType::Fifo {
            self.report.fifos += 1;
        } else {
            self.report.devices += 1;
        }
        self.dress_by_name(entry, name)
    }
}
