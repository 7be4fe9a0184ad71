//! The first seccomp filter. The calls that manage keyrings answer EPERM: the user keyring of the
//! caller's uid can be reached whatever the session keyring is, so joining a new one is not a wall
//! by itself, keyrings(7).
//!
//! The same filter hands the warden the signals that PID 1 sends itself: the kernel drops those of
//! them that have no handler (pid_namespaces(7)), so `kill -9 $$` would do nothing where outside it
//! ends the shell.

use crate::sys::{self, Notification};
use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter,
};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Result;

/// One calling convention of the machine and its numbers of the calls that the filter knows.
struct Abi {
    audit_arch: u32,
    /// add_key, request_key, keyctl.
    keys: [u32; 3],
    /// kill, tkill, tgkill: each has the target first and the signal last.
    signals: [u32; 3],
}

/// AUDIT_ARCH_* of linux/audit.h, numbers of the kernel's system call tables. The 32-bit convention
/// is there on every 64-bit kernel built for it, so a filter that knows only the native one has a
/// second entrance.
#[cfg(target_arch = "x86_64")]
const ABIS: [Abi; 2] = [
    Abi { audit_arch: 0xc000_003e, keys: [248, 249, 250], signals: [62, 200, 234] },
    Abi { audit_arch: 0x4000_0003, keys: [286, 287, 288], signals: [37, 238, 270] },
];
#[cfg(target_arch = "aarch64")]
const ABIS: [Abi; 2] = [
    Abi { audit_arch: 0xc000_00b7, keys: [217, 218, 219], signals: [129, 130, 131] },
    Abi { audit_arch: 0x4000_0028, keys: [309, 310, 311], signals: [37, 238, 268] },
];

/// x32 shares AUDIT_ARCH_X86_64 and sets this bit in the number (`__X32_SYSCALL_BIT`).
const WITHOUT_X32_BIT: u32 = !0x4000_0000;

/// Offsets in `struct seccomp_data`, seccomp(2); a pid is an int, the low half of its argument on
/// these little-endian machines.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// Whether signals to PID 1 are handed to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfSignals {
    /// They are.
    Told,
    /// The kernel does with them what it does.
    Untold,
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump_if_equal(k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | BPF_JEQ | BPF_K) as u16, jt, jf, k }
}

/// The program.
pub fn filter(self_signals: SelfSignals) -> Vec<sock_filter> {
    let deny = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let tell = match self_signals {
        SelfSignals::Told => libc::SECCOMP_RET_USER_NOTIF,
        SelfSignals::Untold => libc::SECCOMP_RET_ALLOW,
    };
    let mut program = Vec::new();
    for abi in ABIS {
        let ([add_key, request_key, keyctl], [kill, tkill, tgkill]) = (abi.keys, abi.signals);
        program.extend([
            statement(BPF_LD | BPF_W | BPF_ABS, ARCH),
            jump_if_equal(abi.audit_arch, 0, 13),
            statement(BPF_LD | BPF_W | BPF_ABS, NUMBER),
            statement(BPF_ALU | BPF_AND | BPF_K, WITHOUT_X32_BIT),
            jump_if_equal(add_key, 7, 0),
            jump_if_equal(request_key, 6, 0),
            jump_if_equal(keyctl, 5, 0),
            jump_if_equal(kill, 2, 0),
            jump_if_equal(tkill, 1, 0),
            jump_if_equal(tgkill, 0, 4),
            statement(BPF_LD | BPF_W | BPF_ABS, FIRST_ARGUMENT),
            jump_if_equal(1, 1, 2),
            statement(BPF_RET | BPF_K, deny),
            statement(BPF_RET | BPF_K, tell),
            statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW),
        ]);
    }
    // A third convention does not exist on these machines; if one comes, it is refused rather than
    // let through unseen.
    program.push(statement(BPF_RET | BPF_K, libc::SECCOMP_RET_KILL_PROCESS));
    program
}

/// Installs the filter.
///
/// # Errors
/// EACCES without no_new_privs; EINVAL in a kernel without CONFIG_SECCOMP_FILTER.
pub fn install(self_signals: SelfSignals) -> Result<()> {
    sys::set_seccomp_filter(&filter(self_signals))
}

/// Installs the filter that tells, with the descriptor that is told.
///
/// # Errors
/// EBUSY where a filter of the same kind is in force already: rustic inside rustic.
pub fn install_with_listener() -> Result<OwnedFd> {
    sys::set_seccomp_filter_with_listener(&filter(SelfSignals::Told))
}

/// A signal that somebody inside is about to send to PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfSignal {
    /// Who sends it, a thread id in the reader's pid namespace.
    pub sender: u32,
    /// Which.
    pub signal: i32,
    id: u64,
}

/// Reads what the listener was told.
///
/// # Errors
/// ENOENT when the sender is gone meanwhile.
pub fn told(listener: impl AsFd) -> Result<SelfSignal> {
    let Notification { id, pid, arch, number, arguments } = sys::receive_notification(listener)?;
    let tgkill =
        ABIS.iter().any(|abi| abi.audit_arch == arch && abi.signals[2] == number & WITHOUT_X32_BIT);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as seccomp does, for the instructions that it uses.
    fn verdict(arch: u32, number: u32, first: u32) -> u32 {
        let program = filter(SelfSignals::Told);
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = program[at];
            at += 1;
            match u32::from(instruction.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    accumulator = match instruction.k {
                        ARCH => arch,
                        NUMBER => number,
                        FIRST_ARGUMENT => first,
                        other => panic!("offset {other}"),
                    };
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= instruction.k,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    at += usize::from(if accumulator == instruction.k {
                        instruction.jt
                    } else {
                        instruction.jf
                    });
                }
                code if code == BPF_RET | BPF_K => return instruction.k,
                code => panic!("instruction {code}"),
            }
        }
    }

    #[test]
    fn key_calls_are_refused_and_signals_to_pid_1_told_in_every_convention_and_nothing_else_is() {
        const DENIED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        for abi in ABIS {
            for number in 0..600 {
                for target in [0, 1, 2, u32::MAX] {
                    let expected = if abi.keys.contains(&number) {
                        DENIED
                    } else if abi.signals.contains(&number) && target == 1 {
                        libc::SECCOMP_RET_USER_NOTIF
                    } else {
                        libc::SECCOMP_RET_ALLOW
                    };
                    assert_eq!(
                        verdict(abi.audit_arch, number, target),
                        expected,
                        "{:x} {number} {target}",
                        abi.audit_arch
                    );
                }
            }
            assert_eq!(verdict(abi.audit_arch, abi.keys[2] | 0x4000_0000, 0), DENIED);
        }
        assert_eq!(verdict(0xdead, 1, 0), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
