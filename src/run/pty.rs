//! The terminals: the caller's, with the modes to give back, and the container's own. What goes
//! between them is [`crate::run::pty_relay`]'s.

use crate::error::SysError;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fchown, fstat};
use rustix::io::Result;
use rustix::process::{Gid, Uid, getpgrp, ioctl_tiocsctty};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use rustix::termios::{
    OptionalActions, OutputModes, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr, tcsetwinsize,
};
use std::path::Path;

/// Those of the three standard streams that are terminals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminals(u8);

const INPUT: u8 = 1 << 0;
const OUTPUT: u8 = 1 << 1;
const ERRORS: u8 = 1 << 2;

impl Terminals {
    /// Those that are terminals.
    pub fn of_the_caller() -> Self {
        let streams = [(stdin(), INPUT), (stdout(), OUTPUT), (stderr(), ERRORS)];
        Self(streams.into_iter().filter(|(fd, _)| isatty(fd)).map(|(_, bit)| bit).sum())
    }

    /// Whether there is one.
    pub fn any(self) -> bool {
        self.0 != 0
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Whether keys are typed into one.
    pub fn have_input(self) -> bool {
        self.has(INPUT)
    }

    /// The one that the terminal's output goes to.
    pub fn best_for_output(self) -> BorrowedFd<'static> {
        if self.has(OUTPUT) {
            stdout()
        } else if self.has(ERRORS) {
            stderr()
        } else {
            stdin()
        }
    }

    /// Puts a descriptor in the place of each.
    fn replace(self, fd: impl AsFd) -> Result<()> {
        if self.has(INPUT) {
            dup2_stdin(&fd)?;
        }
        if self.has(OUTPUT) {
            dup2_stdout(&fd)?;
        }
        if self.has(ERRORS) {
            dup2_stderr(&fd)?;
        }
        Ok(())
    }
}

/// The caller's terminal, as it was found.
#[derive(Clone, Debug)]
pub struct Outer {
    /// The streams that are it.
    pub streams: Terminals,
    before: Termios,
    raw: Termios,
    size: Winsize,
}

impl Outer {
    /// Looks at the caller's terminal; `None` where no standard stream is one.
    ///
    /// # Errors
    /// EIO for a terminal that has hung up.
    pub fn look() -> Result<Option<Self>> {
        let streams = Terminals::of_the_caller();
        if !streams.any() {
            return Ok(None);
        }
        // The terminal that is typed into is the one whose modes are changed and given back; the
        // output's may be another.
        let before =
            tcgetattr(if streams.has(INPUT) { stdin() } else { streams.best_for_output() })?;
        let mut raw = before.clone();
        raw.make_raw();
        Ok(Some(Self { streams, before, raw, size: tcgetwinsize(streams.best_for_output())? }))
    }

    /// Every key as it is typed, nothing acted on here. Without a terminal as input nothing is
    /// typed, and in the background the terminal is somebody else's: a change of its modes would
    /// stop us (SIGTTOU). Says whether it was done.
    pub fn make_raw(&self) -> Job {
        // A terminal that does not control this session has no foreground for us to be out of.
        let elsewhere = tcgetpgrp(stdin()).is_ok_and(|group| group != getpgrp());
        if !self.streams.has(INPUT) || elsewhere {
            return Job::Background;
        }
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.raw);
        Job::Foreground
    }

    /// The modes as they were.
    pub fn restore(&self) {
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }

    /// The modes as they were, if they are still the ones that [`Outer::make_raw`] set: who has set
    /// others since then wants those.
    pub fn restore_after_death(&self) {
        if !self.streams.has(INPUT) {
            return;
        }
        if let Ok(now) = tcgetattr(stdin())
            && now.local_modes == self.raw.local_modes
            && now.input_modes == self.raw.input_modes
            && now.output_modes == self.raw.output_modes
        {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
        }
    }

    /// The modes that the container's terminal starts with: the caller's. Where nothing is relayed
    /// in, the caller's terminal stays as it is and translates newlines itself, so the container's
    /// must not.
    fn inner_modes(&self) -> Termios {
        let mut modes = self.before.clone();
        if !self.streams.has(INPUT) {
            modes.output_modes &= !OutputModes::OPOST;
        }
        modes
    }
}

/// Whether the caller's terminal is ours to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// It is, and raw.
    Foreground,
    /// Another job has it, or there is none.
    Background,
}

/// A terminal for the container, from the devpts that `ptmx` belongs to: master and slave. The
/// slave comes by ioctl, not by name (CVE-2025-52565).
///
/// # Errors
/// ENOSPC when no terminal is left.
pub fn pair(ptmx: OwnedFd, outer: &Outer) -> Result<(OwnedFd, OwnedFd)> {
    unlockpt(&ptmx)?;
    let slave =
        ioctl_tiocgptpeer(&ptmx, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    tcsetattr(&slave, OptionalActions::Now, &outer.inner_modes())?;
    tcsetwinsize(&slave, outer.size)?;
    Ok((ptmx, slave))
}

/// The multiplexer of the caller's own devpts, for a container without mounts. Its terminal is
/// given to who is to have it, where the caller can do that.
///
/// # Errors
/// ENOENT without /dev/ptmx.
pub fn host_ptmx(owner: Option<u32>) -> Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ptmx = openpt(flags)?;
    if let Some(uid) = owner {
        unlockpt(&ptmx)?;
        fchown(ioctl_tiocgptpeer(&ptmx, flags)?, Some(Uid::from_raw(uid)), None::<Gid>)?;
    }
    Ok(ptmx)
}

/// The multiplexer of a devpts, by the descriptor of its mount.
///
/// # Errors
/// EACCES where ptmxmode forbids it.
pub fn ptmx_of(devpts: impl AsFd) -> Result<OwnedFd> {
    crate::beneath::open(devpts, Path::new("ptmx"), OFlags::RDWR | OFlags::NOCTTY, Mode::empty())
}

/// Makes a slave the controlling terminal of this session and the given streams.
///
/// # Errors
/// EPERM for a process that is no session leader.
pub fn take(slave: &OwnedFd, streams: Terminals, uid: u32) -> std::result::Result<(), SysError> {
    // The group stays: devpts gave it "tty". A uid that may not be given away here (one id mapped,
    // or the host's terminals) is the same already.
    if uid != 0 && fstat(slave)?.st_uid != uid {
        fchown(slave, Some(Uid::from_raw(uid)), None::<Gid>)?;
    }
    ioctl_tiocsctty(slave)?;
    Ok(streams.replace(slave)?)
}
