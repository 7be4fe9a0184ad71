//! What a seccomp filter decides: rules about calls and their arguments, as data.

use super::arch::Arch;
use super::calls::Syscall;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The kernel makes it.
    Allow,
    /// It returns this errno, and nothing happens.
    Errno(u16),
    /// A listener is asked, seccomp_unotify(2).
    Notify,
    /// SIGSYS with this number in si_errno.
    Trap(u16),
    /// A tracer is asked; ENOSYS without one.
    Trace(u16),
    /// The kernel makes it and writes a line into the audit log.
    Log,
    /// The thread ends as by SIGSYS.
    KillThread,
    /// The process ends as by SIGSYS.
    KillProcess,
}

impl Action {
    /// SECCOMP_RET_* of linux/seccomp.h, with its data.
    pub const fn value(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
            Self::Notify => libc::SECCOMP_RET_USER_NOTIF,
            Self::Trap(data) => libc::SECCOMP_RET_TRAP | data as u32,
            Self::Trace(data) => libc::SECCOMP_RET_TRACE | data as u32,
            Self::Log => libc::SECCOMP_RET_LOG,
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Self::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// How an argument is compared: without a sign, 64 bits wide; on a 32-bit architecture the lower 32
/// bits alone count, since a 64-bit program that calls through `int 0x80` leaves what it likes
/// above them, and the kernel cuts that off only after the filter has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater or equal.
    Ge,
    /// Greater.
    Gt,
    /// Equal after the argument has been masked.
    MaskedEq(u64),
}

/// A comparison of an argument with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Comparison {
    /// The argument, from 0 to 5.
    pub argument: u8,
    /// By which test.
    pub operator: Operator,
    /// The value that it is compared with.
    pub value: u64,
}

impl Comparison {
    /// The bits of `mask` in an argument that the kernel takes as 32 bits wide: what stands above
    /// them decides nothing, and must not lead past a rule.
    pub const fn low(argument: u8, mask: u32, value: u32) -> Self {
        let (mask, value) = (mask as u64, value as u64);
        Self { argument, operator: Operator::MaskedEq(mask), value }
    }
}

/// What becomes of one call where every comparison holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyscallRule {
    /// The call, on every architecture that has it.
    pub call: Syscall,
    /// All of these must hold; none holds always.
    pub when: Vec<Comparison>,
    /// What becomes of it then.
    pub action: Action,
}

/// A filter as data. Of the rules for a call the first one that holds decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The calling conventions that it knows. Calls of x32 return ENOSYS where only x86-64 is among
    /// them, as in a kernel without x32; x32 alone cannot be.
    pub architectures: Vec<Arch>,
    /// The rules. One for a call that an architecture lacks means nothing there.
    pub rules: Vec<SyscallRule>,
    /// What becomes of every other call, those of future kernels included.
    pub otherwise: Action,
    /// What becomes of every call of another architecture.
    pub foreign: Action,
}
