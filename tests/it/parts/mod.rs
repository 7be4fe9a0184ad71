//! Tests that take minutes, each a part of its own: `scripts/test --faults`,
//! `scripts/test --programs`.

pub(crate) mod faults;
mod programs;
