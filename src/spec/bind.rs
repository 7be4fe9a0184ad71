//! `--bind`: its words.

use crate::namespace::Switch;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// A host path shown inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// Inside, absolute.
    pub target: PathBuf,
    /// No for `:ro`.
    pub writable: Switch,
}

impl Bind {
    /// Reads `SRC:DST[:ro|:rw]`, any bytes. In a path `\:` is a colon and `\\` a backslash; before
    /// anything else a backslash is itself.
    ///
    /// # Errors
    /// How it is spelled.
    pub fn parse(word: &OsStr) -> Result<Self, String> {
        let parts = split(word.as_bytes());
        let (source, target, writable) = match parts.as_slice() {
            [source, target] => (source, target, Switch::Yes),
            [source, target, mode] if mode == b"rw" => (source, target, Switch::Yes),
            [source, target, mode] if mode == b"ro" => (source, target, Switch::No),
            _ => return Err(SPELLED.into()),
        };
        if source.is_empty() || target.is_empty() {
            return Err(SPELLED.into());
        }
        let path = |bytes: &Vec<u8>| PathBuf::from(OsString::from_vec(bytes.clone()));
        Ok(Self { source: path(source), target: path(target), writable })
    }

    /// The word that [`Bind::parse`] reads as this bind.
    pub fn word(&self) -> OsString {
        let mut word = escaped(self.source.as_os_str());
        word.push(b':');
        word.extend(escaped(self.target.as_os_str()));
        if self.writable == Switch::No {
            word.extend(b":ro");
        }
        OsString::from_vec(word)
    }
}

const SPELLED: &str = "a bind is SRC:DST or SRC:DST:ro, with \\: for a colon in a path";

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

fn escaped(path: &OsStr) -> Vec<u8> {
    let escape = |&byte: &u8| match byte {
        b':' | b'\\' => vec![b'\\', byte],
        other => vec![other],
    };
    path.as_bytes().iter().flat_map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(word: &str) -> Result<Bind, String> {
        Bind::parse(OsStr::new(word))
    }

    #[test]
    fn a_bind_has_two_paths_and_perhaps_ro() {
        assert!(parse("/a:/b").is_ok_and(|bind| bind.writable == Switch::Yes));
        assert!(parse("/a:/b:ro").is_ok_and(|bind| bind.writable == Switch::No));
        for wrong in ["/a", "/a:", ":/b", "/a:/b:rx", "/a:/b:ro:x", "/a\\:/b"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_colon_in_a_path_is_escaped() {
        let bind = parse("/a\\:b:/c\\\\\\:d\\e:ro").unwrap();
        assert_eq!(bind.source, PathBuf::from("/a:b"));
        assert_eq!(bind.target, PathBuf::from("/c\\:d\\e"));
        assert_eq!(Bind::parse(&bind.word()), Ok(bind));
    }
}
