//! Who watches an unpack, and what it is told.

use crate::error::Failure;

/// Who watches an unpack: shows how far it is, and may end it.
pub trait Watch {
    /// Called whenever more of the archive has been read, and while it is waited for.
    ///
    /// # Errors
    /// The end of the unpack, with its reason.
    fn look(&mut self, so_far: Progress) -> Result<(), Failure>;

    /// Called while another process unpacks, which tells how far it is.
    ///
    /// # Errors
    /// The end of the unpack, with its reason.
    fn heed(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A watcher that shows nothing and never ends an unpack.
pub struct Unwatched;

impl Watch for Unwatched {
    fn look(&mut self, _: Progress) -> Result<(), Failure> {
        Ok(())
    }
}

/// How far an unpack is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the archive that were read.
    pub read: u64,
    /// How many it has, where that is known.
    pub length: Option<u64>,
}
