//! Signals: which are blocked, ignored, or have their default action, sigaction(2).

use super::errno::{checked, last_errno};
use nix::sys::signal::SigSet;
use rustix::io::{Errno, Result};
use rustix::process::Signal;

/// Adds a signal to those that this thread blocks, real-time ones too.
pub fn block_signal(signal: i32) -> Result<()> {
    // SAFETY: a set is integers, and is emptied before it is used; both calls take its address.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        checked(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())
            .map(drop)
    }
}

/// A set of signals, real-time ones too. What is no signal is left out, and so are the two that libc
/// keeps for itself.
pub fn signal_set(signals: impl Iterator<Item = i32>) -> SigSet {
    // SAFETY: a set is integers, and is emptied before it is used; the calls take its address.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        SigSet::from_sigset_t_unchecked(set)
    }
}

/// A signal by its number, real-time ones too; `None` for what is none, and for those that libc keeps
/// for itself.
pub fn numbered_signal(number: i32) -> Option<Signal> {
    let is_real_time = (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number);
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
            && (1..=libc::SIGRTMAX())
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
    // SAFETY: the structure is integers and a pointer, for which zero is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is installed, and what is there is written to `action`, which outlives the
    // call; a number that is no signal is EINVAL.
    let read = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    read == 0 && action.sa_sigaction == libc::SIG_IGN
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
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL installs no code.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            match last_errno() {
                // SIGKILL, SIGSTOP and the two that libc keeps for itself.
                Errno::INVAL => {}
                errno => return Err(errno),
            }
        }
    }
    Ok(())
}
