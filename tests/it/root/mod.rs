//! The root file system: what is written where, binds, read-only, and what chroot does not hold.

mod bare;
mod binds;
mod chroot;
mod dev;
mod read_only;
mod targets;
mod written;
