//! A process of its own for what would change this one.

use std::io::Read;

/// What a new process has to say; it ends without coming back.
pub(super) fn in_a_child(say: impl FnOnce() -> String) -> String {
    let Ok((reader, writer)) = std::io::pipe() else { return "no pipe".into() };
    // SAFETY: this program has one thread, so the copy may do whatever it could do.
    match unsafe { libc::fork() } {
        0 => {
            drop(reader);
            let _ = std::io::Write::write_all(&mut { writer }, say().as_bytes());
            // SAFETY: ends this process and touches nothing.
            unsafe { libc::_exit(0) }
        }
        pid => {
            drop(writer);
            let mut text = String::new();
            let _ = { reader }.read_to_string(&mut text);
            // SAFETY: waits for the process made above; a status is not wanted.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            text
        }
    }
}
