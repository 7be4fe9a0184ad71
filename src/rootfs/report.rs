//! What was unpacked, and what was not.

use crate::error::printable;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Counts of one unpack. Every entry of the archive is in one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnpackReport {
    /// Regular files.
    pub files: u64,
    /// Directories, the root and those that only a longer name implies included.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Named pipes.
    pub fifos: u64,
    /// Device nodes that were made.
    pub devices: u64,
    /// Device nodes that were left out, because only root outside a user namespace can make them.
    pub devices_skipped: u64,
    /// Entries that belong to others than root, as in the archive.
    pub other_owners: u64,
    /// Entries that belong to who unpacked them, in place of another owner.
    pub owners_squashed: u64,
    /// Entries that belong to root, without their set-ID bits, because the user namespace lacks
    /// their owner.
    pub owners_unmapped: u64,
    /// Entries without the set-ID bits that they have in the archive, because everything belongs to
    /// who unpacked it.
    pub set_ids_dropped: u64,
    /// Bytes of all files, holes included.
    pub bytes: u64,
    /// Extended attributes that were set.
    pub attributes: u64,
    /// Extended attributes that were left out, by name or family.
    pub attributes_left_out: BTreeMap<String, u64>,
    /// Entries that lie outside of the directory that was to be the root.
    pub outside: u64,
    /// Files with names of whiteouts, which a layer has and a root file system has not.
    pub whiteouts: u64,
    /// The directory that the root file system lies in, where it is not the archive's top.
    pub root_below: Option<String>,
}

impl UnpackReport {
    /// Everything that was made.
    pub fn entries(&self) -> u64 {
        self.files
            + self.directories
            + self.symlinks
            + self.hard_links
            + self.fifos
            + self.devices
            + self.devices_skipped
    }

    /// How many attributes were set by a call, one or none; one that cannot be held is counted.
    ///
    /// # Errors
    /// Those of setxattr(2), but for EOPNOTSUPP.
    pub(super) fn set(&mut self, given: rustix::io::Result<()>) -> rustix::io::Result<u64> {
        match given {
            Err(Errno::OPNOTSUPP) => {
                self.not_held(1);
                Ok(0)
            }
            given => given.map(|()| 1),
        }
    }

    /// Counts attributes that the file system or the kind of file cannot hold.
    pub(super) fn not_held(&mut self, count: u64) {
        self.left_out("of the attributes that this file system or kind of file cannot hold", count);
    }

    /// Counts attributes that are left out, by what they are.
    pub(super) fn left_out(&mut self, what: &str, count: u64) {
        if count > 0 {
            *self.attributes_left_out.entry(what.into()).or_default() += count;
        }
    }

    /// The counts that are not zero, in a line; what was left out, if anything, in a second.
    pub fn lines(&self) -> Vec<String> {
        let counts = [
            (self.files, "file", "files"),
            (self.directories, "directory", "directories"),
            (self.symlinks, "symlink", "symlinks"),
            (self.hard_links, "hard link", "hard links"),
            (self.fifos, "fifo", "fifos"),
            (self.devices, "device", "devices"),
            (self.attributes, "extended attribute", "extended attributes"),
        ];
        let mut made: Vec<_> =
            counts.into_iter().filter(|(count, ..)| *count > 0).map(counted).collect();
        made.push(size(self.bytes));
        let mut lines = vec![made.join(", ")];
        let left = [
            (
                self.devices_skipped,
                "device (only root outside a user namespace makes them)",
                "devices (only root outside a user namespace makes them)",
            ),
            (
                self.owners_squashed,
                "other owner (everything is yours)",
                "other owners (everything is yours)",
            ),
            (
                self.outside,
                "entry outside of the directory that was taken",
                "entries outside of the directory that was taken",
            ),
            (
                self.set_ids_dropped,
                "entry's set-ID bits (they would be yours)",
                "entries' set-ID bits (they would be yours)",
            ),
            (
                self.owners_unmapped,
                "owner that is not mapped here (it is root's)",
                "owners that are not mapped here (they are root's)",
            ),
        ];
        let mut left: Vec<_> =
            left.into_iter().filter(|(count, ..)| *count > 0).map(counted).collect();
        left.extend(
            self.attributes_left_out
                .iter()
                .map(|(name, count)| format!("{} {name}", thousands(*count))),
        );
        if !left.is_empty() {
            lines.push(format!("left out: {}", left.join(", ")));
        }
        lines.extend(self.doubt());
        lines
    }

    /// Why it may be no root file system, and what to do then.
    pub fn doubt(&self) -> Option<String> {
        match (&self.root_below, self.whiteouts) {
            (Some(name), _) => {
                let name = printable(name);
                Some(format!(
                    "its root file system seems to lie in '{name}': --sub {name} takes it"
                ))
            }
            (None, 0) => None,
            (None, count) => {
                let count = thousands(count);
                Some(format!(
                    "names of whiteouts: {count}; it seems to be a layer, and no whole image"
                ))
            }
        }
    }
}

fn counted((count, one, many): (u64, &str, &str)) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

/// A number with its thousands apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Bytes for people: whole below 1 KiB, one digit behind the point above.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut text = String::new();
    for unit in ["KiB", "MiB", "GiB"] {
        value /= 1024.0;
        if value < 1024.0 || unit == "GiB" {
            let _ = write!(text, "{value:.1} {unit}");
            break;
        }
    }
    if bytes < 1024 { format!("{bytes} B") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_for_people() {
        assert_eq!(
            [size(0), size(1023), size(1536), size(1 << 30)],
            ["0 B", "1023 B", "1.5 KiB", "1.0 GiB"]
        );
        assert_eq!(
            [thousands(0), thousands(999), thousands(1000), thousands(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn what_was_left_out_is_said() {
        let mut report = UnpackReport {
            files: 1,
            symlinks: 2,
            bytes: 10,
            owners_squashed: 3,
            ..UnpackReport::default()
        };
        report.attributes_left_out.insert("security.selinux".into(), 1);
        let expected = [
            "1 file, 2 symlinks, 10 B",
            "left out: 3 other owners (everything is yours), 1 security.selinux",
        ];
        assert_eq!(report.lines(), expected);
    }
}
