//! Archives byte by byte: every field can hold what no archiver writes.

/// A header, its content, and the zeros that fill up the last block.
#[derive(Clone)]
pub(crate) struct Raw {
    header: [u8; 512],
    content: Vec<u8>,
    checksum: Checksum,
}

#[derive(Clone, Copy, PartialEq)]
enum Checksum {
    Right,
    Wrong,
}

/// An entry of a kind, in POSIX's format: mode 644, owner 0:0, time 1000, no content.
pub(crate) fn raw(flag: u8, name: impl AsRef<[u8]>) -> Raw {
    let mut raw = Raw { header: [0; 512], content: Vec::new(), checksum: Checksum::Right };
    raw.put(0, name.as_ref());
    raw.header[156] = flag;
    raw.header[257..265].copy_from_slice(b"ustar\x0000");
    raw.mode(0o644).owner(0, 0).mtime(1000).size(0)
}

pub(crate) fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Raw {
    raw(b'0', name).content(content)
}

pub(crate) fn dir(name: impl AsRef<[u8]>) -> Raw {
    raw(b'5', name).mode(0o755)
}

pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Raw {
    raw(b'2', name).mode(0o777).link(target)
}

pub(crate) fn hard(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Raw {
    raw(b'1', name).link(target)
}

pub(crate) fn node(flag: u8, name: &str, major: u32, minor: u32) -> Raw {
    raw(flag, name).field(329, format!("{major:07o}\0")).field(337, format!("{minor:07o}\0"))
}

/// A PAX header with these records, counted as they should be.
pub(crate) fn pax(records: &[(&str, &[u8])]) -> Raw {
    raw(b'x', "PaxHeaders/x")
        .content(records.iter().flat_map(|(key, value)| record(key, value)).collect::<Vec<u8>>())
}

/// A PAX header for all that follow.
pub(crate) fn global(records: &[(&str, &[u8])]) -> Raw {
    Raw { header: raw(b'g', "pax_global_header").header, ..pax(records) }
        .content(pax(records).content)
}

/// A PAX header with these bytes.
pub(crate) fn pax_bytes(content: impl AsRef<[u8]>) -> Raw {
    raw(b'x', "PaxHeaders/x").content(content)
}

/// A GNU long name (`L`) or long link (`K`).
pub(crate) fn long(flag: u8, name: impl AsRef<[u8]>) -> Raw {
    raw(flag, "././@LongLink").gnu().content([name.as_ref(), b"\0"].concat())
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (1..)
        .map(|digits| rest + digits)
        .find(|length| rest + length.to_string().len() == *length)
        .unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// Octal of a width, as most writers have it.
fn octal(number: u64, width: usize) -> String {
    format!("{number:0width$o}\0", width = width - 1)
}

/// Base 256, as GNU tar writes what octal cannot hold.
pub(crate) fn base256(number: i128, width: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes()[16 - width..].to_vec();
    bytes[0] |= 0x80;
    bytes
}

impl Raw {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Bytes at a place of the header.
    pub(crate) fn field(mut self, at: usize, bytes: impl AsRef<[u8]>) -> Self {
        self.put(at, bytes.as_ref());
        self
    }

    pub(crate) fn mode(self, mode: u64) -> Self {
        self.field(100, octal(mode, 8))
    }

    pub(crate) fn owner(self, uid: u64, gid: u64) -> Self {
        self.field(108, octal(uid, 8)).field(116, octal(gid, 8))
    }

    pub(crate) fn size(self, size: u64) -> Self {
        self.field(124, octal(size, 12))
    }

    pub(crate) fn mtime(self, mtime: u64) -> Self {
        self.field(136, octal(mtime, 12))
    }

    pub(crate) fn link(self, target: impl AsRef<[u8]>) -> Self {
        self.field(157, target)
    }

    pub(crate) fn content(mut self, content: impl AsRef<[u8]>) -> Self {
        self.content = content.as_ref().to_vec();
        let size = self.content.len() as u64;
        self.size(size)
    }

    /// GNU's magic.
    pub(crate) fn gnu(self) -> Self {
        self.field(257, b"ustar  \0")
    }

    /// The format before POSIX: nothing behind the link's name.
    pub(crate) fn v7(self) -> Self {
        self.field(257, [0; 255])
    }

    /// A stretch of a GNU sparse header, 0 to 3.
    pub(crate) fn stretch(self, which: usize, offset: u64, length: u64) -> Self {
        self.field(386 + 24 * which, octal(offset, 12)).field(398 + 24 * which, octal(length, 12))
    }

    /// The length with holes of a GNU sparse header.
    pub(crate) fn real_size(self, size: u64) -> Self {
        self.field(483, octal(size, 12))
    }

    pub(crate) fn wrong_checksum(mut self) -> Self {
        self.checksum = Checksum::Wrong;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut header = self.header;
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum::<u32>()
            + u32::from(self.checksum == Checksum::Wrong);
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut bytes = header.to_vec();
        bytes.extend(&self.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// Entries without an end.
pub(crate) fn open_ended<const N: usize>(entries: [Raw; N]) -> Vec<u8> {
    entries.iter().flat_map(Raw::bytes).collect()
}

/// An archive: entries, and two blocks of zeros.
pub(crate) fn tar<const N: usize>(entries: [Raw; N]) -> Vec<u8> {
    [open_ended(entries), vec![0; 1024]].concat()
}
