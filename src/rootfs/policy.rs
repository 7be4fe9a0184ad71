//! What an archive may not do, a sentence each. The list is the policy: whatever is not refused
//! here is unpacked exactly.

use crate::error::{Failure, printable};
use std::fmt;
use std::io;

/// How deep a directory may lie.
pub const DEEPEST: usize = 256;
/// Bytes of a path: PATH_MAX of limits.h less the NUL.
pub const LONGEST_PATH: usize = 4095;
/// Bytes of a component: NAME_MAX of limits.h.
pub const LONGEST_NAME: usize = 255;
/// Bytes of one extended header, long name or map of holes.
pub const LARGEST_EXTENSION: u64 = 1 << 20;
/// Bytes of an extended attribute: XATTR_SIZE_MAX of linux/limits.h.
pub const LARGEST_ATTRIBUTE: usize = 64 << 10;
/// Stretches of data in a sparse file.
pub const MOST_STRETCHES: usize = 1 << 16;
/// Times that a stream may grow when it is decompressed, once it is past [`RATIO_FROM`].
pub const LARGEST_RATIO: u64 = 1000;
/// Decompressed bytes from which on the ratio counts.
pub const RATIO_FROM: u64 = 64 << 20;
/// Bytes of the window of xz and zstd.
pub const LARGEST_WINDOW: u64 = 128 << 20;

/// A rule that an archive has broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the sentence of each stands in words()")]
pub enum Rule {
    Number(&'static str),
    Owner(u64),
    Unmapped(u32, u32),
    Nameless,
    NulInName,
    Climbs,
    LongPath,
    LongName,
    Deep,
    RootKind,
    NotBeneath,
    ReplacesDirectory,
    NoTarget,
    LongTarget,
    LinkClimbs,
    LinkMissing(Vec<u8>),
    LinkToDirectory(Vec<u8>),
    Content,
    Kind(u8),
    LargeExtension,
    RepeatedExtension,
    MixedExtensions,
    DanglingExtension,
    PaxRecord,
    PaxUnknown(Vec<u8>),
    PaxRepeated(Vec<u8>),
    PaxGlobal(Vec<u8>),
    Attribute(Vec<u8>),
    AttributeKind,
    Acl,
    SparseMap,
    SparseStretches,
    Time,
    SetId,
    Bytes(u64),
    Entries(u64),
    Closed,
    Ratio,
    Window,
    Foreign(&'static str),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

impl std::error::Error for Rule {}

impl Rule {
    /// The sentence.
    pub fn words(&self) -> String {
        match self {
            Self::Number(field) => format!("its {field} is not a number that fits"),
            Self::Owner(id) => format!("{id} is no user or group id: they end at 4294967294"),
            Self::Unmapped(uid, gid) => format!(
                "its owner {uid}:{gid} is not mapped in this user \
                namespace"
            ),
            Self::Nameless => "it has no name".into(),
            Self::NulInName => "a NUL byte inside a name".into(),
            Self::Climbs => "'..' in a name would lead outside".into(),
            Self::LongPath => format!("a name of more than {LONGEST_PATH} bytes"),
            Self::LongName => format!("a component of more than {LONGEST_NAME} bytes"),
            Self::Deep => format!("deeper than {DEEPEST} directories"),
            Self::RootKind => "the root itself can only be a directory".into(),
            Self::NotBeneath => "the directory that it lies in is a symlink or no directory, and \
                nothing is written through one"
                .into(),
            Self::ReplacesDirectory => "it would take the place of a directory".into(),
            Self::NoTarget => "a link to nothing".into(),
            Self::LongTarget => format!("a link target of more than {LONGEST_PATH} bytes"),
            Self::LinkClimbs => "a hard link that would lead outside".into(),
            Self::LinkMissing(to) => format!(
                "a hard link to '{}', which the archive has not \
                made",
                shown(to)
            ),
            Self::LinkToDirectory(to) => format!(
                "a hard link to '{}', which is a \
                directory",
                shown(to)
            ),
            Self::Content => "content, which its kind of entry has not".into(),
            Self::Kind(flag) => format!(
                "a kind of entry that is not known \
                ('{}')",
                flag.escape_ascii()
            ),
            Self::LargeExtension => "an extended header of more than 1 MiB".into(),
            Self::RepeatedExtension => "two extended headers of one kind in a row".into(),
            Self::MixedExtensions => "a name both in the GNU and in the PAX way".into(),
            Self::DanglingExtension => "an extended header that no entry follows".into(),
            Self::PaxRecord => "a damaged record in its extended header".into(),
            Self::PaxUnknown(key) => format!(
                "a record that is not known ({}): what it means \
                would be lost",
                shown(key)
            ),
            Self::PaxRepeated(key) => format!(
                "the record {} twice in one extended \
                header",
                shown(key)
            ),
            Self::PaxGlobal(key) => format!(
                "the record {} in a global header, where it would hit \
                every entry",
                shown(key)
            ),
            Self::Attribute(name) => format!(
                "the extended attribute '{}', which Linux cannot \
                have",
                shown(name)
            ),
            Self::AttributeKind => "an extended attribute on what is neither a file nor a \
                directory"
                .into(),
            Self::Acl => "an access control list that is damaged, or names a user without a \
                number (tar --xattrs writes numbers)"
                .into(),
            Self::SparseMap => "a map of holes that contradicts itself".into(),
            Self::SparseStretches => format!(
                "a sparse file of more than {MOST_STRETCHES} \
                stretches"
            ),
            Self::Time => "a modification time that this file system cannot hold".into(),
            Self::SetId => "its set-user-ID or set-group-ID bit, which cannot be set here".into(),
            Self::Bytes(most) => format!(
                "more than {most} bytes in all (--max-size of rustic \
                rootfs)"
            ),
            Self::Entries(most) => format!(
                "more than {most} entries, implied directories \
                included (--max-entries of rustic rootfs)"
            ),
            Self::Closed => "too many directories that keep their owner out, or devices that are \
                left out"
                .into(),
            Self::Ratio => format!(
                "it grows more than {LARGEST_RATIO}-fold when it is \
                decompressed, as a bomb does"
            ),
            Self::Window => format!(
                "its decompression needs a window of more than {} \
                MiB",
                LARGEST_WINDOW >> 20
            ),
            Self::Foreign(kind) => format!("it is {kind}, not a root file system"),
        }
    }

    /// The refusal of an entry.
    pub fn of(self, entry: &[u8]) -> Failure {
        let failure = Failure::new(format!("archive entry '{}': {self}", shown(entry)));
        match self {
            Self::Foreign(_) => failure.remedy(
                "docker export CONTAINER (or podman's) writes the \
                files: … | rustic rootfs import NAME -",
            ),
            _ => failure,
        }
    }
}

/// A stream that could not be read: a rule where one was broken, the reason of who ended it, damage
/// otherwise.
pub fn unreadable(error: io::Error) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Rule>()) {
            Some(rule) => Failure::new(rule.words()),
            None => damaged(&error.to_string()),
        },
    }
}

/// A stream that ends too early, or holds what no archiver writes.
pub fn damaged(how: &str) -> Failure {
    Failure::new(format!("the archive is damaged or cut short: {how}"))
}

/// A name for an error line, which need not be as long as the name.
pub fn shown(name: &[u8]) -> String {
    printable(&String::from_utf8_lossy(name).chars().take(200).collect::<String>())
}
