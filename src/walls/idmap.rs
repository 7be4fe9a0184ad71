//! Which ids a new user namespace has, user_namespaces(7).

use crate::error::{SysError, errno_of};
use crate::host::{Extent, Host, contains};
use crate::sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The maps of a container, and who may write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMaps {
    /// User ids.
    pub uids: Vec<Extent>,
    /// Group ids.
    pub gids: Vec<Extent>,
    /// By which right they are written.
    pub writer: Writer,
}

/// Who may write the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A process with CAP_SETUID and CAP_SETGID: every id of the caller, one to one.
    Privileged,
    /// The same, for a range that no user has.
    Range,
    /// Anybody, for its own uid and gid, once setgroups(2) is denied (CVE-2014-8989).
    OneId,
    /// The process that has joined the owner of a namespace, and clones the child there: every id
    /// that it sees, one to one.
    Joiner,
    /// Nobody: the namespace is joined, and has its maps.
    Nobody,
    /// Nobody either, and the ids are given as they are outside: root joins it when the root file
    /// system is made.
    Outside,
    /// newuidmap(1) and newgidmap(1), for the ranges of subuid(5).
    Helpers {
        /// The path of newuidmap.
        uid: PathBuf,
        /// The path of newgidmap.
        gid: PathBuf,
    },
}

/// The uid and gid that a plain user has inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnIds {
    /// Where there is no other id.
    pub alone: (u32, u32),
    /// With subordinate ids around.
    pub among_others: (u32, u32),
}

impl IdMaps {
    /// The maps for this caller: as root every id that the caller itself has, one to one; otherwise
    /// that of the caller and around it its subordinate ids where it has some, and the helpers are
    /// installed and have not refused.
    pub fn of(host: &Host, own: OwnIds) -> Self {
        if host.uid == 0 {
            return Self::same(&host.uid_map, &host.gid_map, Writer::Privileged);
        }
        // What the helpers have refused was to be among others.
        let refused = host.ranges_refused.is_some();
        let (uid, gid) = if refused { own.among_others } else { own.alone };
        let helpers = (program("newuidmap"), program("newgidmap"));
        let ranges = (subordinate("/etc/subuid", host.uid), subordinate("/etc/subgid", host.uid));
        match (helpers, ranges) {
            ((Some(uid), Some(gid)), (Some(uids), Some(gids))) if host.ranges_refused.is_none() => {
                Self {
                    uids: around(one(own.among_others.0, host.uid), uids),
                    gids: around(one(own.among_others.1, host.gid), gids),
                    writer: Writer::Helpers { uid, gid },
                }
            }
            _ => Self {
                uids: vec![one(uid, host.uid)],
                gids: vec![one(gid, host.gid)],
                writer: Writer::OneId,
            },
        }
    }

    /// Ids from 0 up are those of a range that no user has.
    pub fn of_range(extent: Extent) -> Self {
        Self { uids: vec![extent], gids: vec![extent], writer: Writer::Range }
    }

    /// What a user id inside is outside, for who writes the maps.
    pub fn outside(&self, uid: u32) -> Option<u32> {
        translated(&self.uids, uid)
    }

    /// Whether who owns a file outside is somebody inside. Through an idmapped mount owners are
    /// inside as they are on disk.
    pub fn has_owner(&self, uid: u32, gid: u32) -> bool {
        let has = |map: &[Extent], id: u32| {
            map.iter().any(|extent| {
                let first = match self.writer {
                    Writer::Range | Writer::Outside => extent.inside,
                    Writer::Privileged
                    | Writer::OneId
                    | Writer::Joiner
                    | Writer::Nobody
                    | Writer::Helpers { .. } => extent.outside,
                };
                id >= first && id - first < extent.count
            })
        };
        has(&self.uids, uid) && has(&self.gids, gid)
    }

    /// The uid and gid outside of root inside, where root outside is nobody in it.
    pub fn owner(&self) -> Option<(u32, u32)> {
        let owner = (translated(&self.uids, 0)?, translated(&self.gids, 0)?);
        matches!(self.writer, Writer::Range | Writer::Outside).then_some(owner)
    }

