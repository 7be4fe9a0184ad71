//! What belongs to the outside's root: a directory that the inside is given a way into, and a
//! process that a signal can be sent to.

use crate::error::{errno_text, without_number};
use crate::sys;
use crate::verify::child::ended;
use crate::verify::outside::Canary;
use crate::verify::stage::Stage;
use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal,
};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// The file that nobody but the outside's root may open.
pub const CLOSED: &str = "closed";

/// A directory that everybody may write to, with a file that is root's alone.
pub struct UserCanary {
    path: PathBuf,
    /// The directory, for those inside.
    pub(super) directory: OwnedFd,
}

impl Canary for UserCanary {
    fn plant(stage: &Stage, _: &[PathBuf]) -> Result<Self, String> {
        let path = stage.directory.join("handed-in");
        let mode = |path: &PathBuf, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        let closed = path.join(CLOSED);
        fs::create_dir(&path)
            .and_then(|()| mode(&path, 0o777))
            .and_then(|()| fs::write(&closed, &stage.secret))
            .and_then(|()| mode(&closed, 0o600))
            .map_err(|error| without_number(&error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(&path, flags, Mode::empty()).map_err(errno_text)?;
        Ok(Self { path, directory })
    }
}

impl UserCanary {
    /// Whose set-user-ID program there is under this name; `None` for none. It is taken away.
    pub(super) fn taken_set_user_id(&self, name: &str) -> Option<u32> {
        const S_ISUID: u32 = 0o4000;
        let path = self.path.join(name);
        let stat = fs::symlink_metadata(&path).ok()?;
        let _ = fs::remove_file(&path);
        (stat.mode() & S_ISUID != 0).then_some(stat.uid())
    }
}

/// A process of the outside's root that hears no SIGUSR1: one that is sent stays pending.
pub struct Deaf(Pid);

impl Deaf {
    /// Starts it.
    ///
    /// # Errors
    /// EAGAIN.
    pub(super) fn start() -> Result<Self, String> {
        let verifier = getpid();
        let signal = SigSet::from(NixSignal::SIGUSR1);
        signal.thread_block().map_err(|errno| errno.to_string())?;
        // SAFETY: the verifier has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        if let Ok(None) = forked {
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            // The signal of a death before that call does not come.
            while getppid() == Some(verifier) {
                rustix::event::pause();
            }
            sys::exit_now(1)
        }
        let _ = signal.thread_unblock();
        forked.map_err(errno_text)?.map(Self).ok_or_else(|| "it is not there".into())
    }

    /// Its number outside.
    pub(super) fn number(&self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Whether the signal has come, as the kernel tells it outside.
    pub(super) fn has_heard(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.number()));
        let status = status.unwrap_or_default();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        let mask = pending.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
        mask.is_some_and(|mask| mask & 1 << (NixSignal::SIGUSR1 as u32 - 1) != 0)
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
        let _ = ended(self.0);
    }
}
