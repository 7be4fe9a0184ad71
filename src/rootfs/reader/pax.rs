//! The records of a PAX extended header, `LENGTH KEY=VALUE\n` each, pax(1). Values are bytes: an
//! attribute may hold a newline, at which the tar crate's own iterator would cut it.

use crate::rootfs::acl::AccessList;
use crate::rootfs::entry::Time;
use crate::rootfs::policy::{LARGEST_ATTRIBUTE, LONGEST_NAME, Rule};
use crate::rootfs::reader::sparse::Map;
use crate::rootfs::reader::values::{decimal, id, name, time, unquoted};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// libarchive's way: no padding, which others may add.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What extended headers say of the entry that follows, as far as anything here can keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// In place of the header's name.
    pub(super) path: Option<Vec<u8>>,
    /// In place of the header's link name.
    pub(super) linkpath: Option<Vec<u8>>,
    /// Stored bytes.
    pub(super) size: Option<u64>,
    /// Owner.
    pub(super) uid: Option<u32>,
    /// Group.
    pub(super) gid: Option<u32>,
    /// Last modification.
    pub(super) mtime: Option<Time>,
    /// Extended attributes by full name, access control lists among them.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// What no Linux file system keeps, or only a security module: file flags, labels.
    pub(super) left_out: u64,
    /// GNU's sparse files.
    pub(super) sparse: Sparse,
    /// Access control lists with names in them, by their attribute.
    pub(super) named_lists: Vec<(&'static [u8], AccessList)>,
    /// The texts of the access control lists: of the file, and of what is made in a directory.
    lists: (Option<Vec<u8>>, Option<Vec<u8>>),
}

/// The records of GNU tar's three ways to tell of holes in a PAX archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Format 1.0: the map stands before the content.
    pub(super) version: (Option<u64>, Option<u64>),
    /// The name, which the header replaces by one of GNU's own (0.1 and 1.0).
    pub(super) name: Option<Vec<u8>>,
    /// Length with holes: `GNU.sparse.realsize` of 1.0, `GNU.sparse.size` of the others.
    pub(super) real_size: Option<u64>,
    /// Formats 0.0 and 0.1: the stretches.
    pub(super) map: Option<Map>,
    /// Format 0.0: an offset that waits for its length.
    offset: Option<u64>,
}

/// Where a header stands: before one entry, or for all that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// `x`.
    Local,
    /// `g`.
    Global,
}

