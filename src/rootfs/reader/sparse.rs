//! Files with holes. GNU tar has four ways to tell of them: its own header (`S`), and in PAX
//! archives the formats 0.0, 0.1 and 1.0.

use crate::rootfs::entry::Stretch;
use crate::rootfs::policy::{MOST_STRETCHES, Rule};
use crate::rootfs::reader::header::{BLOCK, fits};
use crate::rootfs::reader::values::decimal;
use tar::{GnuHeader, GnuSparseHeader};

const FIELD: &str = "map of holes";

/// A map that is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Map(Vec<Stretch>);

impl Map {
    /// Adds a stretch.
    ///
    /// # Errors
    /// [`Rule::SparseStretches`].
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<(), Rule> {
        if self.0.len() == MOST_STRETCHES {
            return Err(Rule::SparseStretches);
        }
        self.0.push(Stretch { offset, length });
        Ok(())
    }

    /// Adds those of a GNU header, or of one of the blocks that continue it; unused ones are empty.
    ///
    /// # Errors
    /// Numbers that are none.
    pub(super) fn extend(&mut self, headers: &[GnuSparseHeader]) -> Result<(), Rule> {
        for header in
            headers.iter().filter(|header| header.offset[0] != 0 || header.numbytes[0] != 0)
        {
            self.push(fits(&header.offset, FIELD)?, fits(&header.numbytes, FIELD)?)?;
        }
        Ok(())
    }

    /// The map, checked: in order, without overlap, within the file, and as long in all as what is
    /// stored.
    ///
    /// # Errors
    /// [`Rule::SparseMap`].
    pub(super) fn checked(self, stored: u64, size: u64) -> Result<Vec<Stretch>, Rule> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for stretch in &self.0 {
            if stretch.offset < end {
                return Err(Rule::SparseMap);
            }
            end = stretch
                .offset
                .checked_add(stretch.length)
                .filter(|&end| end <= size)
                .ok_or(Rule::SparseMap)?;
            sum += stretch.length;
        }
        if sum == stored { Ok(self.0) } else { Err(Rule::SparseMap) }
    }
}

/// The length with holes that a GNU header tells.
///
/// # Errors
/// A number that is none.
pub(super) fn real_size(header: &GnuHeader) -> Result<u64, Rule> {
    fits(&header.realsize, FIELD)
}

/// The map of format 1.0: decimal lines, the first of them how many pairs follow, filled up to
/// whole blocks. Gives the map once it is whole; `take` is fed a block at a time.
#[derive(Debug, Default)]
pub(super) struct Lines {
    digits: Vec<u8>,
    /// Numbers that are still to come.
    left: Option<u64>,
    offset: Option<u64>,
    map: Map,
}

impl Lines {
    /// Reads a block; whether the map is whole now.
    ///
    /// # Errors
    /// What is no number, or too many of them.
    pub(super) fn take(&mut self, block: &[u8; BLOCK]) -> Result<bool, Rule> {
        for &byte in block {
            if self.left == Some(0) {
                break;
            }
            match byte {
                b'\n' => self.number()?,
                _ if self.digits.len() < 20 => self.digits.push(byte),
                _ => return Err(Rule::Number(FIELD)),
            }
        }
        Ok(self.left == Some(0))
    }

    fn number(&mut self) -> Result<(), Rule> {
        let number = decimal(&std::mem::take(&mut self.digits), FIELD)?;
        match self.left {
            None if number > MOST_STRETCHES as u64 => return Err(Rule::SparseStretches),
            None => self.left = Some(number * 2),
            Some(left) => {
                self.left = Some(left - 1);
                match self.offset.take() {
                    None => self.offset = Some(number),
                    Some(offset) => self.map.push(offset, number)?,
                }
            }
        }
        Ok(())
    }

    /// The map.
    pub(super) fn into_map(self) -> Map {
        self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(u64, u64)]) -> Map {
        Map(pairs.iter().map(|&(offset, length)| Stretch { offset, length }).collect())
    }

    #[test]
    fn a_map_is_in_order_within_the_file_and_as_long_as_what_is_stored() {
        assert!(map(&[(0, 10), (20, 5), (30, 0)]).checked(15, 30).is_ok());
        for (wrong, stored, size) in [
            (&[(20, 5), (0, 10)][..], 15, 30),
            (&[(0, 10), (5, 5)], 15, 30),
            (&[(0, 31)], 31, 30),
            (&[(0, 10)], 9, 30),
            (&[(u64::MAX, 1)], 1, 5),
        ] {
            assert_eq!(map(wrong).checked(stored, size), Err(Rule::SparseMap), "{wrong:?}");
        }
    }

    #[test]
    fn lines_end_where_they_said_they_would() {
        let mut block = [0; BLOCK];
        block[..10].copy_from_slice(b"2\n0\n7\n9\n4\n");
        let mut lines = Lines::default();
        assert_eq!(lines.take(&block), Ok(true));
        assert_eq!(lines.into_map().0, map(&[(0, 7), (9, 4)]).0);
        block[..3].copy_from_slice(b"9x\n");
        assert_eq!(Lines::default().take(&block), Err(Rule::Number(FIELD)));
    }
}
