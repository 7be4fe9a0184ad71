//! Who watches an unpack on behalf of a user: shows how far it is where it takes long, and ends it
//! when they want it to end.

use crate::error::Failure;
use crate::exit::Exit;
use crate::rootfs::watch::{Progress, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::time::{Duration, Instant};

/// An unpack that takes less is not worth a line.
const PATIENCE: Duration = Duration::from_millis(500);

/// A line on stderr, where that is a terminal.
pub struct Bar {
    what: String,
    since: Instant,
    shown: Option<ProgressBar>,
    signals: Option<SignalFd>,
}

impl Bar {
    /// For an unpack of `what`, which ends with the process when a signal comes.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), since: Instant::now(), shown: None, signals: None }
    }

    /// Takes the signals that a user ends a program with, so that what is half done can be removed
    /// first.
    ///
    /// # Errors
    /// Those of signalfd(2).
    pub fn heeding_signals(mut self) -> Result<Self, Failure> {
        let signals =
            SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT]);
        let listened = signals.thread_block().and_then(|()| {
            SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        });
        self.signals = Some(listened.map_err(|errno| {
            Failure::new(format!("cannot listen for signals: {}", errno.desc()))
        })?);
        Ok(self)
    }

    fn show(&mut self, so_far: Progress) {
        let bar = self.shown.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(so_far.length, ProgressDrawTarget::stderr());
            let template = match so_far.length {
                Some(_) => "{msg} {percent:>3}% {wide_bar} {binary_bytes} of {binary_total_bytes}",
                None => "{msg} {binary_bytes}",
            };
            bar.with_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
            .with_message(self.what.clone())
        });
        bar.set_position(so_far.read);
    }
}

impl Watch for Bar {
    fn look(&mut self, so_far: Progress) -> Result<(), Failure> {
        if self.since.elapsed() > PATIENCE {
            self.show(so_far);
        }
        self.heed()
    }

    fn heed(&mut self) -> Result<(), Failure> {
        let heard = self.signals.as_ref().and_then(|signals| signals.read_signal().ok().flatten());
        match heard.map(|signal| signal.ssi_signo as i32) {
            Some(number) => {
                let name = Signal::try_from(number).map_or("a signal", Signal::as_str);
                Err(Failure::new(format!("interrupted by {name}: nothing of it is left"))
                    .exit(Exit::Signal(number)))
            }
            None => Ok(()),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
