//! Tests that take minutes, each a part of its own: `scripts/test --faults`,
//! `scripts/test --programs`, `scripts/test --truth`.

pub(crate) mod faults;
mod programs;
pub(crate) mod truth;
