//! The walls, a file or a folder each. No wall knows another, and none knows when it is built: order lives in
//! [`crate::run::plan`].

pub mod dev;
pub mod hostname;
pub mod id_range;
pub mod idmap;
pub mod join;
pub mod keyring;
pub mod network;
pub mod privileges;
pub mod proc_masks;
pub mod root;
pub mod seccomp;
