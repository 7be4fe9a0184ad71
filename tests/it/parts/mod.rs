//! Tests that take minutes, each a part of its own: `scripts/test --faults`,
//! `scripts/test --files`, `scripts/test --fuzz`, `scripts/test --hosts`, `scripts/test --ids`, `scripts/test --images`, `scripts/test --launchers`,
//! `scripts/test --programs`, `scripts/test --sets`,
//! `scripts/test --truth`.

pub(crate) mod faults;
mod files;
mod fuzz;
mod hosts;
mod ids;
mod images;
mod launchers;
mod outer;
mod programs;
mod sets;
mod sources;
pub(crate) mod truth;
