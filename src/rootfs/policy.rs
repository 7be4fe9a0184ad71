//! What an archive may not do, a sentence each. The list is the policy: whatever is not refused
//! here is unpacked exactly.

use crate::error::{Failure, printable};
use std::fmt;
use std::io;

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

/// A rule that an archive has broken; the sentence of each stands in `words`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Number(&'static str),
    Owner(u64),
    Nameless,
    NulInName,
    Climbs,
    LongPath,
    LongName,
    Deep(u64),
    RootKind,
    NotBeneath,
    ReplacesDirectory,
    NoTarget,
    LongTarget,
    LinkClimbs,
    LinkMissing(Vec<u8>),
    LinkOutside(Vec<u8>),
    LinkToDirectory(Vec<u8>),
    Content,
    Kind(u8),
    Incremental,
    LargeExtension,
    RepeatedExtension,
    MixedExtensions,
    DanglingExtension,
    PaxRecord,
    PaxUnknown(Vec<u8>),
    PaxRepeated(Vec<u8>),
    PaxGlobal(Vec<u8>),
    Attribute(Vec<u8>),
    Acl,
    SparseMap,
    SparseStretches,
    Time,
    SetId,
    Bytes(u64),
    Entries(u64),
    Closed,
    Lists,
    LayerNames,
    Mark,
    MarkKind,
    MarkOfOwn,
    OpaqueOverOwn,
    Ratio,
    Window,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

impl std::error::Error for Rule {}

impl Rule {
    /// The rule as a sentence, with what the archive has in it.
    pub fn words(&self) -> String {
        self.sentence().replacen("{}", &self.argument(), 1)
    }

    /// The sentence, with `{}` where its argument belongs. A flat table.
    const fn sentence(&self) -> &'static str {
        match self {
            Self::Number(_) => "its {} is not a number that fits",
            Self::Owner(_) => "{} is no user or group id: they end at 4294967294",
            Self::Nameless => "it has no name",
            Self::NulInName => "a NUL byte inside a name",
            Self::Climbs => "'..' in a name would lead outside",
            Self::LongPath => "a name of more than {} bytes",
            Self::LongName => "a component of more than {} bytes",
            Self::Deep(_) => "deeper than {} directories (--max-depth of rustic rootfs)",
            Self::RootKind => "the root itself can only be a directory",
            Self::NotBeneath => {
                "the directory that it lies in is a symlink or no directory, and nothing is \
                    written through one"
            }
            Self::ReplacesDirectory => "it would take the place of a directory that is not empty",
            Self::NoTarget => "a link to nothing",
            Self::LongTarget => "a link target of more than {} bytes",
            Self::LinkClimbs => "a hard link that would lead outside",
            Self::LinkMissing(_) => "a hard link to '{}', which the archive has not made",
            Self::LinkOutside(_) => "a hard link to '{}', which lies outside of what is taken",
            Self::LinkToDirectory(_) => "a hard link to '{}', which is a directory",
            Self::Content => "content, which its kind of entry has not",
            Self::Kind(_) => "a kind of entry that is not known ('{}')",
            Self::Incremental => "a directory of an incremental archive that needs those before it",
            Self::LargeExtension => "an extended header of more than {} MiB",
            Self::RepeatedExtension => "two extended headers of one kind in a row",
            Self::MixedExtensions => "a name both in the GNU and in the PAX way",
            Self::DanglingExtension => "an extended header that no entry follows",
            Self::PaxRecord => "a damaged record in its extended header",
            Self::PaxUnknown(_) => "a record that is not known ({}): what it means would be lost",
            Self::PaxRepeated(_) => "the record {} twice in one extended header",
            Self::PaxGlobal(_) => {
                "the record {} in a global header, where it would hit every entry"
            }
            Self::Attribute(_) => "the extended attribute '{}', which Linux cannot have",
            Self::Acl => "an access control list that is damaged",
            Self::SparseMap => "a map of holes that contradicts itself",
            Self::SparseStretches => "a sparse file of more than {} stretches",
            Self::Time => "a modification time that this file system cannot hold",
            Self::SetId => "its set-user-ID or set-group-ID bit, which cannot be set here",
            Self::Bytes(_) => "more than {} bytes in all (--max-size of rustic rootfs)",
            Self::Entries(_) => {
                "more than {} entries, implied directories included (--max-entries of rustic \
                    rootfs)"
            }
            Self::Closed => {
                "too many directories that keep their owner out, or devices that are left out"
            }
            Self::Lists => "too many access control lists with names in place of numbers",
            Self::LayerNames => "a layer of too many names",
            Self::Mark => "a whiteout of nothing that can be named, which engines take differently",
            Self::MarkKind => "a whiteout that is a directory",
            Self::MarkOfOwn => {
                "a whiteout of what the same layer has made, which engines take differently"
            }
            Self::OpaqueOverOwn => {
                "an opaque mark over a directory that this layer does not name and has something \
                    in, which engines take differently"
            }
            Self::Ratio => "it grows more than {}-fold when it is decompressed, as a bomb does",
            Self::Window => "its decompression needs a window of more than {} MiB",
        }
    }

    /// What stands in the sentence for `{}`: what the archive has, or the limit that it breaks.
    fn argument(&self) -> String {
        match self {
            Self::Number(text) => (*text).to_owned(),
            Self::Owner(number)
            | Self::Bytes(number)
            | Self::Entries(number)
            | Self::Deep(number) => number.to_string(),
            Self::Kind(flag) => flag.escape_ascii().to_string(),
            Self::LinkMissing(name)
            | Self::LinkOutside(name)
            | Self::LinkToDirectory(name)
            | Self::PaxUnknown(name)
            | Self::PaxRepeated(name)
            | Self::PaxGlobal(name)
            | Self::Attribute(name) => shown(name),
            Self::LongPath | Self::LongTarget => LONGEST_PATH.to_string(),
            Self::LongName => LONGEST_NAME.to_string(),
            Self::LargeExtension => (LARGEST_EXTENSION >> 20).to_string(),
            Self::SparseStretches => MOST_STRETCHES.to_string(),
            Self::Ratio => LARGEST_RATIO.to_string(),
            Self::Window => (LARGEST_WINDOW >> 20).to_string(),
            Self::Nameless
            | Self::NulInName
            | Self::Climbs
            | Self::RootKind
            | Self::NotBeneath
            | Self::ReplacesDirectory
            | Self::NoTarget
            | Self::LinkClimbs
            | Self::Content
            | Self::Incremental
            | Self::RepeatedExtension
            | Self::MixedExtensions
            | Self::DanglingExtension
            | Self::PaxRecord
            | Self::Acl
            | Self::SparseMap
            | Self::Time
            | Self::SetId
            | Self::Closed
            | Self::Lists
            | Self::LayerNames
            | Self::Mark
            | Self::MarkKind
            | Self::MarkOfOwn
            | Self::OpaqueOverOwn => String::new(),
        }
    }

    /// The refusal of an entry.
    pub fn of(self, entry: &[u8]) -> Failure {
        Failure::new(format!("archive entry '{}': {self}", shown(entry)))
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
