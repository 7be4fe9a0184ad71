//! The caller's terminal.

use crate::error::errno_text;
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// The size that it has.
const USUAL: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// A pty that plays the caller's terminal: the stderr of what is started in it, and its controlling
/// terminal. Each start has one, since a terminal hangs up when its session's leader ends.
pub struct Terminal {
    /// The side that plays the keyboard and the screen.
    pub master: OwnedFd,
    /// The side of the one who is started, kept open to look at it.
    pub slave: OwnedFd,
}

impl Terminal {
    /// Opens one, in raw mode.
    ///
    /// # Errors
    /// No /dev/ptmx, no pty left.
    pub fn open() -> Result<Self, String> {
        let opened = || -> rustix::io::Result<Self> {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            unlockpt(&master)?;
            let slave = ioctl_tiocgptpeer(
                &master,
                OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
            )?;
            let mut modes = tcgetattr(&slave)?;
            modes.make_raw();
            tcsetattr(&slave, OptionalActions::Now, &modes)?;
            tcsetwinsize(&slave, USUAL)?;
            fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
            Ok(Self { master, slave })
        };
        opened().map_err(|errno| format!("no pty: {}", errno_text(errno)))
    }

    /// Makes it the controlling terminal of this process, the leader of a new session.
    pub fn take(&self) -> rustix::io::Result<()> {
        ioctl_tiocsctty(&self.slave)
    }

    /// What was written to it.
    pub fn said(&self) -> String {
        let mut bytes = [0; 4096];
        let length = rustix::io::read(&self.master, bytes.as_mut_slice()).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}
