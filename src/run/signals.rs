//! Signals: which are passed on, and whether PID 1 of a pid namespace would lose one.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::Pid;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// Those that the parent passes on to the child.
pub const FORWARDED: [Signal; 6] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Those that the parent acts on itself.
const OWN: [Signal; 3] = [Signal::SIGWINCH, Signal::SIGTSTP, Signal::SIGCONT];

/// Blocks the signals that the parent handles, and opens a descriptor that tells of them, signalfd(2).
///
/// # Errors
/// EMFILE.
pub fn listen() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in FORWARDED.into_iter().chain(OWN) {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// Blocks every signal that can be blocked: nothing but SIGKILL ends the warden before it has cleaned up.
pub fn block_all() {
    let _ = SigSet::all().thread_block();
}

/// Blocks no signal.
pub fn unblock_all() {
    let _ = SigSet::empty().thread_set_mask();
}

/// Whether the kernel drops a signal that would end any other process, because this one is PID 1 of its namespace and has no handler for
/// it (SIGNAL_UNKILLABLE, pid_namespaces(7)). A signal that the leading thread blocks is kept for later, and one that it waits for with
/// sigwait is delivered: the kernel asks the leading thread alone. `None` when the process is gone.
pub fn is_lost(pid: Pid, signal: i32) -> Option<Fate> {
    // A thread in sigwait has the awaited signals unblocked for that time, so both places are looked at, and the first again after the
    // second: between the two looks the thread may have gone from one to the other.
    let pid = pid.as_raw_nonzero();
    for _ in 0..3 {
        if cares(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, signal) || waits(pid.get(), signal) {
            return Some(Fate::Arrives);
        }
    }
    Some(Fate::Lost)
}

/// Whether a signal's default action ends a process, signal(7). Number 0 only asks whether the process is there.
pub fn ends_a_process(signal: i32) -> bool {
    const HARMLESS: [i32; 8] = [
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGURG,
        libc::SIGWINCH,
    ];
    (1..=libc::SIGRTMAX()).contains(&signal) && !HARMLESS.contains(&signal)
}

/// What becomes of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is caught, ignored, blocked or waited for: the process decides.
    Arrives,
    /// The kernel drops it.
    Lost,
}

fn cares(status: &str, signal: i32) -> bool {
    let bit = 1u64 << (signal - 1);
    status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(field, _)| matches!(*field, "SigBlk" | "SigIgn" | "SigCgt"))
        .any(|(_, mask)| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & bit != 0))
}

/// Whether the leading thread is in rt_sigtimedwait(2) for the signal: the call's first argument points to the set, proc_pid_syscall(5).
fn waits(pid: i32, signal: i32) -> bool {
    let line = fs::read_to_string(format!("/proc/{pid}/task/{pid}/syscall")).unwrap_or_default();
    let mut words = line.split_whitespace();
    if words.next().and_then(|word| word.parse().ok()) != Some(libc::SYS_rt_sigtimedwait) {
        return false;
    }
    let address = words.next().and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    let mut set = [0; 8];
    let read = address.and_then(|address| File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut set, address).ok());
    read.is_some() && u64::from_ne_bytes(set) & 1 << (signal - 1) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_ignored_or_caught_signal_is_cared_for() {
        for field in ["SigBlk", "SigIgn", "SigCgt"] {
            assert!(cares(&format!("Name:\tsh\n{field}:\t0000000000004000\n"), libc::SIGTERM));
            assert!(!cares(&format!("{field}:\t0000000000004000\n"), libc::SIGINT));
        }
        assert!(!cares("SigPnd:\t0000000000004000\n", libc::SIGTERM));
    }
}
