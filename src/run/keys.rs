//! What keys ask for besides being passed on: a signal of the line discipline inside, or the end.

use rustix::fd::OwnedFd;
use rustix::process::Pid;
use rustix::termios::{LocalModes, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp};
use std::time::{Duration, Instant};

/// Three `^]` within this time, and no other key between, end the container.
const ESCAPE_TIME: Duration = Duration::from_secs(1);
const ESCAPE_KEY: u8 = 0x1d;
const ESCAPE_PRESSES: usize = 3;

/// What the keys that were relayed ask for besides being relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Nothing.
    Plain,
    /// The line discipline inside makes this signal of one of them.
    Signal(i32),
    /// The container is to end.
    End,
    /// The caller's terminal has gone.
    HungUp,
}

/// When `^]` was pressed last, as long as no other key came.
#[derive(Debug, Default)]
pub struct Escapes(Vec<Instant>);

impl Escapes {
    /// What some keys ask for. `master` is the container's terminal, and `child` the process whose
    /// group must be in its foreground for a signal to concern it.
    pub fn asked(&mut self, keys: &[u8], master: Option<&OwnedFd>, child: Option<Pid>) -> Keys {
        for &key in keys {
            match key {
                ESCAPE_KEY => self.0.push(Instant::now()),
                _ => self.0.clear(),
            }
            self.0.retain(|when| when.elapsed() < ESCAPE_TIME);
            if self.0.len() >= ESCAPE_PRESSES {
                return Keys::End;
            }
        }
        // The modes and the foreground group of the slave, asked of the master, tty_ioctl(4).
        let Some(master) = master else { return Keys::Plain };
        match tcgetattr(master) {
            Ok(modes) if child.is_some() && tcgetpgrp(master).ok() == child => {
                signal_of(keys, &modes).map_or(Keys::Plain, Keys::Signal)
            }
            _ => Keys::Plain,
        }
    }
}

/// The signal that the line discipline makes of some keys: not of one that is quoted, as `^V^C`.
fn signal_of(keys: &[u8], modes: &Termios) -> Option<i32> {
    let is = |key: u8, index| modes.special_codes[index] == key && key != 0;
    let quotes = modes.local_modes.contains(LocalModes::ICANON | LocalModes::IEXTEN);
    if !modes.local_modes.contains(LocalModes::ISIG) {
        return None;
    }
    let mut quoted = false;
    for &key in keys {
        if quoted {
            quoted = false;
        } else if quotes && is(key, SpecialCodeIndex::VLNEXT) {
            quoted = true;
        } else if is(key, SpecialCodeIndex::VINTR) {
            return Some(libc::SIGINT);
        } else if is(key, SpecialCodeIndex::VQUIT) {
            return Some(libc::SIGQUIT);
        }
    }
    None
}