impl Records {
    /// Reads a header's records on top of those that hold already.
    ///
    /// # Errors
    /// A record that is cut, counted wrongly, repeated, not known, or where it must not be.
    pub(super) fn read(&mut self, mut rest: &[u8], scope: Scope) -> Result<(), Rule> {
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut quoted: Vec<(Vec<u8>, &[u8])> = Vec::new();
        while !rest.is_empty() {
            let (key, value, after) = record(rest).ok_or(Rule::PaxRecord)?;
            rest = after;
            // A pair of these is told by repeating them.
            let repeats = matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes" | b"comment");
            if !repeats && !is_attribute(key) {
                if seen.contains(&key) {
                    return Err(Rule::PaxRepeated(key.to_vec()));
                }
                seen.push(key);
            }
            let name = key.strip_prefix(b"LIBARCHIVE.xattr.").map(unquoted);
            quoted.extend(name.map(|name| (name, value)));
            self.take(key, value, scope)?;
        }
        self.take_lists()?;
        if self.sparse.offset.is_some() {
            return Err(Rule::SparseMap);
        }
        // bsdtar tells each attribute in both forms unless it is told not to.
        for (name, value) in quoted {
            if !self.attributes.iter().any(|(told, _)| *told == name) {
                let plain = BASE64.decode(value).map_err(|_| Rule::Attribute(name.clone()))?;
                self.attribute(&name, plain)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8], scope: Scope) -> Result<(), Rule> {
        let own = matches!(key, b"path" | b"linkpath" | b"size")
            || [&b"GNU.sparse."[..], b"SCHILY.acl."].iter().any(|of| key.starts_with(of))
            || is_attribute(key);
        if own && scope == Scope::Global {
            return Err(Rule::PaxGlobal(key.to_vec()));
        }
        match key {
            b"path" => self.path = Some(name(value)?),
            b"linkpath" => self.linkpath = Some(name(value)?),
            b"size" => self.size = Some(decimal(value, "size")?),
            b"uid" => self.uid = Some(id(value)?),
            b"gid" => self.gid = Some(id(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"hdrcharset" | b"charset" => match value {
                b"BINARY" | b"ISO-IR 10646 2000 UTF-8" | b"UTF-8" => {}
                _ => return Err(Rule::PaxUnknown([key, b"=", value].concat())),
            },
            b"atime" | b"ctime" | b"uname" | b"gname" | b"comment" => {}
            // Of the archive and who wrote it, not of the entry.
            b"SCHILY.release" | b"SCHILY.archtype" | b"SCHILY.tarfiletype" | b"GOLANG.pkg" => {}
            key if key.starts_with(b"SCHILY.volhdr.") => {}
            b"SCHILY.dev" | b"SCHILY.ino" | b"SCHILY.nlink" | b"SCHILY.filetype" => {}
            b"LIBARCHIVE.creationtime" | b"LIBARCHIVE.symlinktype" | b"GNU.volume.label" => {}
            b"SCHILY.fflags" | b"RHT.security.selinux" => self.left_out += 1,
            // What Windows and macOS keep, and NFSv4's lists: no file system of Linux has them.
            b"SCHILY.acl.ace" | b"MSWINDOWS.rawsd" | b"MSWINDOWS.fileattr" => self.left_out += 1,
            b"SCHILY.acl.access" => self.lists.0 = Some(value.to_vec()),
            b"SCHILY.acl.default" => self.lists.1 = Some(value.to_vec()),
            _ => match (
                key.strip_prefix(b"SCHILY.xattr."),
                key.strip_prefix(b"LIBARCHIVE.xattr."),
                key.strip_prefix(b"GNU.sparse."),
            ) {
                (Some(attribute), ..) => self.attribute(attribute, value.to_vec())?,
                // The same attribute in base64, beside the plain form.
                (_, Some(_), _) => {}
                (.., Some(what)) => self.sparse.take(what, value)?,
                _ => return Err(Rule::PaxUnknown(key.to_vec())),
            },
        }
        Ok(())
    }

    /// An access control list as text, where it is not there as an attribute too: `tar --acls`
    /// writes names for the numbers.
    fn take_lists(&mut self) -> Result<(), Rule> {
        let lists = std::mem::take(&mut self.lists);
        let names: [&'static [u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
        for (name, text) in names.into_iter().zip([lists.0, lists.1]) {
            let told = self.attributes.iter().any(|(told, _)| told == name);
            let Some(text) = text.filter(|_| !told) else { continue };
            let list = AccessList::of(&text).ok_or(Rule::Acl)?;
            match list.binary(|_| None, |_| None) {
                Some(value) => self.attribute(name, value)?,
                None => self.named_lists.push((name, list)),
            }
        }
        Ok(())
    }

    fn attribute(&mut self, name: &[u8], value: Vec<u8>) -> Result<(), Rule> {
        if name.is_empty()
            || name.contains(&0)
            || name.len() > LONGEST_NAME
            || value.len() > LARGEST_ATTRIBUTE
        {
            return Err(Rule::Attribute(name.to_vec()));
        }
        self.attributes.push((name.to_vec(), value));
        Ok(())
    }
}

impl Sparse {
    fn take(&mut self, what: &[u8], value: &[u8]) -> Result<(), Rule> {
        const FIELD: &str = "map of holes";
        match what {
            b"major" => self.version.0 = Some(decimal(value, FIELD)?),
            b"minor" => self.version.1 = Some(decimal(value, FIELD)?),
            b"name" => self.name = Some(name(value)?),
            b"realsize" | b"size" => self.real_size = Some(decimal(value, FIELD)?),
            // How many stretches there are is seen from the stretches.
            b"numblocks" => decimal(value, FIELD).map(drop)?,
            b"offset" if self.offset.is_none() => self.offset = Some(decimal(value, FIELD)?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or(Rule::SparseMap)?;
                self.stretch(offset, decimal(value, FIELD)?)?;
            }
            b"map" => {
                let numbers = value
                    .split(|&byte| byte == b',')
                    .map(|number| decimal(number, FIELD))
                    .collect::<Result<Vec<_>, _>>()?;
                for pair in numbers.chunks(2) {
                    let [offset, length] = pair else { return Err(Rule::SparseMap) };
                    self.stretch(*offset, *length)?;
                }
            }
            _ => return Err(Rule::PaxUnknown([b"GNU.sparse.", what].concat())),
        }
        Ok(())
    }

    fn stretch(&mut self, offset: u64, length: u64) -> Result<(), Rule> {
        self.map.get_or_insert_default().push(offset, length)
    }
}

/// Keys of which an entry may have several, and none twice in the same words.
fn is_attribute(key: &[u8]) -> bool {
    key.starts_with(b"SCHILY.xattr.") || key.starts_with(b"LIBARCHIVE.xattr.")
}

/// The first record: key, value, and what follows.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space], "length").ok()?).ok()?;
    let (record, after) = bytes.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=').filter(|&at| at > 0)?;
    Some((&body[..equals], &body[equals + 1..], after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Records, Rule> {
        let mut records = Records::default();
        records.read(bytes, Scope::Local).map(|()| records)
    }

    #[test]
    fn a_value_may_hold_anything_a_newline_too() {
        let records = read(b"12 path=a=b\n26 SCHILY.xattr.user.a=\n\0\n").unwrap();
        assert_eq!(records.path, Some(b"a=b".to_vec()));
        assert_eq!(records.attributes, [(b"user.a".to_vec(), b"\n\0".to_vec())]);
    }

    #[test]
    fn a_record_is_counted_exactly() {
        for wrong in [
            &b"11 path=a=b\n"[..],
            b"13 path=a=b\n",
            b"12 path=a=b",
            b"+12 path=a=b\n",
            b" 12 path=a=b\n",
            b"7 =a\n\n\n",
            b"0 a=b\n",
        ] {
            assert_eq!(read(wrong), Err(Rule::PaxRecord), "{}", wrong.escape_ascii());
        }
    }
}
