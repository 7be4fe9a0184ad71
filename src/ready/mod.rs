//! Readiness: the queue that the user can watch, and the other ways to say READY=1. Whether the
//! child sees the queue is what `--ipc yes|no` shows; rustic's own correctness rests on the control
//! socket of [`crate::run::control`] alone.

pub mod message;
pub mod notify;
pub mod queue;

/// The descriptor that says READY=1 with `--ready app`: one digit, since dash(1) takes no larger
/// number in `>&$RUSTIC_READY_FD`.
pub const READY_FD: i32 = 3;
