//! The words behind `--bind`, `--tmpfs` and `--overlay`: paths, and options behind the target.

use super::{Bind, Overlay, Tmpfs};
use crate::namespace::Switch;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

impl Bind {
    /// Reads `SRC:DST[:ro|:rw][:idmap]`, any bytes. In a path `\:` is a colon and `\\` a backslash; before
    /// anything else a backslash is itself.
    ///
    /// # Errors
    /// How it is spelled.
    pub fn parse(word: &OsStr) -> Result<Self, String> {
        const SPELLED: &str =
            "a bind is SRC:DST, with :ro or :idmap behind it, and \\: for a colon in a path";
        let (source, target, options) = two_paths(word, SPELLED)?;
        let Options { writable, idmapped, size } = options;
        if size.is_some() {
            return Err(format!("a bind has no size: {SPELLED}"));
        }
        Ok(Self { source, target, writable, idmapped })
    }

    /// The word that [`Bind::parse`] reads as this bind.
    pub fn word(&self) -> OsString {
        let mut word = said(&[&self.source, &self.target], self.writable, None);
        if self.idmapped == Switch::Yes {
            word.push(":idmap");
        }
        word
    }
}

impl Tmpfs {
    /// Reads `DST[:ro|:rw][:size=N]`, the options in any order.
    ///
    /// # Errors
    /// How it is spelled.
    pub fn parse(word: &OsStr) -> Result<Self, String> {
        const SPELLED: &str =
            "a tmpfs is DST, DST:ro or DST:size=N, with \\: for a colon in a path";
        let mut parts = split(word.as_bytes()).into_iter();
        let target = parts.next().unwrap_or_default();
        if target.is_empty() {
            return Err(SPELLED.into());
        }
        let Options { writable, idmapped, size } = options(parts.as_slice(), SPELLED)?;
        if idmapped == Switch::Yes {
            return Err(format!("a tmpfs has no owners to be mapped: {SPELLED}"));
        }
        Ok(Self { target: path(target), writable, size })
    }

    /// The word that [`Tmpfs::parse`] reads as this tmpfs.
    pub fn word(&self) -> OsString {
        said(&[&self.target], self.writable, self.size)
    }
}

impl Overlay {
    /// Reads `DIR:DST`.
    ///
    /// # Errors
    /// How it is spelled.
    pub fn parse(word: &OsStr) -> Result<Self, String> {
        const SPELLED: &str = "an overlay is DIR:DST, with \\: for a colon in a path";
        match split(word.as_bytes()).as_slice() {
            [lower, target] if !lower.is_empty() && !target.is_empty() => {
                Ok(Self { lower: path(lower.clone()), target: path(target.clone()) })
            }
            _ => Err(SPELLED.into()),
        }
    }

    /// The word that [`Overlay::parse`] reads as this overlay.
    pub fn word(&self) -> OsString {
        said(&[&self.lower, &self.target], Switch::Yes, None)
    }
}

/// What may stand behind a target, in any order, each once.
struct Options {
    writable: Switch,
    idmapped: Switch,
    size: Option<u64>,
}

fn two_paths(word: &OsStr, spelled: &str) -> Result<(PathBuf, PathBuf, Options), String> {
    let parts = split(word.as_bytes());
    match parts.as_slice() {
        [source, target, more @ ..] if !source.is_empty() && !target.is_empty() => {
            Ok((path(source.clone()), path(target.clone()), options(more, spelled)?))
        }
        _ => Err(spelled.into()),
    }
}

fn options(words: &[Vec<u8>], spelled: &str) -> Result<Options, String> {
    let (mut writable, mut idmapped, mut room) = (None, None, None);
    for word in words {
        let text = String::from_utf8_lossy(word);
        let twice = match &*text {
            "ro" => writable.replace(Switch::No).is_some(),
            "rw" => writable.replace(Switch::Yes).is_some(),
            "idmap" => idmapped.replace(Switch::Yes).is_some(),
            other => match other.strip_prefix("size=") {
                Some(number) => room.replace(size(number)?).is_some(),
                None => return Err(format!("'{other}' is no option: {spelled}")),
            },
        };
        if twice {
            return Err(format!("'{text}' is said twice, or with its contrary: {spelled}"));
        }
    }
    Ok(Options {
        writable: writable.unwrap_or(Switch::Yes),
        idmapped: idmapped.unwrap_or(Switch::No),
        size: room,
    })
}

