//! The processes and the wires between them.
//!
//! ```text
//!  parent (front)            warden (outside every wall)          child (inside)
//!  signals, terminal,  ───▶  parent of the child, subreaper  ───▶ walks the plan, becomes CMD
//!  queue, talk               cleans up when the parent ends
//! ```
//!
//! [`plan`] turns a Spec into the list of [`step`]s; [`parent`] makes ready and [`front`] waits; [`warden`] clones, reaps and cleans; [`child`] walks the
//! list and never returns. [`control`] is the protocol between them.

pub mod child;
pub mod control;
pub mod exec;
pub mod front;
pub mod info;
mod leak;
pub mod meaning;
pub mod parent;
pub mod plan;
pub mod readiness;
pub mod relay;
pub mod signals;
pub mod step;
pub mod talk;
pub mod terminal;
pub mod warden;
pub mod words;

pub use parent::{planned, run};
