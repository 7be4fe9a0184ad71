//! The article's program, option by option: a child in new namespaces tries to send a message to
//! its parent through a POSIX queue.
//!
//! Its words are kept, and the order in which each side says them. Its faults are not: the queue is
//! made with O_EXCL and mode 0600, the message is bounded and ends with NUL, an interrupt removes
//! the queue, mounts are private before /proc is touched, each line is printed once also through a
//! pipe, and CMD's failure shows in the exit code.

pub mod child;
pub mod options;
pub mod parent;
pub mod words;

pub use parent::main;

/// The name under which the binary is the article's program, as the last part of argv\[0\].
pub const NAME: &str = "invoke_ns";
