//! Names and numbers that nobody can guess.

use rustix::io::Result;
use rustix::rand::{GetRandomFlags, getrandom};

/// A random number.
///
/// # Errors
/// Those of getrandom(2).
pub fn number() -> Result<u32> {
    let mut bytes = [0; 4];
    getrandom(bytes.as_mut_slice(), GetRandomFlags::empty())?;
    Ok(u32::from_ne_bytes(bytes))
}

/// So many random letters of base32, five bits each.
///
/// # Errors
/// Those of getrandom(2).
pub fn letters(count: usize) -> Result<String> {
    let mut bytes = vec![0u8; count];
    getrandom(bytes.as_mut_slice(), GetRandomFlags::empty())?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte % 32)]))
        .collect())
}

/// Whether a text is so many of these letters.
pub fn is_letters(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}
