//! Whether stdout was open when this process was started.

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether this process was started without a stdout. The runtime of Rust opens /dev/null in its
/// place before main, so that what is written there would be lost without an error.
pub fn stdout_is_closed() -> bool {
    STDOUT_IS_CLOSED.load(Ordering::Relaxed)
}

/// What the loader calls before the runtime looks at the standard streams, elf(5).
// SAFETY: entries of this section are pointers to functions, which is what this is.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STDOUT: extern "C" fn() = look_at_stdout;

extern "C" fn look_at_stdout() {
    // SAFETY: numbers only; nothing of the runtime is used, which is not there yet.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
    STDOUT_IS_CLOSED.store(closed, Ordering::Relaxed);
}
