//! Who makes and removes the files of images. A plain user with subordinate ids is root of a user
//! namespace for that, so that every owner of an archive can be kept; anybody else does it himself.

use crate::error::Failure;
use crate::host::{Extent, Host};
use crate::rootfs::remove;
use crate::rootfs::watch::Watch;
use crate::rootfs::writer::{UnpackRights, is_whole};
use crate::sys;
use crate::walls::idmap::{IdMaps, OwnIds, Writer};
use nix::sys::prctl;
use nix::sys::signal::Signal as NixSignal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, getppid, pidfd_open, pidfd_send_signal,
    waitid,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// How long the caller goes between two looks at who watches.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The ids that the owners of files are, as a user namespace has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIds {
    /// User ids.
    pub uids: Vec<Extent>,
    /// Group ids.
    pub gids: Vec<Extent>,
}

impl FileIds {
    /// Those of root in the caller's own user namespace; `None` where that has every id.
    pub fn of_root(host: &Host) -> Option<Self> {
        let is_whole = is_whole(&host.uid_map) && is_whole(&host.gid_map);
        (!is_whole).then(|| Self { uids: host.uid_map.clone(), gids: host.gid_map.clone() })
    }

    /// What root is outside.
    pub fn root(&self) -> (Option<u32>, Option<u32>) {
        let root = |map: &[Extent]| {
            map.iter().find(|extent| extent.inside == 0).map(|extent| extent.outside)
        };
        (root(&self.uids), root(&self.gids))
    }

    /// Whether no more than one owner can be kept.
    pub fn is_one(&self) -> bool {
        matches!(self.uids[..], [Extent { count: 1, .. }])
    }
}

/// Who makes and removes the files of images.
#[derive(Debug)]
pub struct Keeper {
    /// The maps of the user namespace that it is done in; `None` where it is done here.
    maps: Option<IdMaps>,
    rights: UnpackRights,
    /// The ids that owners are; `None` where every id is itself.
    pub ids: Option<FileIds>,
    namespace: RefCell<Option<OwnedFd>>,
    refused: RefCell<Option<String>>,
}

impl Keeper {
    /// For this caller.
    pub fn of(host: &Host) -> Self {
        let maps = (host.uid != 0).then(|| IdMaps::of(host, OwnIds::default()));
        let ids = match &maps {
            Some(maps) => Some(FileIds { uids: maps.uids.clone(), gids: maps.gids.clone() }),
            None => FileIds::of_root(host),
        };
        let maps = maps.filter(|maps| matches!(maps.writer, Writer::Helpers { .. }));
        let rights = match maps.as_ref().and(ids.as_ref()) {
            Some(ids) => UnpackRights::in_user_namespace(&ids.uids),
            None => UnpackRights::of(host),
        };
        Self { maps, rights, ids, namespace: RefCell::default(), refused: RefCell::default() }
    }

    /// What may be given to files in [`Keeper::with`].
    pub fn rights(&self) -> UnpackRights {
        self.rights
    }

    /// Why newuidmap(1) or newgidmap(1) does not map the subordinate ids, once it was tried.
    pub fn refused(&self) -> Option<String> {
        self.refused.borrow().clone()
    }

    /// Tries whether the subordinate ids can be had, where there are some.
    ///
    /// # Errors
    /// What newuidmap(1) or newgidmap(1) said.
    pub fn prepare(&self) -> Result<(), Failure> {
        let Some(maps) = &self.maps else { return Ok(()) };
        if self.namespace.borrow().is_none() {
            let made = maps.namespace().map_err(|error| {
                let why = if error.detail.is_empty() {
                    crate::error::errno_text(error.errno)
                } else {
                    error.detail
                };
                *self.refused.borrow_mut() = Some(why.clone());
                Failure::new("the subordinate ids cannot be mapped").why(why).man("newuidmap(1)")
            })?;
            *self.namespace.borrow_mut() = Some(made);
        }
        Ok(())
    }

    /// Makes or removes files as their keeper. The caller has one thread.
    ///
    /// # Errors
    /// Those of the work, and those of [`Keeper::prepare`].
    pub fn with<T: Serialize + DeserializeOwned>(
        &self,
        watch: &mut dyn Watch,
        work: impl FnOnce(&mut dyn Watch) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.prepare()?;
        let namespace = self.namespace.borrow();
        let Some(namespace) = namespace.as_ref() else { return work(watch) };
        let failed = |errno: Errno| {
            Failure::new("cannot work in a user namespace with the subordinate ids").errno(errno)
        };
        let (answer, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
        let parent = getpid();
        // SAFETY: the threads of an earlier unpack have been joined; the caller has one.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        let Some(child) = forked.map_err(failed)? else {
            drop(answer);
            let done = enter(namespace, parent).map_err(failed).and_then(|()| work(watch));
            let told = serde_json::to_vec(&done).unwrap_or_default();
            let told = File::from(theirs).write_all(&told);
            sys::exit_now(u8::from(told.is_err()))
        };
        drop(theirs);
        heard(answer, child, watch)
    }

    /// Removes a tree of the store, whoever its files belong to.
    ///
    /// # Errors
    /// What could not be removed: files of subordinate ids that the caller no longer has.
    pub fn remove(&self, path: &Path) -> Result<(), Errno> {
        match remove::tree(path) {
            Err(Errno::ACCESS | Errno::PERM) if self.maps.is_some() => {}
            removed => return removed,
        }
        let removed = self.with(&mut crate::rootfs::watch::Unwatched, |_| {
            Ok(remove::tree(path).err().map(Errno::raw_os_error))
        });
        match removed {
            Ok(None) => Ok(()),
            Ok(Some(errno)) => Err(Errno::from_raw_os_error(errno)),
            Err(failure) => Err(failure.errno.unwrap_or(Errno::ACCESS)),
        }
    }
}

/// Becomes root of the user namespace, and ends with who has forked this process.
fn enter(namespace: &OwnedFd, parent: Pid) -> Result<(), Errno> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))?;
    crate::walls::privileges::set_gid(0)?;
    crate::walls::privileges::set_uid(0)?;
    // A change of the uid clears it, prctl(2). One that is stopped ends too: what is half done is
    // swept by the next.
    prctl::set_pdeathsig(NixSignal::SIGKILL).map_err(crate::error::of_nix)?;
    if getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH) }
}

/// The answer of a process that was forked to work; it is ended when that is not wanted any more.
fn heard<T: DeserializeOwned>(
    answer: OwnedFd,
    child: Pid,
    watch: &mut dyn Watch,
) -> Result<T, Failure> {
    let pidfd = pidfd_open(child, PidfdFlags::empty());
    let mut unwanted = None;
    while unwanted.is_none()
        && poll(&mut [PollFd::new(&answer, PollFlags::IN)], Some(&PATIENCE)) != Ok(1)
    {
        if let Err(failure) = watch.heed() {
            // It removes what is half done.
            let _ = pidfd.as_ref().map(|pidfd| pidfd_send_signal(pidfd, Signal::TERM));
            unwanted = Some(failure);
        }
    }
    let mut told = Vec::new();
    let read = File::from(answer).read_to_end(&mut told);
    let ended = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED));
    if let Some(failure) = unwanted {
        return Err(failure);
    }
    let told = read.ok().and_then(|_| serde_json::from_slice::<Result<T, Failure>>(&told).ok());
    told.unwrap_or_else(|| {
        let signal = ended.ok().flatten().and_then(|status| status.terminating_signal());
        let how = signal.map_or_else(String::new, |signal| format!(" by signal {signal}"));
        Err(Failure::new(format!("the process with the subordinate ids was ended{how}")))
    })
}
