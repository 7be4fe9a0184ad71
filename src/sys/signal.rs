//! Signals: which are blocked, ignored, or have their default action, sigaction(2).

use super::errno::{checked, last_errno};
use crate::namespace::Switch;
use nix::sys::signal::SigSet;
use rustix::io::{Errno, Result};
use rustix::process::Signal;

/// The first real-time signal of the programs that a container runs: glibc keeps two of the kernel's
/// for itself, musl three, signal(7). It is the same whichever rustic is built with.
pub const REAL_TIME: i32 = 34;

/// The last signal of the kernel's.
pub const LAST: i32 = 64;

/// Adds a signal to those that this thread blocks, real-time ones too.
pub fn block_signal(signal: i32) -> Result<()> {
    let set = signal_set(std::iter::once(signal));
    let set: &libc::sigset_t = set.as_ref();
    // SAFETY: the set outlives the call.
    let blocked = unsafe { libc::sigprocmask(libc::SIG_BLOCK, set, std::ptr::null_mut()) };
    checked(blocked.into()).map(drop)
}

/// A set of signals, real-time ones too. What is no signal is left out, and so are the two that
/// every libc keeps for itself.
pub fn signal_set(signals: impl Iterator<Item = i32>) -> SigSet {
    let is_one = |signal: &i32| (1..32).contains(signal) || (REAL_TIME..=LAST).contains(signal);
    let bits = signals.filter(is_one).fold(0_u64, |bits, signal| bits | 1 << (signal - 1));
    // SAFETY: a set is integers, for which zero is valid, and the first eight bytes of every libc's
    // are the kernel's, a bit a signal. sigaddset(3) of musl refuses 34.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        (&raw mut set).cast::<u64>().write(bits);
        SigSet::from_sigset_t_unchecked(set)
    }
}

/// Every signal that can be blocked.
pub fn every_signal() -> SigSet {
    signal_set(1..=LAST)
}

/// What sigaction(2) takes and tells: the kernel's own structure, since musl answers EINVAL for
/// signal 34.
#[repr(C)]
#[derive(Default)]
struct Action {
    handler: usize,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// rt_sigaction(2): what a signal does, after it was given its default action where that is asked.
fn action(signal: i32, to_default: Switch) -> Result<Action> {
    let mut before = Action::default();
    let default = Action::default();
    let new = match to_default {
        Switch::Yes => &raw const default,
        Switch::No => std::ptr::null(),
    };
    // SAFETY: SIG_DFL installs no code, and both structures outlive the call; a number that is no
    // signal is EINVAL.
    checked(unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, new, &raw mut before, size_of::<u64>())
    })?;
    Ok(before)
}

/// A signal by its number, real-time ones too; `None` for what is none, and for those that libc keeps
/// for itself.
pub fn numbered_signal(number: i32) -> Option<Signal> {
    let is_real_time = (REAL_TIME..=LAST).contains(&number);
    // SAFETY: it is a signal of the kernel's, and none that libc keeps for itself.
    let real_time = || is_real_time.then(|| unsafe { Signal::from_raw_unchecked(number) });
    Signal::from_named_raw(number).or_else(real_time)
}

/// Whether a signal that this thread blocks has come, sigpending(2); that a process of its own has
/// ended does not count.
pub fn is_a_signal_pending() -> bool {
    // SAFETY: a set is integers, for which zero is valid, and the calls take its address.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&raw mut set) == 0
            && (1..=LAST)
                .filter(|&signal| ![libc::SIGCHLD, libc::SIGWINCH].contains(&signal))
                .any(|signal| libc::sigismember(&raw const set, signal) == 1)
    }
}

/// Waits for one of these signals, which are blocked; its number, sigwaitinfo(2).
///
/// # Errors
/// EINTR.
pub fn wait_for_signal(signals: &SigSet) -> Result<i32> {
    let signals: &libc::sigset_t = signals.as_ref();
    // SAFETY: the set outlives the call, and nothing more is asked of the signal.
    let number = unsafe { libc::sigwaitinfo(signals, std::ptr::null_mut()) };
    checked(number.into()).map(|_| number)
}

/// Ignores a signal.
pub fn ignore_signal(signal: i32) -> Result<()> {
    // SAFETY: to ignore a signal runs no code.
    let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
    if before == libc::SIG_ERR { Err(last_errno()) } else { Ok(()) }
}

/// SIGCHLD back to its default action: where the caller ignores it, the kernel reaps children by
/// itself and their codes are lost, wait(2).
pub fn reset_sigchld() {
    // SAFETY: SIG_DFL installs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Whether this process ignores a signal, sigaction(2).
pub fn is_ignored(signal: i32) -> bool {
    action(signal, Switch::No).is_ok_and(|action| action.handler == libc::SIG_IGN)
}

/// SIGXFSZ ignored: a write beyond RLIMIT_FSIZE then is EFBIG, which can be told and cleaned up
/// after, setrlimit(2).
pub fn ignore_sigxfsz() {
    // SAFETY: SIG_IGN installs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Every signal back to its default action, also those that the caller ignored: std ignores
/// SIGPIPE, nohup SIGHUP, and execve keeps ignored signals ignored.
///
/// # Errors
/// None that the kernel has; what a filter around rustic answers.
pub fn reset_signal_actions() -> Result<()> {
    for signal in 1..=LAST {
        match action(signal, Switch::Yes) {
            // SIGKILL and SIGSTOP.
            Ok(_) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
