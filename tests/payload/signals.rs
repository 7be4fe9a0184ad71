//! Waiting for SIGTERM, in the ways that programs have.

use super::say::say;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use std::process::exit;

pub(super) fn sigterm() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set
}

pub(super) fn sigwait() {
    say("waiting");
    let signal = sigterm().wait();
    say(&format!("got {signal:?}"));
    exit(42);
}

pub(super) fn signalfd() {
    let _ = sigterm().thread_block();
    let descriptor = SignalFd::new(&sigterm());
    say("waiting");
    let signal = descriptor.and_then(|descriptor| descriptor.read_signal());
    say(&format!("got {:?}", signal.ok().flatten().map(|info| info.ssi_signo)));
    exit(43);
}
