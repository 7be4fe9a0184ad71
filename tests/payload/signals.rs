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

/// Says `waiting`, and then the number of each signal that comes, real-time ones too.
pub(super) fn tell_signals() {
    let all = SigSet::all();
    let _ = all.thread_block();
    say("waiting");
    let set: &libc::sigset_t = all.as_ref();
    loop {
        // SAFETY: the set outlives the call, and nothing more is asked of the signal.
        let number = unsafe { libc::sigwaitinfo(set, std::ptr::null_mut()) };
        say(&number.to_string());
    }
}
