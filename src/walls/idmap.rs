//! Which ids a new user namespace has, user_namespaces(7).

use crate::error::{SysError, errno_of};
use crate::host::{Extent, Host};
use rustix::io::Errno;
use rustix::process::Pid;
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
    /// Anybody, for its own uid and gid, once setgroups(2) is denied (CVE-2014-8989).
    OneId,
    /// The process that has joined the owner of a namespace, and clones the child there: every id
    /// that it sees, one to one.
    Joiner,
    /// Nobody: the namespace is joined, and has its maps.
    Nobody,
    /// newuidmap(1) and newgidmap(1), for the ranges of subuid(5).
    Helpers {
        /// The path of newuidmap.
        uid: PathBuf,
        /// The path of newgidmap.
        gid: PathBuf,
    },
}

impl IdMaps {
    /// The maps for this caller: as root every id that the caller itself has, one to one; otherwise
    /// 0 is the caller, and 1 and up are its subordinate ids where it has some, and the helpers are
    /// installed and have not refused.
    pub fn of(host: &Host) -> Self {
        if host.uid == 0 {
            return Self::same(&host.uid_map, &host.gid_map, Writer::Privileged);
        }
        let one = |id| vec![Extent { inside: 0, outside: id, count: 1 }];
        let helpers = (program("newuidmap"), program("newgidmap"));
        let ranges = (subordinate("/etc/subuid", host.uid), subordinate("/etc/subgid", host.uid));
        match (helpers, ranges) {
            ((Some(uid), Some(gid)), (Some(uids), Some(gids))) if host.ranges_refused.is_none() => {
                Self {
                    uids: [one(host.uid), vec![uids]].concat(),
                    gids: [one(host.gid), vec![gids]].concat(),
                    writer: Writer::Helpers { uid, gid },
                }
            }
            _ => Self { uids: one(host.uid), gids: one(host.gid), writer: Writer::OneId },
        }
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
            Writer::Nobody => Ok(()),
            Writer::Privileged | Writer::Joiner => {
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

/// The first range of a user in subuid(5), mapped from 1 up. Users stand there by name or by
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
        (mine && count > 0).then_some(Extent { inside: 1, outside: first, count })
    })
}
