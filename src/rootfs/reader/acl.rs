//! Access control lists: the text of an archive (`user::rwx,group::r-x,…`, acl(5)) as the kernel's
//! attribute (linux/posix_acl_xattr.h).

const VERSION: u32 = 2;
const NOBODY_IN_PARTICULAR: u32 = u32::MAX;

/// The value of `system.posix_acl_access` or `_default`; `None` for text that is none, or names a
/// user or group without a number: only the archive's own /etc/passwd could tell it, and the host's
/// would tell another.
pub(super) fn binary(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let lines = text
        .split([',', '\n'])
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty());
    let mut entries = lines.map(entry).collect::<Option<Vec<_>>>()?;
    entries.sort_unstable();
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    Some(value)
}

/// `TAG:WHO:rwx`, with the number of WHO behind it where a writer put a name: tag, id, permissions.
fn entry(line: &str) -> Option<(u16, u32, u16)> {
    let fields: Vec<_> = line.split(':').map(str::trim).collect();
    let (&tag, &who, &permissions) = (fields.first()?, fields.get(1)?, fields.get(2)?);
    let id = || who.parse().ok().or_else(|| fields.get(3)?.parse().ok());
    // ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER: the order in which the
    // kernel wants them.
    let (tag, id) = match (tag, who) {
        ("user" | "u", "") => (0x01, NOBODY_IN_PARTICULAR),
        ("user" | "u", _) => (0x02, id()?),
        ("group" | "g", "") => (0x04, NOBODY_IN_PARTICULAR),
        ("group" | "g", _) => (0x08, id()?),
        ("mask" | "m", "") => (0x10, NOBODY_IN_PARTICULAR),
        ("other" | "o", "") => (0x20, NOBODY_IN_PARTICULAR),
        _ => return None,
    };
    let bits = permissions.bytes().map(|byte| match byte {
        b'r' => Some(4),
        b'w' => Some(2),
        b'x' => Some(1),
        b'-' => Some(0),
        _ => None,
    });
    Some((tag, id, bits.sum::<Option<u16>>().filter(|&bits| bits < 8)?))
}

#[cfg(test)]
mod tests {
    use super::binary;

    #[test]
    fn text_becomes_what_the_kernel_takes() {
        let value = binary(b"user::rw-,user:1000:r-x,group::r--,mask::r-x,other::---").unwrap();
        assert_eq!(value.len(), 4 + 5 * 8);
        assert_eq!(value[12..20], [2, 0, 5, 0, 0xe8, 3, 0, 0]);
        assert_eq!(
            binary(b"user::rw-\ngroup::r--\t#effective:r--\nother::---\n").unwrap().len(),
            4 + 3 * 8
        );
        assert_eq!(binary(b"user:lisa:r--:1000").unwrap()[4..12], [2, 0, 4, 0, 0xe8, 3, 0, 0]);
    }

    #[test]
    fn a_name_without_a_number_is_not_looked_up() {
        for wrong in [
            &b"user:lisa:r--"[..],
            b"user",
            b"nobody::r--",
            b"user::rwz",
            b"user::rrr",
            b"other:1:r--",
            b"\xff",
        ] {
            assert_eq!(binary(wrong), None, "{}", wrong.escape_ascii());
        }
    }
}
