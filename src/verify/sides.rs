//! The two sides of a namespace, which are compared from outside.

use crate::error::errno_text;
use crate::namespace::Namespace;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, fstat, open};

/// A namespace of the outside and the one inside, held open while they are compared.
pub struct Sides {
    /// The verifier's.
    pub outside: OwnedFd,
    /// The agent's.
    pub inside: OwnedFd,
}

impl Sides {
    /// Those of this process and of another one.
    ///
    /// # Errors
    /// Which of them cannot be opened and why, for a reader.
    pub fn open(pid: i32, namespace: Namespace) -> Result<Self, String> {
        let of = |process: &str, entry: &str| {
            let path = format!("/proc/{process}/ns/{entry}");
            open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| format!("{path}: {}", errno_text(errno)))
        };
        let entry = namespace.proc_entry();
        // unshare(2) puts children into a new time namespace, not the caller.
        let ours = if namespace == Namespace::Time { "time_for_children" } else { entry };
        Ok(Self { outside: of("self", ours)?, inside: of(&pid.to_string(), entry)? })
    }

    /// Device and inode number of each, the outside first: the same file is the same namespace.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn files(&self) -> rustix::io::Result<[(u64, u64); 2]> {
        let file = |fd: &OwnedFd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
        Ok([file(&self.outside)?, file(&self.inside)?])
    }
}
