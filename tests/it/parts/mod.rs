//! Tests that take minutes, each a part of its own: `scripts/test --faults`,
//! `scripts/test --files`, `scripts/test --programs`, `scripts/test --sets`, `scripts/test --truth`.

pub(crate) mod faults;
mod files;
mod programs;
mod sets;
pub(crate) mod truth;
