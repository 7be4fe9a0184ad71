//! One header block of 512 bytes, tar(5). The tar crate knows where the fields lie; what may stand
//! in them is decided here, because its own numbers wrap around, take signs, and lose what is
//! negative.

use crate::rootfs::policy::Rule;
use tar::Header;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// Whether the checksum field holds the sum of the block's bytes, with itself taken as spaces.
pub fn checksum_holds(block: &[u8; BLOCK]) -> bool {
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) })
        .sum();
    number(&Header::from_byte_slice(block).as_old().cksum) == Some(sum.into())
}

/// A numeric field: octal digits between spaces and a NUL, or, with the first bit set, a two's
/// complement number of base 256, as GNU tar writes what octal cannot hold. `None` for anything
/// else, an empty field too.
pub(super) fn number(field: &[u8]) -> Option<i128> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // The second bit is the sign; the numbers have 63 or 95 bits.
        let sign = if first & 0x40 != 0 { -1 } else { 0 };
        let top = sign << 6 | i128::from(first & 0x3f);
        return Some(rest.iter().fold(top, |number, &byte| number << 8 | i128::from(byte)));
    }
    let text = field.split(|&byte| byte == 0).next().unwrap_or_default().trim_ascii();
    if text.is_empty() || !text.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
        return None;
    }
    i128::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()
}

/// Gives POSIX's magic the version that the tar crate asks for. GNU tar and others look at the
/// magic alone, and a reader that does not misses the prefix of the name.
pub(super) fn settle_version(block: &mut [u8; BLOCK]) {
    if block[257..263] == *b"ustar\0" {
        block[263..265].copy_from_slice(b"00");
    }
}

/// Like [`fits`], with 0 for an empty field, as some writers have it and all readers take it.
pub(super) fn fits_or_zero<T: TryFrom<i128> + Default>(
    field: &[u8],
    name: &'static str,
) -> Result<T, Rule> {
    if text(field).trim_ascii().is_empty() { Ok(T::default()) } else { fits(field, name) }
}

/// A field whose number must be of a type that holds no more than it may be.
///
/// # Errors
/// [`Rule::Number`], with the field's name.
pub(super) fn fits<T: TryFrom<i128>>(field: &[u8], name: &'static str) -> Result<T, Rule> {
    number(field).and_then(|number| T::try_from(number).ok()).ok_or(Rule::Number(name))
}

/// Text up to the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The entry's name, as far as the header holds it: in POSIX's own format a prefix comes before it,
/// in GNU's something else stands there.
pub(super) fn name(header: &Header) -> Vec<u8> {
    let name = text(&header.as_old().name);
    match header.as_ustar().map(|ustar| text(&ustar.prefix)) {
        Some(prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
        _ => name.to_vec(),
    }
}

/// A device number of a header; formats before POSIX have no field for it, and some writers leave
/// it empty.
///
/// # Errors
/// [`Rule::Number`].
pub(super) fn device(header: &Header) -> Result<(u32, u32), Rule> {
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
        (_, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
        _ => return Ok((0, 0)),
    };
    Ok((fits_or_zero(major, "device number")?, fits_or_zero(minor, "device number")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_of_base_256_and_nothing_else() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"77777777"), Some(0o77_777_777));
        for wrong in [&b"+644\0"[..], b"-1\0", b"0x1\0", b"6 4\0", b"9\0", b"\0\0\0", b""] {
            assert_eq!(number(wrong), None, "{wrong:?}");
        }
        assert_eq!(number(&[0x80, 0, 0, 0, 1, 0, 0, 0]), Some(1 << 24));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(
            number(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Some(u64::MAX.into())
        );
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused_and_never_wraps() {
        assert_eq!(fits::<u32>(&[0x80, 0, 0, 1, 0, 0, 0, 0], "uid"), Err(Rule::Number("uid")));
        assert_eq!(fits::<u64>(&[0xff; 12], "size"), Err(Rule::Number("size")));
        assert_eq!(fits::<i64>(&[0xff; 12], "mtime"), Ok(-1));
    }
}
