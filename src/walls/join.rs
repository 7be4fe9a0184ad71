//! Namespaces of others, joined by their files, setns(2).

use crate::error::{SysError, errno_of, of_nix};
use crate::host::{Extent, extents};
use crate::namespace::{Namespace, Switch};
use crate::sys;
use nix::sched::{CloneFlags, setns};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::rc::Rc;

/// One namespace, opened and checked.
#[derive(Clone, Debug)]
pub struct Join {
    /// Its kind.
    pub namespace: Namespace,
    /// Where it was opened.
    pub path: PathBuf,
    /// Its file: whatever becomes of the path, this namespace it is.
    pub file: Rc<OwnedFd>,
}

impl PartialEq for Join {
    fn eq(&self, other: &Self) -> bool {
        (self.namespace, &self.path) == (other.namespace, &other.path)
    }
}

impl Eq for Join {}

impl Join {
    fn enter(&self) -> Result<(), SysError> {
        let kind = CloneFlags::from_bits_retain(self.namespace.clone_flag() as i32);
        setns(self.file.as_fd(), kind)
            .map_err(|errno| SysError::new(of_nix(errno), self.path.to_string_lossy()))
    }
}

/// What is joined, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joins {
    /// A user namespace that is entered first, because the others belong to it and rustic has no
    /// right over them outside: the joined one itself, or their owner.
    pub owner: Option<Join>,
    /// The others.
    pub others: Vec<Join>,
    /// A user namespace that is entered last, when the root file system is made, because rustic has
    /// its rights outside of it.
    pub last: Option<Join>,
}

/// What is seen from inside of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The user ids there.
    pub uids: Vec<Extent>,
    /// The group ids there.
    pub gids: Vec<Extent>,
    /// What the user ids are for rustic.
    pub uids_outside: Vec<Extent>,
    /// What the group ids are for rustic.
    pub gids_outside: Vec<Extent>,
    /// Whether setgroups(2) is allowed.
    pub setgroups: Switch,
    /// The host name.
    pub hostname: String,
    /// Whether somebody in the user namespace that is entered may come to CAP_SYS_ADMIN there, and
    /// with it into the child's mount namespace while the host's mounts are still in it.
    pub others_may_mount: Switch,
}

impl Joins {
    /// Whether nothing is joined.
    pub fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }

    /// All of them, in the order in which they are entered.
    pub fn each(&self) -> impl Iterator<Item = &Join> {
        self.owner.iter().chain(&self.others).chain(&self.last)
    }

    /// Moves this process, which has one thread, into them, but for the last one; of a pid and a
    /// time namespace its children become members.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN in the owner of one, which is named by its path.
    pub fn enter(&self) -> Result<(), SysError> {
        self.owner.iter().chain(&self.others).try_for_each(Join::enter)
    }

    /// Moves it into the last one.
    ///
    /// # Errors
    /// As of [`Joins::enter`].
    pub fn enter_last(&self) -> Result<(), SysError> {
        self.last.iter().try_for_each(Join::enter)
    }

    /// Looks around inside, in a process of its own. Nothing is changed.
    ///
    /// # Errors
    /// As of [`Joins::enter`], before anything was made.
    pub fn look(&self) -> Result<Inside, SysError> {
        let pipe = || std::io::pipe().map_err(|error| SysError::from(errno_of(&error)));
        let ((mut answer, mut told), (mut stays, goes_on)) = (pipe()?, pipe()?);
        // SAFETY: options are checked before any thread is there.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        let Some(child) = forked? else {
            drop((answer, goes_on));
            let entered = self.enter().and_then(|()| self.enter_last());
            let seen = entered.and_then(|()| RawInside::look());
            let seen = seen.map_err(|error| (error.errno.raw_os_error(), error.detail));
            let text = serde_json::to_vec(&seen).unwrap_or_default();
            let _ = told.write_all(&text);
            drop(told);
            // For as long as it is looked at from outside.
            let _ = stays.read(&mut [0]);
            sys::exit_now(0)
        };
        drop((told, stays));
        let mut text = Vec::new();
        let read = answer.read_to_end(&mut text);
        let outside = |name: &str| {
            let path = format!("/proc/{}/{name}", child.as_raw_nonzero());
            extents(&std::fs::read_to_string(path).ok()?)
        };
        let (uids_outside, gids_outside) = (outside("uid_map"), outside("gid_map"));
        drop(goes_on);
        let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED));
        read.map_err(|error| SysError::from(errno_of(&error)))?;
        let told: Result<RawInside, (i32, String)> =
            serde_json::from_slice(&text).map_err(|_| SysError::from(Errno::CHILD))?;
        match told {
            Ok(told) => {
                let inside = told.inside().ok_or(Errno::BADMSG)?;
                Ok(Inside {
                    uids_outside: uids_outside.unwrap_or_default(),
                    gids_outside: gids_outside.unwrap_or_default(),
                    ..inside
                })
            }
            Err((errno, detail)) => {
                Err(SysError::new(Errno::from_raw_os_error(errno.clamp(1, 4095)), detail))
            }
        }
    }
}

/// What the process inside tells, as the kernel writes it.
#[derive(Serialize, Deserialize)]
struct RawInside {
    uid_map: String,
    gid_map: String,
    setgroups: String,
    hostname: String,
}

impl RawInside {
    fn look() -> Result<Self, SysError> {
        let read = |name: &str| {
            let path = format!("/proc/self/{name}");
            std::fs::read_to_string(&path).map_err(|error| SysError::new(errno_of(&error), path))
        };
        Ok(Self {
            uid_map: read("uid_map")?,
            gid_map: read("gid_map")?,
            setgroups: read("setgroups")?,
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        })
    }

    fn inside(self) -> Option<Inside> {
        let setgroups = if self.setgroups.trim() == "deny" { Switch::No } else { Switch::Yes };
        Some(Inside {
            uids: extents(&self.uid_map)?,
            gids: extents(&self.gid_map)?,
            uids_outside: Vec::new(),
            gids_outside: Vec::new(),
            setgroups,
            hostname: self.hostname,
            others_may_mount: Switch::No,
        })
    }
}
