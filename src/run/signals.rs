//! Signals: which are passed on, and whether PID 1 of a pid namespace would lose one.

use crate::error::of_nix;
use crate::sys;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::Pid;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Those that the parent acts on itself.
const OWN: [Signal; 3] = [Signal::SIGWINCH, Signal::SIGTSTP, Signal::SIGCONT];

/// Those that nobody is told of: the ends of processes of its own, the terminal's word to who is in
/// the background, a pipe that nobody reads, a file that rustic itself writes beyond a limit, and
/// what cannot be caught.
const UNTOLD: [i32; 7] = [
    libc::SIGCHLD,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGPIPE,
    libc::SIGXFSZ,
    libc::SIGKILL,
    libc::SIGSTOP,
];

/// Whether the parent passes a signal on to the child: every one that can be caught, real-time ones
/// too, but those that have a meaning for the parent itself.
pub fn is_forwarded(signal: i32) -> bool {
    let is_own = OWN.iter().any(|&own| own as i32 == signal);
    (1..=sys::LAST_SIGNAL).contains(&signal) && !is_own && !UNTOLD.contains(&signal)
}

/// Blocks the signals that the parent handles, and opens a descriptor that tells of them,
/// signalfd(2). One that the caller ignores, as nohup(1) has it, stays ignored: blocked it would be
/// told all the same.
///
/// # Errors
/// EMFILE.
pub fn listen() -> nix::Result<SignalFd> {
    let is_heard = |&signal: &i32| is_forwarded(signal) && !sys::is_ignored(signal);
    let own = OWN.map(|signal| signal as i32);
    let set = sys::signal_set((1..=sys::LAST_SIGNAL).filter(is_heard).chain(own));
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// Blocks every signal that can be blocked: nothing but SIGKILL ends the warden before it has
/// cleaned up.
///
/// # Errors
/// None that the kernel has; what a filter around rustic answers.
pub fn block_all() -> rustix::io::Result<()> {
    sys::every_signal().thread_block().map_err(of_nix)
}

/// Blocks no signal.
///
/// # Errors
/// As [`block_all`].
pub fn unblock_all() -> rustix::io::Result<()> {
    SigSet::empty().thread_set_mask().map_err(of_nix)
}

/// What becomes of a signal that would end any other process: `send` sends it, and PID 1 of a pid
/// namespace is looked at before and after. The kernel drops it when PID 1 has no handler for it
/// (SIGNAL_UNKILLABLE, pid_namespaces(7)), unless the leading thread blocks it, or had it blocked
/// when it began to wait for it with sigwait.
pub fn fate(pid: Pid, signal: i32, send: impl FnOnce()) -> Fate {
    let before = Look::at(pid, signal);
    send();
    match (before, Look::at(pid, signal)) {
        (Some(before), Some(after))
            if !before.cares && !after.cares && !after.may_have_taken_since(&before) =>
        {
            Fate::Lost
        }
        _ => Fate::Arrives,
    }
}

/// The leading thread of a process, as far as a signal goes.
struct Look {
    /// It blocks, ignores or catches it.
    cares: bool,
    /// It is in sigwait for it.
    waits: bool,
    /// It is pending.
    pending: bool,
    /// How often the thread has given up the processor.
    switches: String,
    /// It slept, and nothing has changed while it was looked at.
    is_still: bool,
}

impl Look {
    /// `None` when the process is gone. Who waits for a signal does not block it meanwhile, and is
    /// still without that block when something else has woken it: the mask and the wait belong
    /// together only where it sleeps, and nothing has changed between the two looks.
    fn at(pid: Pid, signal: i32) -> Option<Self> {
        // Longer than a process waits for a processor, but on a machine that is busy beyond measure.
        const LOOKS: u32 = 100;
        const PAUSE: Duration = Duration::from_micros(500);
        let mut last = Self::moment(pid, signal)?;
        for _ in 1..LOOKS {
            if last.cares || last.is_still {
                break;
            }
            std::thread::sleep(PAUSE);
            last = Self::moment(pid, signal)?;
        }
        Some(last)
    }

    fn moment(pid: Pid, signal: i32) -> Option<Self> {
        let pid = pid.as_raw_nonzero().get();
        let read = || fs::read_to_string(format!("/proc/{pid}/status")).ok();
        let before = read()?;
        let (waits, sleeps) = match waits(pid, signal) {
            Some(waits) => (waits, true),
            None => (false, false),
        };
        // A thread that took the signal after the first look and is back in sigwait has slept once
        // more.
        let after = read()?;
        let same = ["SigBlk", "voluntary_ctxt_switches"]
            .into_iter()
            .all(|name| field(&before, name) == field(&after, name));
        let is_still = same && sleeps;
        let any = |names: &[&str]| any_has(&before, names, signal);
        Some(Self {
            cares: any(&["SigBlk", "SigIgn", "SigCgt"]),
            waits,
            pending: any(&["ShdPnd", "SigPnd"]),
            switches: field(&after, "voluntary_ctxt_switches").unwrap_or_default().to_owned(),
            is_still,
        })
    }

    /// Whether the thread may have been waiting for the signal and have been given it. Of a wait
    /// without a block the kernel takes no notice: then nothing is pending, and the thread sleeps on
    /// in the same call.
    fn may_have_taken_since(&self, before: &Self) -> bool {
        let has_taken =
            before.waits && (!self.waits || self.pending || self.switches != before.switches);
        // Of one that never slept before, and now waits, nothing is known.
        has_taken || (!before.is_still && self.waits)
    }
}

/// Whether a process catches or blocks a signal: one that is blocked is waited for sooner or later.
pub fn takes(pid: Pid, signal: i32) -> bool {
    let pid = pid.as_raw_nonzero().get();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    any_has(&status, &["SigCgt", "SigBlk"], signal)
}

/// Whether a signal's default action ends a process, signal(7). Number 0 only asks whether the
/// process is there.
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
    (1..=sys::LAST_SIGNAL).contains(&signal) && !HARMLESS.contains(&signal)
}

