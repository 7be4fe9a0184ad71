//! The bytes of a file, from where they are stored to where they belong.

use crate::error::Failure;
use crate::rootfs::entry::Stretch;
use rustix::fd::OwnedFd;

/// Takes a piece of a file: its place in the stored bytes, which for a sparse file are those
/// without the holes, and the bytes.
pub type Take<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Failure> + 'a;

/// The content of a file.
pub trait Content {
    /// Gives it piece by piece.
    ///
    /// # Errors
    /// What it could not be read for, and what `take` fails with.
    fn each(&mut self, take: &mut Take<'_>) -> Result<(), Failure>;
}

/// Writes all of it, however the kernel cuts it.
///
/// # Errors
/// Those of write(2).
pub fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(file, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// The stretches of a sparse file that are still to be written.
pub(super) struct Spread<'a> {
    stretches: &'a [Stretch],
    /// Where the first of them begins in the stored bytes.
    start: u64,
}

impl<'a> Spread<'a> {
    pub(super) fn over(stretches: &'a [Stretch]) -> Self {
        Self { stretches, start: 0 }
    }

    /// Writes a piece that stands at `at` in the stored bytes.
    pub(super) fn write(
        &mut self,
        file: &OwnedFd,
        mut at: u64,
        mut bytes: &[u8],
    ) -> rustix::io::Result<()> {
        while let (Some(stretch), false) = (self.stretches.first(), bytes.is_empty()) {
            let within = at - self.start;
            let length =
                usize::try_from(stretch.length - within).unwrap_or(usize::MAX).min(bytes.len());
            let mut piece = &bytes[..length];
            let mut offset = stretch.offset + within;
            while !piece.is_empty() {
                let written =
                    rustix::io::retry_on_intr(|| rustix::io::pwrite(file, piece, offset))?;
                piece = &piece[written..];
                offset += written as u64;
            }
            bytes = &bytes[length..];
            at += length as u64;
            if at - self.start == stretch.length {
                self.start = at;
                self.stretches = &self.stretches[1..];
            }
        }
        Ok(())
    }
}
