//! Calls of i386 from a program of x86_64, through the gate `int 0x80`: what a filter that knows
//! one table of calls only has forgotten. A kernel without the gate ends the process with SIGSEGV;
//! a machine of another kind has none, ENOSYS.

use super::errno::last_errno;
use rustix::fd::{FromRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};

/// Numbers of arch/x86/entry/syscalls/syscall_32.tbl.
const KEYCTL: u32 = 288;
const SOCKET: u32 = 359;

/// A system call, with its first argument and three others.
///
/// # Safety
/// An argument that the call takes for an address is one of memory that it may read or write, and
/// that outlives it.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: u32, first: u32, others: [u32; 3]) -> Result<u32> {
    let mut answer = u64::from(number);
    // SAFETY: the call takes its arguments from ebx, which the compiler keeps for itself and which
    // is put back, and from ecx, edx and esi; what they may be the caller has seen to. The gate
    // clears r8 to r11.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "mov ebx, {first:e}",
            "int 0x80",
            "pop rbx",
            first = in(reg) first,
            inout("rax") answer,
            in("ecx") others[0],
            in("edx") others[1],
            in("esi") others[2],
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let answer = answer as u32;
    match answer.cast_signed() {
        errno @ -4095..=-1 => Err(Errno::from_raw_os_error(-errno)),
        _ => Ok(answer),
    }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn call(_: u32, _: u32, _: [u32; 3]) -> Result<u32> {
    Err(Errno::NOSYS)
}

/// KEYCTL_READ of up to 64 bytes of the key with this serial number.
pub fn read_key(serial: i32) -> Result<Vec<u8>> {
    const LENGTH: usize = 64;
    #[cfg(target_arch = "x86_64")]
    const LOW: i32 = libc::MAP_32BIT;
    #[cfg(not(target_arch = "x86_64"))]
    const LOW: i32 = 0;
    // SAFETY: an anonymous mapping of one page, at an address that has 32 bits.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | LOW,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(last_errno());
    }
    let others = [serial.cast_unsigned(), page as usize as u32, LENGTH as u32];
    // SAFETY: the page is mapped for writing, and longer than LENGTH.
    let length = unsafe { call(KEYCTL, libc::KEYCTL_READ, others) }? as usize;
    // SAFETY: the page is mapped, longer than LENGTH, and nobody else has it.
    let bytes = unsafe { std::slice::from_raw_parts(page.cast::<u8>(), LENGTH) };
    Ok(bytes[..length.min(LENGTH)].to_vec())
}

/// socket(2).
pub fn socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd> {
    let others = [kind.cast_unsigned(), protocol.cast_unsigned(), 0];
    // SAFETY: socket(2) takes no address.
    let fd = unsafe { call(SOCKET, family.cast_unsigned(), others) }?;
    // SAFETY: a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
