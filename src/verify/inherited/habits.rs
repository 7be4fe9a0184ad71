//! What a process keeps through execve(2) besides descriptors and variables. It is set by the
//! process that becomes rustic, and looked for in what the kernel tells of the agent outside.

use crate::sys;
use nix::sys::personality::Persona;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::umask;

/// A umask that no caller has.
pub const ODD_UMASK: u32 = 0o137;
/// A signal that no caller blocks, by its number.
pub const ODD_BLOCKED: i32 = 50;
/// A signal that no caller ignores, by its number.
pub const ODD_IGNORED: i32 = 51;

/// Sets them, and has no addresses randomized.
///
/// # Errors
/// Those of sigprocmask(2) and sigaction(2).
pub fn take_odd_habits() -> Result<(), Errno> {
    umask(Mode::from_raw_mode(ODD_UMASK));
    sys::block_signal(ODD_BLOCKED)?;
    sys::ignore_signal(ODD_IGNORED)?;
    // A filter around rustic may refuse it; then the others are looked for.
    let _ = nix::sys::personality::set(Persona::ADDR_NO_RANDOMIZE);
    Ok(())
}
