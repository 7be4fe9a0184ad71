//! From a header and what its extensions say to an entry: which kind, and where its content and its
//! holes lie.

use super::entries::Reader;
use super::extension::Effective;
use super::header::{self, BLOCK, fits, fits_or_zero};
use super::pax::Records;
use super::sparse;
use crate::error::Failure;
use crate::rootfs::entry::{Entry, EntryKind, EntryPath, Metadata, Time};
use crate::rootfs::policy::{LARGEST_EXTENSION, LONGEST_PATH, Rule};
use std::io::BufRead;
use tar::{GnuExtSparseHeader, Header};

/// Where the length of an entry is told: in its header, with this flag of its kind, or in a pax record.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    InHeader(u8),
    InRecords,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn entry(
        &mut self,
        header: &Header,
        effective: Effective,
    ) -> Result<Entry, Problem> {
        let Effective { name, link, flag, size, records } = effective;
        if name.is_empty() {
            return Err(Rule::Nameless.into());
        }
        let place = EntryPath::of(&name)?;
        // Before POSIX a directory was a file with a slash behind its name, and some writers still
        // tell it so.
        let kind = match flag {
            b'0' | b'\0' | b'7' if name.ends_with(b"/") => b'5',
            flag => flag,
        };
        if !matches!(kind, b'0' | b'\0' | b'7' | b'S') && size > 0 {
            let told = if records.size.is_some() { Told::InRecords } else { Told::InHeader(flag) };
            self.length_without_content(header, kind, told, &name, size)?;
        }
        let metadata = metadata(header, &records)?;
        let target = || match link.as_slice() {
            [] => Err(Rule::NoTarget),
            link if link.contains(&0) => Err(Rule::NulInName),
            link if link.len() > LONGEST_PATH => Err(Rule::LongTarget),
            link => Ok(link),
        };
        let kind = match kind {
            b'5' => EntryKind::Directory,
            b'D' if header.as_gnu().is_some() => EntryKind::Directory,
            b'0' | b'\0' | b'7' => self.file(size, records)?,
            b'S' => self.gnu_sparse(header, size)?,
            b'2' => EntryKind::Symlink(target()?.to_vec()),
            b'1' => EntryKind::HardLink(
                EntryPath::of(target()?)
                    .map_err(|rule| if rule == Rule::Climbs { Rule::LinkClimbs } else { rule })?,
            ),
            b'3' | b'4' => {
                let (major, minor) = header::device(header)?;
                if kind == b'3' {
                    EntryKind::Character(major, minor)
                } else {
                    EntryKind::Block(major, minor)
                }
            }
            b'6' => EntryKind::Fifo,
            other => return Err(Rule::Kind(other).into()),
        };
        if place.is_root() && kind != EntryKind::Directory {
            return Err(Rule::RootKind.into());
        }
        Ok(Entry { place, kind, metadata })
    }

    /// A length of what has no content.
    fn length_without_content(
        &mut self,
        header: &Header,
        kind: u8,
        told: Told,
        name: &[u8],
        size: u64,
    ) -> Result<(), Problem> {
        match kind {
            // A length that says nothing: to every reader no content follows. But bsdtar takes a
            // hard link's in the PAX format for one.
            b'5' if told == Told::InHeader(kind) => self.sized = Some(name.to_vec()),
            b'1' if !self.has_pax => self.sized = Some(name.to_vec()),
            b'D' if header.as_gnu().is_some() => self.dumped(size)?,
            // Readers differ in whether it is there: skipped by some, an entry of its own to others.
            kind if is_known(kind) => return Err(Rule::Content.into()),
            kind => return Err(Rule::Kind(kind).into()),
        }
        Ok(())
    }

    /// The list of what is in a directory, as GNU's incremental archives have it: a letter and a name
    /// each. In the first of a row of them everything is in the archive.
    fn dumped(&mut self, size: u64) -> Result<(), Problem> {
        if size > LARGEST_EXTENSION {
            return Err(Rule::LargeExtension.into());
        }
        self.expect(size);
        let mut list = Vec::new();
        self.content(|_, bytes| {
            list.extend_from_slice(bytes);
            Ok(())
        })?;
        let whole = list
            .split(|&byte| byte == 0)
            .filter_map(|line| line.first())
            .all(|letter| matches!(letter, b'Y' | b'D'));
        if whole { Ok(()) } else { Err(Rule::Incremental.into()) }
    }

    /// A file whose holes, if it has any, are told by PAX records.
    fn file(&mut self, stored: u64, records: Records) -> Result<EntryKind, Problem> {
        let sparse = records.sparse;
        let map = match (sparse.version, sparse.map) {
            ((Some(1), Some(0)), None) => {
                self.expect(stored);
                let (map, used) = self.leading_map()?;
                self.content = stored.checked_sub(used).ok_or(Rule::SparseMap)?;
                map
            }
            ((None, None), Some(map)) => {
                self.expect(stored);
                map
            }
            ((None, None), None) if sparse.real_size.is_none() => {
                self.expect(stored);
                return Ok(EntryKind::File { size: stored, data: None });
            }
            // A file of nothing but a hole has no pairs in format 0.0.
            ((None, None), None) => sparse::Map::default(),
            _ => return Err(Rule::SparseMap.into()),
        };
        let size = sparse.real_size.ok_or(Rule::SparseMap)?;
        let data = map.checked(self.content, size)?;
        Ok(EntryKind::File { size, data: Some(data) })
    }

    /// The map of format 1.0 at the start of the content, and how many bytes it took.
    fn leading_map(&mut self) -> Result<(sparse::Map, u64), Problem> {
        let mut lines = sparse::Lines::default();
        let mut used = 0;
        loop {
            used += BLOCK as u64;
            if used > self.content.min(LARGEST_EXTENSION * 4) {
                return Err(Rule::SparseMap.into());
            }
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if lines.take(&block)? {
                return Ok((lines.into_map(), used));
            }
        }
    }

    /// A file whose holes are told by GNU's own header and the blocks that continue it.
    fn gnu_sparse(&mut self, header: &Header, stored: u64) -> Result<EntryKind, Problem> {
        let gnu = header.as_gnu().ok_or(Rule::Kind(b'S'))?;
        let mut map = sparse::Map::default();
        map.extend(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            self.fill(block.as_mut_bytes())?;
            map.extend(block.sparse())?;
            more = block.is_extended();
        }
        let size = sparse::real_size(gnu)?;
        let data = map.checked(stored, size)?;
        self.expect(stored);
        Ok(EntryKind::File { size, data: Some(data) })
    }
}

