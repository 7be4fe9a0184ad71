//! Who verifies.

use rustix::process::geteuid;
use rustix::system::uname;
use std::time::SystemTime;

/// Who verifies, where and when.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The host's name.
    pub host: String,
    /// The user id.
    pub uid: u32,
    /// Seconds since 1970, UTC.
    pub time: u64,
}

impl Caller {
    /// This process, now.
    pub fn here() -> Self {
        let time = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Self {
            host: uname().nodename().to_string_lossy().into_owned(),
            uid: geteuid().as_raw(),
            time,
        }
    }
}
