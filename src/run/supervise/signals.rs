//! Signals to rustic itself, and the terminal.

use super::Supervisor;
use crate::namespace::Namespace;
use crate::run::control::Order;
use crate::run::keys::Keys;
use crate::run::pty_relay::Relay;
use crate::run::signals;
use crate::sys;
use nix::sys::signal::{Signal, raise};
use rustix::process::Pid;

impl Supervisor<'_> {
    pub(super) fn hear_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            match info.ssi_signo as i32 {
                libc::SIGWINCH => self.relay.iter().for_each(Relay::resize),
                libc::SIGCONT => self.relay.iter_mut().for_each(Relay::resume),
                libc::SIGTSTP => self.stop(),
                libc::SIGTERM => self.order(Order::Signal(self.stop_signal())),
                number if signals::is_forwarded(number) => self.order(Order::Signal(number)),
                _ => {}
            }
        }
    }

    /// What SIGTERM becomes: what the image says; for a systemd that is process 1, which would begin
    /// anew, the signal by which it stops, systemd(1).
    fn stop_signal(&self) -> i32 {
        let halt = sys::REAL_TIME + 3;
        let is_systemd = |pid: Pid| {
            let name = std::fs::read(format!("/proc/{}/comm", pid.as_raw_nonzero()));
            name.is_ok_and(|name| name == b"systemd\n") && signals::takes(pid, halt)
        };
        let first = self.pid.filter(|_| self.run.spec.namespaces.is_new(Namespace::Pid));
        let of_systemd = || first.filter(|&pid| is_systemd(pid)).map(|_| halt);
        self.run.spec.stop_signal.or_else(of_systemd).unwrap_or(libc::SIGTERM)
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
