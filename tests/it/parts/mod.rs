//! Tests that take minutes, each a part of its own: `scripts/test --aarch64`, `--faults`, `--files`,
//! `--fuzz`, `--hosts`, `--ids`, `--images`, `--launchers`, `--programs`, `--sets`, `--truth`.

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
