//! The users and groups of an image: lines of its passwd(5) and group(5).

use crate::beneath;
use crate::error::{SysError, errno_of};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::io::Read;

/// Bytes of passwd and of group that are read; more is refused.
pub const LARGEST: u64 = 1 << 20;

/// A line of passwd(5).
pub struct User<'a> {
    /// The name, not empty.
    pub name: &'a [u8],
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

/// A line of group(5).
pub struct Group<'a> {
    /// The name, not empty.
    pub name: &'a [u8],
    /// The group id.
    pub gid: u32,
    /// The names of who is in it besides those whose own it is.
    pub members: Vec<&'a [u8]>,
}

/// The users of a passwd(5); lines that are none are passed over.
pub fn users(text: &[u8]) -> impl Iterator<Item = User<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        Some(User { name, uid: id(fields.nth(1)?)?, gid: id(fields.next()?)? })
    })
}

/// The groups of a group(5), likewise.
pub fn groups(text: &[u8]) -> impl Iterator<Item = Group<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = id(fields.nth(1)?)?;
        let members = fields.next().unwrap_or_default().split(|&byte| byte == b',').collect();
        Some(Group { name, gid, members })
    })
}

/// Decimal digits and nothing else; 4294967295 is no id, setreuid(2).
fn id(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

/// The content of a file that is open as a path.
///
/// # Errors
/// EINVAL for what is no regular file, EFBIG for what is too large, and those of read(2).
pub fn read(file: &OwnedFd) -> Result<Vec<u8>, SysError> {
    let mut text = Vec::new();
    let read = beneath::regular(file)?.take(LARGEST + 1).read_to_end(&mut text);
    read.map_err(|error| SysError::from(errno_of(&error)))?;
    if text.len() as u64 > LARGEST {
        return Err(SysError::new(Errno::FBIG, "it has more than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let text =
            b"root:x:0:0::/root:/bin/sh\n\n:x:1:1\nbad:x:-1:0\nbig:x:4294967295:0\nplus:x:+7:0\n\
            short:x:7\njoe:x:1000:100:,:/home/joe";
        let found: Vec<_> = users(text).map(|user| (user.name, user.uid, user.gid)).collect();
        assert_eq!(found, [(&b"root"[..], 0, 0), (b"joe", 1000, 100)]);
        let text = b"a:x:1:joe\nb:x:2:joes,jo\nc:x:3:root,joe\nd:x:4:\ne:x:5";
        let member = |group: &Group<'_>| group.members.contains(&&b"joe"[..]);
        let found: Vec<_> = groups(text).filter(member).map(|group| group.gid).collect();
        assert_eq!(found, [1, 3]);
    }
}
