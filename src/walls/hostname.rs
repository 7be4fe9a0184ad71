//! The host name of a new UTS namespace, uts_namespaces(7).

use rustix::io::Result;

/// Sets it; a new namespace starts with a copy of the caller's.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN over the namespace.
pub fn set(name: &str) -> Result<()> {
    rustix::system::sethostname(name.as_bytes())
}
