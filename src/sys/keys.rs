//! Keys and keyrings, keyrings(7).

use super::errno::checked;
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
