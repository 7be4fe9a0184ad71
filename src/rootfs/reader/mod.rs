//! The strict reader: a tar stream as entries. v7, POSIX ustar and pax, GNU. What two readers could
//! understand in two ways is refused.

mod entries;
mod entry;
mod extension;
mod header;
mod pax;
mod sparse;
#[cfg(test)]
mod tests;
mod values;

pub use entries::{Ending, Reader};
pub use header::checksum_holds;