/// Why an entry is refused: a rule, to which its name is added, or a stream that cannot be read.
pub(super) enum Problem {
    Broken(Rule),
    Stream(Failure),
}

impl Problem {
    pub(super) fn of(self, name: &[u8]) -> Failure {
        match self {
            Self::Broken(rule) => rule.of(name),
            Self::Stream(failure) => failure,
        }
    }
}

impl From<Rule> for Problem {
    fn from(rule: Rule) -> Self {
        Self::Broken(rule)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Stream(failure)
    }
}

fn is_known(flag: u8) -> bool {
    (b'0'..=b'7').contains(&flag)
}

fn metadata(header: &Header, records: &Records) -> Result<Metadata, Rule> {
    let old = header.as_old();
    let id = |field: &[u8], name| {
        let id: u64 = fits_or_zero(field, name)?;
        u32::try_from(id).ok().filter(|&id| id != u32::MAX).ok_or(Rule::Owner(id))
    };
    let mode: u64 = fits(&old.mode, "mode")?;
    Ok(Metadata {
        uid: records.uid.map_or_else(|| id(&old.uid, "user id"), Ok)?,
        gid: records.gid.map_or_else(|| id(&old.gid, "group id"), Ok)?,
        // Some writers put the kind into the upper bits, as stat(2) has it.
        mode: (mode & 0o7777) as u32,
        mtime: match records.mtime {
            Some(mtime) => mtime,
            None => {
                Time { seconds: fits_or_zero(&old.mtime, "modification time")?, nanoseconds: 0 }
            }
        },
        attributes: records.attributes.clone(),
        named_lists: records.named_lists.clone(),
        left_out: records.left_out,
    })
}