/// A number of bytes, perhaps with K, M or G behind it.
///
/// # Errors
/// What a size is.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number =
        digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    // tmpfs(5): size=0 would mean "no limit".
    number.and_then(|number| number.checked_mul(unit)).filter(|&bytes| bytes > 0).ok_or_else(|| {
        "a size is a number of bytes above 0, or one with K, M or G behind it".into()
    })
}

fn path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// The parts between colons that are not escaped, without the escapes.
fn split(word: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = word.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek(), parts.last_mut()) {
            (b'\\', Some(&next @ (b':' | b'\\')), Some(part)) => {
                part.push(next);
                bytes.next();
            }
            (b':', ..) => parts.push(Vec::new()),
            (_, _, Some(part)) => part.push(byte),
            (_, _, None) => {}
        }
    }
    parts
}

/// Paths and options as the words above are read.
fn said(paths: &[&Path], writable: Switch, size: Option<u64>) -> OsString {
    let mut parts: Vec<Vec<u8>> = paths.iter().map(|path| escaped(path)).collect();
    if writable == Switch::No {
        parts.push(b"ro".to_vec());
    }
    parts.extend(size.map(|size| format!("size={size}").into_bytes()));
    OsString::from_vec(parts.join(&b':'))
}

fn escaped(path: &Path) -> Vec<u8> {
    let escape = |&byte: &u8| match byte {
        b':' | b'\\' => vec![b'\\', byte],
        other => vec![other],
    };
    path.as_os_str().as_bytes().iter().flat_map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(word: &str) -> Result<Bind, String> {
        Bind::parse(OsStr::new(word))
    }

    #[test]
    fn a_bind_has_two_paths_and_perhaps_ro() {
        assert!(bind("/a:/b").is_ok_and(|bind| bind.writable == Switch::Yes));
        assert!(bind("/a:/b:ro").is_ok_and(|bind| bind.writable == Switch::No));
        let wrongs = [
            "/a",
            "/a:",
            ":/b",
            "/a:/b:rx",
            "/a:/b:ro:x",
            "/a\\:/b",
            "/a:/b:ro:ro",
            "/a:/b:size=1",
        ];
        for wrong in wrongs {
            assert!(bind(wrong).is_err(), "{wrong:?}");
        }
        assert!(bind("/a:/b:ro:rw").unwrap_err().contains("contrary"));
    }

    #[test]
    fn a_colon_in_a_path_is_escaped() {
        let read = bind("/a\\:b:/c\\\\\\:d\\e:ro").unwrap();
        assert_eq!(read.source, PathBuf::from("/a:b"));
        assert_eq!(read.target, PathBuf::from("/c\\:d\\e"));
        assert_eq!(Bind::parse(&read.word()), Ok(read));
    }

    #[test]
    fn options_come_in_any_order_and_each_once() {
        let read = |word: &str| Tmpfs::parse(OsStr::new(word));
        let small = Tmpfs { target: "/a:b".into(), writable: Switch::No, size: Some(2 << 20) };
        assert_eq!(read("/a\\:b:ro:size=2M"), Ok(small.clone()));
        assert_eq!(read("/a\\:b:size=2097152:ro"), Ok(small));
        for wrong in ["", ":ro", "/a:size=0", "/a:size=1:size=2", "/a:ro:ro", "/a:"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_size_is_a_number_of_bytes_and_a_unit() {
        for wrong in
            ["", "0", "0K", "M", "1T", "-1", "+1", " 1", "1 ", "1.5G", "18446744073709551615K"]
        {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(size("1k"), Ok(1024));
        assert_eq!(size("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn an_overlay_has_two_paths_and_nothing_else() {
        let read = |word: &str| Overlay::parse(OsStr::new(word));
        let two = Overlay { lower: "/a".into(), target: "/b:".into() };
        assert_eq!(read("/a:/b\\:"), Ok(two));
        assert!(["/a", "/a:", "/a:/b:ro", ":/b"].iter().all(|wrong| read(wrong).is_err()));
    }
}
