//! Signals to rustic itself, and the terminal.

use super::Supervisor;
use crate::run::control::Order;
use crate::run::keys::Keys;
use crate::run::pty_relay::Relay;
use crate::run::signals;
use nix::sys::signal::{Signal, raise};

impl Supervisor<'_> {
    pub(super) fn hear_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = info.ssi_signo as i32;
            match Signal::try_from(number) {
                Ok(Signal::SIGWINCH) => self.relay.iter().for_each(Relay::resize),
                Ok(Signal::SIGCONT) => self.relay.iter_mut().for_each(Relay::resume),
                Ok(Signal::SIGTSTP) => self.stop(),
                Ok(signal) if signals::FORWARDED.contains(&signal) => {
                    let stop = self.run.spec.stop_signal.filter(|_| signal == Signal::SIGTERM);
                    self.order(Order::Signal(stop.unwrap_or(number)));
                }
                _ => {}
            }
        }
    }

    /// Stopped from outside: the terminal is given back as it was for that time.
    fn stop(&mut self) {
        self.relay.iter_mut().for_each(Relay::suspend);
        let _ = raise(Signal::SIGSTOP);
        self.relay.iter_mut().for_each(Relay::resume);
    }

    pub(super) fn relay_keys(&mut self) {
        let pid = self.pid;
        match self.relay.as_mut().map_or(Keys::Plain, |relay| relay.keys(pid)) {
            Keys::Plain => {}
            Keys::Signal(number) => self.order(Order::Typed(number)),
            Keys::End => {
                self.run.voice.warning("^] was typed three times: the container is ended");
                self.order(Order::Kill);
            }
            Keys::HungUp => self.order(Order::Signal(libc::SIGHUP)),
        }
    }
}
