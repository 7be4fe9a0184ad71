//! The writer: entries into a directory, beneath one descriptor, by calls on a single component
//! each, and never through a symlink.

mod closed;
mod component;
mod content;
mod entries;
mod failure;
mod layers;
mod limits;
mod metadata;
mod named_lists;
mod nodes;
mod parent;
mod rights;
mod settle;

pub use content::{Content, Take, write_all};
pub use entries::TreeWriter;
pub use limits::UnpackLimits;
pub(super) use parent::times_of;
pub use rights::{Devices, Owners, SetIds, UnpackRights, is_whole};
