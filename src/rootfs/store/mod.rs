//! The store: one directory for each image, named by the sha256 of its archive, staged, locked and
//! renamed, never changed after that.
//!
//! ```text
//!   roots/DIGEST/tree         the files
//!   roots/DIGEST/record.json  what was unpacked, from what, when
//!   names/NAME                → ../roots/DIGEST
//!   seen/DEVICE-INODE         archives that were hashed already
//!   staging/KEY/              half an image
//!   locks/KEY                 exclusive while it is made or removed, shared while it is used
//!   runs/                     directories of runs without a mount namespace
//!   names.lock                while a name is given or taken away
//! ```

mod digest_cache;
mod layout;
mod lease;
mod lock;
mod names;
mod open;
mod record;
mod removal;
mod staging;
mod tree;

pub use layout::Store;
pub use lease::LeasedTree;
pub use names::{Listed, SHORT, Taking, has, is_digest, is_name, taken};
pub use open::Making;
pub use record::OwnersSeen;
pub use removal::Removed;