/// What becomes of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is caught, ignored, blocked or waited for: the process decides.
    Arrives,
    /// The kernel drops it.
    Lost,
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// Whether one of these masks of /proc/PID/status has a signal.
fn any_has(status: &str, names: &[&str], signal: i32) -> bool {
    names.iter().any(|name| field(status, name).is_some_and(|mask| has(mask, signal)))
}

/// Whether a mask of /proc/PID/status has a signal.
fn has(mask: &str, signal: i32) -> bool {
    u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & 1 << (signal - 1) != 0)
}

/// Whether the leading thread is in rt_sigtimedwait(2) for the signal: the call's first argument
/// points to the set, proc_pid_syscall(5). `None` while it runs or waits for a processor.
fn waits(pid: i32, signal: i32) -> Option<bool> {
    let line = fs::read_to_string(format!("/proc/{pid}/task/{pid}/syscall")).unwrap_or_default();
    if line.starts_with("running") {
        return None;
    }
    let mut words = line.split_whitespace();
    if words.next().and_then(|word| word.parse().ok()) != Some(libc::SYS_rt_sigtimedwait) {
        return Some(false);
    }
    let address =
        words.next().and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    let mut set = [0; 8];
    let read = address.and_then(|address| {
        File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut set, address).ok()
    });
    Some(read.is_some() && u64::from_ne_bytes(set) & 1 << (signal - 1) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_of_status_is_read_by_signal_number() {
        let status = "Name:\tsh\nSigPnd:\t0\nSigBlk:\t0000000000004000\n";
        assert!(has(field(status, "SigBlk").unwrap(), libc::SIGTERM));
        assert!(!has(field(status, "SigBlk").unwrap(), libc::SIGINT));
        assert_eq!(field(status, "SigIgn"), None);
    }

    #[test]
    fn only_signals_that_end_a_process_count() {
        assert!(
            ends_a_process(libc::SIGKILL) && ends_a_process(libc::SIGTERM) && ends_a_process(64)
        );
        assert!(
            !ends_a_process(0)
                && !ends_a_process(libc::SIGSTOP)
                && !ends_a_process(libc::SIGWINCH)
                && !ends_a_process(65)
        );
    }
}
