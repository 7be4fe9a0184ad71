//! Tests that take minutes, each a part of its own: `scripts/test --programs`.

mod programs;
