//! The session keyring: no namespace covers it, so a container starts with the caller's unless it
//! joins another, keyrings(7).

use rustix::io::Result;

/// Joins a new anonymous session keyring.
///
/// # Errors
/// EDQUOT when the user's quota of keys (kernel.keys.maxkeys) is used up, as it is by 200
/// containers of one user.
pub fn join_new() -> Result<()> {
    crate::sys::keys::join_session_keyring()
}
