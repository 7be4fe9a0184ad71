//! Readiness: the queue that the user can watch. Whether the child sees it is what `--ipc yes|no` shows; rustic's own correctness rests on
//! the control socket of [`crate::run::control`] alone.

pub mod message;
pub mod queue;