    /// A user namespace with these maps, and nobody in it: for idmapped mounts, where only the
    /// numbers count, mount_setattr(2).
    ///
    /// # Errors
    /// Those of clone3(2) and of [`IdMaps::write`].
    pub fn namespace(&self) -> Result<OwnedFd, SysError> {
        // It lives until it is told to end by a pipe, or whoever holds the other end is gone.
        let (held, open) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: who makes the root file system has one thread.
        #[allow(unsafe_code, reason = "clone3(2) with one thread")]
        let cloned = unsafe { sys::clone3(libc::CLONE_NEWUSER as u64) }?;
        let Some((pid, pidfd)) = cloned else {
            drop(open);
            let _ = retry_on_intr(|| read(&held, &mut [0]));
            sys::exit_now(0)
        };
        let namespace = self.write(pid).and_then(|()| {
            let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
            Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
        });
        let _ = write(&open, &[0]);
        drop(open);
        let _ = retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
        namespace
    }

    /// Every id of these maps, one to one.
    pub fn same(uids: &[Extent], gids: &[Extent], writer: Writer) -> Self {
        let same = |map: &[Extent]| {
            map.iter().map(|extent| Extent { outside: extent.inside, ..*extent }).collect()
        };
        Self { uids: same(uids), gids: same(gids), writer }
    }

    /// Writes the maps of a process that was just cloned into the namespace.
    ///
    /// # Errors
    /// EPERM when the writer lacks the right; what a helper said when it refuses.
    pub fn write(&self, pid: Pid) -> Result<(), SysError> {
        let proc = format!("/proc/{}", pid.as_raw_nonzero());
        match &self.writer {
            Writer::Nobody | Writer::Outside => Ok(()),
            Writer::Privileged | Writer::Range | Writer::Joiner => {
                put(&format!("{proc}/uid_map"), &lines(&self.uids))?;
                put(&format!("{proc}/gid_map"), &lines(&self.gids))
            }
            Writer::OneId => {
                put(&format!("{proc}/setgroups"), "deny")?;
                put(&format!("{proc}/uid_map"), &lines(&self.uids))?;
                put(&format!("{proc}/gid_map"), &lines(&self.gids))
            }
            Writer::Helpers { uid, gid } => {
                helper(uid, pid, &self.uids)?;
                helper(gid, pid, &self.gids)
            }
        }
    }
}

fn one(inside: u32, outside: u32) -> Extent {
    Extent { inside, outside, count: 1 }
}

/// One id, and those of a range from 0 up in what is left.
fn around(own: Extent, range: Extent) -> Vec<Extent> {
    let below = own.inside.min(range.count);
    let first = Extent { inside: 0, outside: range.outside, count: below };
    let rest = Extent {
        inside: own.inside + 1,
        outside: range.outside + below,
        count: range.count - below,
    };
    [first, own, rest].into_iter().filter(|extent| extent.count > 0).collect()
}

fn translated(map: &[Extent], id: u32) -> Option<u32> {
    let extent = map.iter().find(|extent| contains(&[**extent], id))?;
    extent.outside.checked_add(id - extent.inside)
}

fn lines(map: &[Extent]) -> String {
    map.iter().fold(String::new(), |mut text, extent| {
        let _ = writeln!(text, "{} {} {}", extent.inside, extent.outside, extent.count);
        text
    })
}

/// One write(2) with everything: a second one is refused by the kernel.
fn put(path: &str, text: &str) -> Result<(), SysError> {
    fs::write(path, text)
        .map_err(|error| SysError::new(errno_of(&error), format!("writing {path}")))
}

fn helper(program: &Path, pid: Pid, map: &[Extent]) -> Result<(), SysError> {
    let numbers = map.iter().flat_map(|extent| [extent.inside, extent.outside, extent.count]);
    let output = Command::new(program)
        .arg(pid.as_raw_nonzero().to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| SysError::new(errno_of(&error), program.display().to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(SysError::new(Errno::PERM, String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// A helper in the places where distributions put it; PATH is the caller's and is not asked.
fn program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.is_file())
}

/// The first range of a user in subuid(5). Users stand there by name or by
/// number.
fn subordinate(file: &str, uid: u32) -> Option<Extent> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    fs::read_to_string(file).ok()?.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let first = fields.next()?.parse().ok()?;
        let count = fields.next()?.trim().parse().ok()?;
        let mine = Some(owner) == name.as_deref() || owner.parse() == Ok(uid);
        (mine && count > 0).then_some(Extent { inside: 0, outside: first, count })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_lies_around_the_callers_own_id() {
        let range = Extent { inside: 0, outside: 100_000, count: 10 };
        let lines = |inside| super::lines(&around(one(inside, 1000), range));
        assert_eq!(lines(0), "0 1000 1\n1 100000 10\n");
        assert_eq!(lines(4), "0 100000 4\n4 1000 1\n5 100004 6\n");
        assert_eq!(lines(1000), "0 100000 10\n1000 1000 1\n");
    }
}
