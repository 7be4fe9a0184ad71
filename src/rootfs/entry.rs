//! An entry of an archive, checked: what the reader gives and the writer makes.

use crate::rootfs::acl::AccessList;
use crate::rootfs::policy::{LONGEST_NAME, LONGEST_PATH, Rule};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A thing to be made beneath the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path beneath the root.
    pub place: EntryPath,
    /// Its kind, with what belongs to that kind alone.
    pub kind: EntryKind,
    /// Owner, mode, times and attributes.
    pub metadata: Metadata,
}

/// A path beneath the root, in plain components: no slash at either end, no `.`, no `..`. Empty for
/// the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPath(Vec<u8>);

/// The kinds of files, inode(7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its length in bytes, holes included.
        size: u64,
        /// The stretches that are not holes, in order; `None` for a file without holes.
        data: Option<Vec<Stretch>>,
    },
    /// A symbolic link; its target is kept as it is, and the root of an absolute one is the
    /// container's.
    Symlink(Vec<u8>),
    /// Another name of a file that came earlier.
    HardLink(EntryPath),
    /// A character device, by major and minor number.
    Character(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// A part of a sparse file that is not a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// What an inode says of a file besides its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The twelve bits of chmod(2).
    pub mode: u32,
    /// Last modification.
    pub mtime: Time,
    /// Extended attributes, xattr(7), by full name.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Access control lists, by the name of their attribute, with names in place of numbers.
    pub named_lists: Vec<(&'static [u8], AccessList)>,
    /// How many the archive has and nobody can keep here: labels of security modules, file flags.
    pub left_out: u64,
}

/// A point in time since 1970, as utimensat(2) takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds on top of them, 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl EntryPath {
    /// A name of an archive as a place: leading and doubled slashes and dots dropped.
    ///
    /// # Errors
    /// One that climbs, has a NUL, or is too long.
    pub fn of(name: &[u8]) -> Result<Self, Rule> {
        if name.contains(&0) {
            return Err(Rule::NulInName);
        }
        let mut path = Vec::with_capacity(name.len());
        for part in name.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
            if part == b".." {
                return Err(Rule::Climbs);
            }
            if part.len() > LONGEST_NAME {
                return Err(Rule::LongName);
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        if path.len() > LONGEST_PATH { Err(Rule::LongPath) } else { Ok(Self(path)) }
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The same path from a directory on; `None` where it does not lie there.
    pub fn below(&self, directory: &[u8]) -> Option<Self> {
        let rest = self.0.strip_prefix(directory)?;
        match rest {
            [] => Some(Self::default()),
            [b'/', rest @ ..] => Some(Self(rest.to_vec())),
            _ => None,
        }
    }

    /// How many components it has.
    pub fn depth(&self) -> usize {
        if self.is_root() { 0 } else { 1 + self.0.iter().filter(|&&byte| byte == b'/').count() }
    }

    /// The path as bytes, without a slash at either end.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a path relative to the root, `.` for the root itself.
    pub fn path(&self) -> &Path {
        if self.is_root() { Path::new(".") } else { Path::new(OsStr::from_bytes(&self.0)) }
    }

    /// The directory that it lies in and its name there; `None` for the root.
    pub fn split(&self) -> Option<(&[u8], &Path)> {
        if self.is_root() {
            return None;
        }
        let (directory, name) = match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[][..], &self.0[..]),
        };
        Some((directory, Path::new(OsStr::from_bytes(name))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_plain_and_never_climbs() {
        let place = |name: &[u8]| EntryPath::of(name).map(|place| place.0);
        assert_eq!(place(b"./usr//bin/./ls/"), Ok(b"usr/bin/ls".to_vec()));
        assert_eq!(place(b"/etc"), Ok(b"etc".to_vec()));
        assert_eq!(place(b"./"), Ok(vec![]));
        assert_eq!(place(b"a/../b"), Err(Rule::Climbs));
        assert_eq!(place(b"a\0b"), Err(Rule::NulInName));
        assert_eq!(place(&[b'a'; 256]), Err(Rule::LongName));
        assert_eq!(EntryPath::of(&b"a/".repeat(2000)).unwrap().depth(), 2000);
        assert_eq!((EntryPath::default().depth(), EntryPath::of(b"a").unwrap().depth()), (0, 1));
        assert_eq!(
            place(&[b"b".repeat(255), b"/".to_vec()].concat().repeat(17)),
            Err(Rule::LongPath)
        );
        assert!(place(b"...").is_ok() && place(b"..a").is_ok(), "only '..' climbs");
    }

    #[test]
    fn a_place_splits_into_directory_and_name() {
        let place = EntryPath::of(b"a/b/c").unwrap();
        assert_eq!(place.split(), Some((&b"a/b"[..], Path::new("c"))));
        assert_eq!(EntryPath::of(b"a").unwrap().split(), Some((&b""[..], Path::new("a"))));
        assert_eq!(EntryPath::default().split(), None);
    }
}
