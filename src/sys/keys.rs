//! Keys and keyrings, keyrings(7).

use super::checked;
use rustix::io::Result;
use std::ffi::CStr;

/// A keyring by its role, or a key by its serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(i32);

impl Key {
    /// The session keyring, `@s`.
    pub const SESSION: Self = Self(libc::KEY_SPEC_SESSION_KEYRING);
    /// The keyring of the user id, `@u`.
    pub const USER: Self = Self(libc::KEY_SPEC_USER_KEYRING);

    /// The key with this serial number.
    pub const fn numbered(serial: i32) -> Self {
        Self(serial)
    }

    /// Its serial number.
    pub const fn serial(self) -> i32 {
        self.0
    }
}

/// keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL): a new anonymous session keyring, keyctl(2).
pub fn join_session_keyring() -> Result<()> {
    // SAFETY: a null name asks for an anonymous keyring; no memory is passed.
    checked(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, 0usize) })
        .map(drop)
}

/// add_key(2) of type `user`.
pub fn add(keyring: Key, description: &CStr, payload: &[u8]) -> Result<Key> {
    let kind = c"user";
    // SAFETY: two strings with NUL, and a payload of the length that is passed; all outlive the
    // call.
    let key = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            kind.as_ptr(),
            description.as_ptr(),
            payload.as_ptr(),
            payload.len(),
            keyring.0,
        )
    };
    checked(key).map(|key| Key(key as i32))
}

/// KEYCTL_SEARCH for a key of type `user`. ENOKEY where there is none.
pub fn search(keyring: Key, description: &CStr) -> Result<Key> {
    let kind = c"user";
    // SAFETY: two strings with NUL, which outlive the call, and integers.
    let key = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_SEARCH,
            keyring.0,
            kind.as_ptr(),
            description.as_ptr(),
            0,
        )
    };
    checked(key).map(|key| Key(key as i32))
}

/// KEYCTL_READ: up to 64 bytes of a key's payload.
pub fn read(key: Key) -> Result<Vec<u8>> {
    let mut payload = [0u8; 64];
    // SAFETY: the buffer has the length that is passed and outlives the call.
    let length = checked(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_READ,
            key.0,
            payload.as_mut_ptr(),
            payload.len(),
        )
    })?;
    Ok(payload[..(length as usize).min(payload.len())].to_vec())
}

/// KEYCTL_SETPERM: possessor and user id may do everything, nobody else anything.
pub fn open_to_user(key: Key) -> Result<()> {
    // SAFETY: integers only.
    checked(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, key.0, 0x3f3f_0000u32) })
        .map(drop)
}

/// KEYCTL_LINK: puts a key into a keyring.
pub fn link(key: Key, keyring: Key) -> Result<()> {
    // SAFETY: integers only.
    checked(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_LINK, key.0, keyring.0) })
        .map(drop)
}

/// KEYCTL_UNLINK: takes a key out of a keyring.
pub fn unlink(key: Key, keyring: Key) -> Result<()> {
    // SAFETY: integers only.
    checked(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_UNLINK, key.0, keyring.0) })
        .map(drop)
}

/// KEYCTL_READ through the gate of i386, `int 0x80`. ENOSYS where the machine is no x86_64; a kernel
/// without that gate ends the process with SIGSEGV.
#[cfg(target_arch = "x86_64")]
pub fn read_i386(key: Key) -> Result<Vec<u8>> {
    /// The number of keyctl in arch/x86/entry/syscalls/syscall_32.tbl.
    const KEYCTL: u64 = 288;
    const LENGTH: usize = 64;
    // SAFETY: an anonymous mapping of one page; MAP_32BIT, since the call takes 32 bits.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(super::last_errno());
    }
    let mut answer = KEYCTL;
    // SAFETY: the call reads its numbers from eax, ecx, edx and esi, and ebx, which the compiler
    // keeps for itself and which is put back; it writes at most LENGTH bytes into the page. The
    // kernel clears r8 to r11 on this gate.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "mov ebx, {request:e}",
            "int 0x80",
            "pop rbx",
            request = in(reg) libc::KEYCTL_READ,
            inout("rax") answer,
            in("ecx") key.0,
            in("edx") page as usize as u32,
            in("esi") LENGTH as u32,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let answer = answer as u32 as i32;
    if answer < 0 {
        return Err(rustix::io::Errno::from_raw_os_error(-answer));
    }
    // SAFETY: the page is mapped, longer than LENGTH, and nobody else has it.
    let bytes = unsafe { std::slice::from_raw_parts(page.cast::<u8>(), LENGTH) };
    Ok(bytes[..(answer as usize).min(LENGTH)].to_vec())
}

/// There is no such gate.
#[cfg(not(target_arch = "x86_64"))]
pub fn read_i386(_: Key) -> Result<Vec<u8>> {
    Err(rustix::io::Errno::NOSYS)
}
