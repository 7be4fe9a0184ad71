//! A pty that plays the terminal of a user, with a program in its foreground.

use crate::support::{CEILING, Rustic, binary, store};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A user's terminal with a program in its foreground.
pub(super) struct Screen {
    pub(super) master: OwnedFd,
    slave: OwnedFd,
    /// What has appeared and was not waited for.
    pub(super) text: String,
    pub(super) child: Child,
}

impl Screen {
    /// A host shell that runs a script with the terminal as its own.
    pub(super) fn shell(script: &str) -> Self {
        Self::start(&["sh", "-c", script])
    }

    /// The same, and the terminal's modes before the script begins.
    pub(super) fn shell_and_modes(script: &str) -> (Self, String) {
        let screen = Self::shell(&format!("read go; {script}"));
        let modes = screen.modes();
        screen.keys("\n");
        (screen, modes)
    }

    /// rustic itself.
    pub(super) fn rustic(run: &Rustic) -> Self {
        let rustic = binary();
        let mut words = vec![rustic.to_str().unwrap()];
        words.extend(run.args().iter().map(String::as_str));
        Self::start(&words)
    }

    pub(super) fn start(words: &[&str]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(
            &master,
            OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
        )
        .unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
        let stream = || Stdio::from(slave.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(words).stdin(stream()).stdout(stream()).stderr(stream());
        let child = command
            .env("RUSTIC_STORE", store())
            .env("RUSTIC", binary())
            .env("TERM", "vt100")
            .spawn()
            .unwrap();
        Self { master, slave, text: String::new(), child }
    }

    pub(super) fn keys(&self, keys: &str) {
        rustix::io::write(&self.master, keys.as_bytes()).unwrap();
    }

    /// Reads until a text has appeared, and gives everything since the last one.
    #[track_caller]
    pub(super) fn until(&mut self, text: &str) -> String {
        let since = Instant::now();
        loop {
            if let Some(at) = self.text.find(text) {
                return self.text.drain(..at + text.len()).collect();
            }
            assert!(since.elapsed() < CEILING, "'{text}' did not appear: {:?}", self.text);
            self.read(100);
        }
    }

    /// Reads what is there within so many milliseconds.
    pub(super) fn read(&mut self, milliseconds: i64) {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        if poll(&mut fds, Some(&timeout)).unwrap() > 0 {
            let mut buffer = [0; 4096];
            if let Ok(length) = rustix::io::read(&self.master, &mut buffer) {
                self.text.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        }
    }

    pub(super) fn modes(&self) -> String {
        let modes = tcgetattr(&self.slave).unwrap();
        format!(
            "{:?} {:?} {:?} {:?}",
            modes.input_modes, modes.output_modes, modes.local_modes, modes.special_codes
        )
    }

    #[track_caller]
    pub(super) fn code(&mut self) -> i32 {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(since.elapsed() < CEILING, "still running: {:?}", self.text);
            self.read(5);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
