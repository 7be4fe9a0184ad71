//! Other launchers: what they are called with, what they are given, and their probe among the
//! processes.

pub mod find;
pub mod order;
pub mod recipes;
pub mod words;
pub mod workplace;
