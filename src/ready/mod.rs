//! Readiness: the queue that the user can watch, and the other ways to say READY=1. Whether the
//! child sees the queue is what `--ipc yes|no` shows; rustic's own correctness rests on the control
//! socket of [`crate::run::control`] alone.

pub mod message;
pub mod notify;
pub mod queue;
