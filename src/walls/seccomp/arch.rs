//! The calling conventions that a filter tells apart: what each is called by the audit subsystem,
//! and how wide its registers are.

/// A calling convention of the kernel, as a filter can tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// x86-64.
    X86_64,
    /// 32-bit x86: `int 0x80` and its relatives, also from a 64-bit program.
    I386,
    /// 32-bit pointers in 64-bit mode: AUDIT_ARCH_X86_64 with [`X32_BIT`] in the number.
    X32,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm, EABI.
    Arm,
}

/// What marks a number as one of x32, `__X32_SYSCALL_BIT`.
pub(super) const X32_BIT: u32 = 0x4000_0000;

impl Arch {
    /// All of them, in the order of the table of calls.
    pub const ALL: [Self; 5] = [Self::X86_64, Self::I386, Self::X32, Self::Aarch64, Self::Arm];

    /// What this machine's kernel runs, but for x32.
    #[cfg(target_arch = "x86_64")]
    pub const HERE: &'static [Self] = &[Self::X86_64, Self::I386];
    /// What this machine's kernel runs.
    #[cfg(target_arch = "aarch64")]
    pub const HERE: &'static [Self] = &[Self::Aarch64, Self::Arm];

    /// How wide its registers are.
    pub const fn width(self) -> Width {
        match self {
            Self::X86_64 | Self::X32 | Self::Aarch64 => Width::Bits64,
            Self::I386 | Self::Arm => Width::Bits32,
        }
    }

    /// AUDIT_ARCH_* of linux/audit.h.
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }
}

/// How much of an argument a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// The lower half of what the filter is shown.
    Bits32,
    /// All 64 bits.
    Bits64,
}
