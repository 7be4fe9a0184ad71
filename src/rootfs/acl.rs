//! Access control lists: the text of an archive (`user::rwx,group::r-x,…`, acl(5)) as the kernel's
//! attribute (linux/posix_acl_xattr.h).

const VERSION: u32 = 2;
const NOBODY_IN_PARTICULAR: u32 = u32::MAX;

/// ACL_USER_OBJ and its like: the order in which the kernel wants them.
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// A list whose users and groups may have names alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    tag: u16,
    who: Who,
    permissions: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// Whose the tag says.
    Nobody,
    Id(u32),
    Name(String),
}

impl AccessList {
    /// Of its text; `None` for what is none, or what the kernel would not take
    /// (posix_acl_valid() of fs/posix_acl.c).
    pub fn of(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let lines = text
            .split([',', '\n'])
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty());
        let mut lines = lines.map(line).collect::<Option<Vec<_>>>()?;
        lines.sort_unstable_by(|a, b| (a.tag, &a.who).cmp(&(b.tag, &b.who)));
        let has_one = |tag: u16| lines.iter().filter(|line| line.tag == tag).count() == 1;
        let is_twice = |pair: &[Line]| (pair[0].tag, &pair[0].who) == (pair[1].tag, &pair[1].who);
        let is_whole = [USER_OBJ, GROUP_OBJ, OTHER].into_iter().all(has_one);
        (is_whole && !lines.windows(2).any(is_twice)).then_some(Self(lines))
    }

    /// The value of `system.posix_acl_access` or `_default`; `None` where somebody is not known.
    /// Only the archive's own users can tell: the host's would be others.
    pub fn binary(
        &self,
        user: impl Fn(&str) -> Option<u32>,
        group: impl Fn(&str) -> Option<u32>,
    ) -> Option<Vec<u8>> {
        let mut entries = Vec::new();
        for Line { tag, who, permissions } in &self.0 {
            let id = match who {
                Who::Nobody => NOBODY_IN_PARTICULAR,
                Who::Id(id) => *id,
                Who::Name(name) if *tag == USER => user(name)?,
                Who::Name(name) => group(name)?,
            };
            entries.push((*tag, id, *permissions));
        }
        // What acl_calc_mask(3) makes of a list without one, which the kernel wants beside names.
        let named = entries.iter().any(|(tag, ..)| [USER, GROUP].contains(tag));
        if named && !entries.iter().any(|(tag, ..)| *tag == MASK) {
            let of_the_class = entries.iter().filter(|(tag, ..)| (USER..=GROUP).contains(tag));
            let all = of_the_class.fold(0, |all, (.., permissions)| all | permissions);
            entries.push((MASK, NOBODY_IN_PARTICULAR, all));
        }
        entries.sort_unstable();
        let mut value = VERSION.to_le_bytes().to_vec();
        for (tag, id, permissions) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        Some(value)
    }

    /// Bytes of its names, more or less.
    pub fn bytes(&self) -> usize {
        let of_name = |line: &Line| match &line.who {
            Who::Name(name) => name.len(),
            Who::Nobody | Who::Id(_) => 0,
        };
        self.0.iter().map(|line| size_of::<Line>() + of_name(line)).sum()
    }
}

/// `TAG:WHO:rwx`, with the number of WHO behind it where a writer put a name.
fn line(text: &str) -> Option<Line> {
    let fields: Vec<_> = text.split(':').map(str::trim).collect();
    let (&tag, &who, &permissions) = (fields.first()?, fields.get(1)?, fields.get(2)?);
    let named = || match who.parse().ok().or_else(|| fields.get(3)?.parse().ok()) {
        // As a user it means nobody, and here whose the tag says.
        Some(NOBODY_IN_PARTICULAR) => None,
        Some(id) => Some(Who::Id(id)),
        None => Some(Who::Name(who.to_owned())),
    };
    let (tag, who) = match (tag, who) {
        ("user" | "u", "") => (USER_OBJ, Who::Nobody),
        ("user" | "u", _) => (USER, named()?),
        ("group" | "g", "") => (GROUP_OBJ, Who::Nobody),
        ("group" | "g", _) => (GROUP, named()?),
        ("mask" | "m", "") => (MASK, Who::Nobody),
        ("other" | "o", "") => (OTHER, Who::Nobody),
        _ => return None,
    };
    let bits = permissions.bytes().map(|byte| match byte {
        b'r' => Some(4),
        b'w' => Some(2),
        b'x' => Some(1),
        b'-' => Some(0),
        _ => None,
    });
    let permissions = bits.sum::<Option<u16>>().filter(|&bits| bits < 8)?;
    Some(Line { tag, who, permissions })
}

#[cfg(test)]
mod tests {
    use super::AccessList;

    fn binary(text: &[u8]) -> Option<Vec<u8>> {
        AccessList::of(text)?.binary(|_| None, |_| None)
    }

    #[test]
    fn text_becomes_what_the_kernel_takes() {
        let value = binary(b"user::rw-,user:1000:r-x,group::r--,mask::r-x,other::---").unwrap();
        assert_eq!(value.len(), 4 + 5 * 8);
        assert_eq!(value[12..20], [2, 0, 5, 0, 0xe8, 3, 0, 0]);
        assert_eq!(
            binary(b"user::rw-\ngroup::r--\t#effective:r--\nother::---\n").unwrap().len(),
            4 + 3 * 8
        );
        assert_eq!(
            binary(b"u::r,user:lisa:r--:1000,g::r,o::-").unwrap()[12..20],
            [2, 0, 4, 0, 0xe8, 3, 0, 0]
        );
    }

    #[test]
    fn a_mask_that_is_missing_hides_nothing() {
        let value = binary(b"user::rw-,user:7:-w-,group::r--,other::--x").unwrap();
        assert_eq!(value[28..36], [0x10, 0, 6, 0, 0xff, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn a_name_without_a_number_is_looked_up_where_it_is_told() {
        let list =
            AccessList::of(b"user:lisa:r--,group:lisa:-w-,mask::rw-,u::r,g::r,o::r").unwrap();
        assert_eq!(list.binary(|_| None, |_| Some(7)), None);
        let value = list.binary(|name| (name == "lisa").then_some(9), |_| Some(7)).unwrap();
        assert_eq!(value[12..20], [2, 0, 4, 0, 9, 0, 0, 0]);
        assert_eq!(value[28..36], [8, 0, 2, 0, 7, 0, 0, 0]);
        for wrong in
            [&b"user"[..], b"nobody::r--", b"user::rwz", b"user::rrr", b"other:1:r--", b"\xff"]
        {
            assert_eq!(AccessList::of(wrong), None, "{}", wrong.escape_ascii());
        }
    }
}
