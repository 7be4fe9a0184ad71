//! The values of PAX records: names, numbers, ids and times, as bytes.

use crate::rootfs::entry::Time;
use crate::rootfs::policy::Rule;

/// A file's name: any bytes but NUL, and not none.
pub(super) fn name(value: &[u8]) -> Result<Vec<u8>, Rule> {
    match value {
        [] => Err(Rule::Nameless),
        value if value.contains(&0) => Err(Rule::NulInName),
        value => Ok(value.to_vec()),
    }
}

/// Digits and nothing else: no sign, no space.
pub(super) fn decimal(value: &[u8], field: &'static str) -> Result<u64, Rule> {
    let digits = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(Rule::Number(field))
}

/// A user or group id.
pub(super) fn id(value: &[u8]) -> Result<u32, Rule> {
    let id = decimal(value, "owner")?;
    // 2^32-1 means "unchanged" to chown(2), and more would wrap around to another user.
    u32::try_from(id).ok().filter(|&id| id != u32::MAX).ok_or(Rule::Owner(id))
}

/// Seconds with a fraction, of which Linux keeps nine digits.
pub(super) fn time(value: &[u8]) -> Result<Time, Rule> {
    const FIELD: &str = "modification time";
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let (whole, fraction) =
        digits.split_at(digits.iter().position(|&byte| byte == b'.').unwrap_or(digits.len()));
    let seconds = decimal(whole, FIELD)
        .ok()
        .and_then(|seconds| i64::try_from(seconds).ok())
        .ok_or(Rule::Number(FIELD))?;
    let fraction = fraction.strip_prefix(b".").unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(Rule::Number(FIELD));
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |&byte| u32::from(byte - b'0'));
    let nanoseconds = (0..9).fold(0, |sum, at| sum * 10 + digit(at));
    Ok(match (negative, nanoseconds) {
        (false, _) => Time { seconds, nanoseconds },
        (true, 0) => Time { seconds: -seconds, nanoseconds: 0 },
        (true, _) => Time { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

/// A name as libarchive quotes it, `%` and two digits for what is no plain character.
pub(super) fn unquoted(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        let quoted = (*first == b'%').then(|| std::str::from_utf8(tail.get(..2)?).ok()).flatten();
        let byte = quoted.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_nine_digits_also_before_1970() {
        assert_eq!(time(b"1.5"), Ok(Time { seconds: 1, nanoseconds: 500_000_000 }));
        assert_eq!(time(b"-1.25"), Ok(Time { seconds: -2, nanoseconds: 750_000_000 }));
        assert_eq!(time(b"7.1234567899"), Ok(Time { seconds: 7, nanoseconds: 123_456_789 }));
        for wrong in [&b"nan"[..], b"", b"1e9", b"+1", b"1.x", b"--1", b"9223372036854775808"] {
            assert_eq!(
                time(wrong),
                Err(Rule::Number("modification time")),
                "{}",
                wrong.escape_ascii()
            );
        }
    }
}
