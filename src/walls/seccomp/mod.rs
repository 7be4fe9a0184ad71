//! The seccomp filter: which calls of the kernel CMD may make, seccomp(2).
//!
//! A [`policy::Policy`] says what becomes of which call, [`mod@compile`] makes the program of it
//! that the kernel runs, and [`default`] is the policy of a container that is not ordered
//! otherwise.
//!
//! The same filter hands the warden the signals that PID 1 sends itself: the kernel drops those of
//! them that have no handler (pid_namespaces(7)), so `kill -9 $$` would do nothing where outside it
//! ends the shell.

mod arch;
pub mod calls;
mod compile;
pub mod default;
pub mod policy;
mod program;
mod tables;
#[cfg(test)]
mod tests;

pub use compile::{CompileError, compile};

use crate::sys::{self, Notification};
use arch::Arch;
use calls::Syscall;
use libc::sock_filter;
use policy::Action;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Result;

/// Whether signals to PID 1 are handed to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfSignals {
    /// The filter asks the listener about each.
    Told,
    /// The kernel does with them what it does.
    Untold,
}

/// Installs a filter.
///
/// # Errors
/// EACCES without no_new_privs; EINVAL in a kernel without CONFIG_SECCOMP_FILTER.
pub fn install(filter: &[sock_filter]) -> Result<()> {
    sys::set_seccomp_filter(filter)
}

/// A filter as a file that other programs load: struct sock_filter, one after another.
pub fn to_bytes(filter: &[sock_filter]) -> Vec<u8> {
    let bytes = filter.iter().flat_map(|one| {
        let [code, k] = [one.code.to_ne_bytes().to_vec(), one.k.to_ne_bytes().to_vec()];
        [code, vec![one.jt, one.jf], k].concat()
    });
    bytes.collect()
}

/// The same filter where nobody can be asked: what it would ask about is allowed.
pub fn without_notice(filter: &[sock_filter]) -> Vec<sock_filter> {
    let plain = |one: &sock_filter| {
        let asks =
            u32::from(one.code) == libc::BPF_RET | libc::BPF_K && one.k == Action::Notify.value();
        let k = if asks { Action::Allow.value() } else { one.k };
        sock_filter { k, ..*one }
    };
    filter.iter().map(plain).collect()
}

/// Installs a filter that asks, with the descriptor that is asked.
///
/// # Errors
/// EBUSY where a filter of the same kind is in force already: rustic inside rustic.
pub fn install_with_listener(filter: &[sock_filter]) -> Result<OwnedFd> {
    sys::set_seccomp_filter_with_listener(filter)
}

/// A signal that somebody inside is about to send to PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfSignal {
    /// Who sends it, a thread id in the reader's pid namespace.
    pub sender: u32,
    /// Its number, signal(7).
    pub signal: i32,
    id: u64,
}

/// Reads what the listener was told.
///
/// # Errors
/// ENOENT when the sender is gone meanwhile.
pub fn told(listener: impl AsFd) -> Result<SelfSignal> {
    let Notification { id, pid, arch, number, arguments } = sys::receive_notification(listener)?;
    const TGKILL: Syscall = Syscall::named("tgkill");
    let tgkill =
        Arch::HERE.iter().any(|here| here.audit() == arch && here.number(TGKILL) == Some(number));
    let signal = if tgkill { arguments[2] } else { arguments[1] };
    Ok(SelfSignal { sender: pid, signal: signal as i32, id })
}

/// Lets the kernel go on with the call as if it had not been told.
///
/// # Errors
/// ENOENT when the sender is gone meanwhile.
pub fn let_pass(listener: impl AsFd, signal: SelfSignal) -> Result<()> {
    sys::continue_notified(listener, signal.id)
}
