//! The words of another launcher's command line, with places for what only a run knows.

use crate::spec::PROBE;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// A command line with places: `{probe}`, `{bin}`, `{nonce}`, `{name}`, `{dir}`,
/// `{bundle}` and `{work}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command(Vec<OsString>);

/// What stands for the places.
#[derive(Clone, Debug)]
pub struct Places {
    /// The probe's program, a copy of rustic.
    pub bin: PathBuf,
    /// A root file system.
    pub dir: PathBuf,
    /// A bundle of an OCI runtime, written anew for every start.
    pub bundle: PathBuf,
    /// A directory for what a launcher keeps, empty at every start.
    pub work: PathBuf,
}

/// The place of the whole probe: its program and its two arguments.
const PROBE_WORDS: &str = "{probe}";
/// The places of its parts, and of a root.
const BIN: &str = "{bin}";
const NONCE: &str = "{nonce}";
const NAME: &str = "{name}";
const DIR: &str = "{dir}";
const BUNDLE: &str = "{bundle}";
const WORK: &str = "{work}";

impl Command {
    /// These words.
    pub fn new(words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }

    /// The words with their places.
    pub fn template(&self) -> &[OsString] {
        &self.0
    }

    /// What starts the launcher.
    pub fn program(&self) -> &OsStr {
        self.0.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    /// Whether the probe has a place in it: otherwise nobody starts it.
    pub fn has_probe(&self) -> bool {
        self.has(PROBE_WORDS) || self.has(NONCE) || self.has_bundle()
    }

    /// Whether it wants a root file system.
    pub fn has_dir(&self) -> bool {
        self.has(DIR) || self.has_bundle()
    }

    /// The same with words put before the one at this place.
    pub fn with(mut self, at: usize, words: &[&str]) -> Self {
        self.0.splice(at..at, words.iter().map(OsString::from));
        self
    }

    /// Whether it wants a bundle.
    pub fn has_bundle(&self) -> bool {
        self.has(BUNDLE)
    }

    fn has(&self, place: &str) -> bool {
        self.0.iter().any(|word| find(word.as_bytes(), place.as_bytes()).is_some())
    }

    /// The words of one start. A word that is `{probe}` alone becomes three; within a word its parts
    /// are set off by blanks, as for a shell.
    pub fn words(&self, nonce: &str, places: &Places) -> Vec<OsString> {
        let bin = places.bin.as_os_str();
        let hidden = OsStr::from_bytes(PROBE.to_bytes());
        let probe = [bin, hidden, OsStr::new(nonce)];
        let filled = |word: &OsString| {
            let name = name(nonce);
            let whole = probe.join(OsStr::new(" "));
            let values: [(&str, &OsStr); 7] = [
                (PROBE_WORDS, &whole),
                (BIN, bin),
                (NONCE, OsStr::new(nonce)),
                (NAME, OsStr::new(&name)),
                (DIR, places.dir.as_os_str()),
                (BUNDLE, places.bundle.as_os_str()),
                (WORK, places.work.as_os_str()),
            ];
            filled(word, &values)
        };
        let each = self.0.iter().flat_map(|word| match word.to_str() {
            Some(PROBE_WORDS) => probe.map(OsString::from).to_vec(),
            _ => vec![filled(word)],
        });
        each.collect()
    }
}

/// What a container is called that needs a name.
pub fn name(nonce: &str) -> String {
    format!("rustic-{nonce}")
}

/// A word with its places filled; what was filled in is not looked at again.
fn filled(word: &OsStr, values: &[(&str, &OsStr)]) -> OsString {
    let mut rest = word.as_bytes();
    let mut text = Vec::new();
    while !rest.is_empty() {
        let value = values.iter().find(|(place, _)| rest.starts_with(place.as_bytes()));
        match value {
            Some((place, value)) => {
                text.extend_from_slice(value.as_bytes());
                rest = &rest[place.len()..];
            }
            None => {
                text.push(rest[0]);
                rest = &rest[1..];
            }
        }
    }
    OsString::from_vec(text)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_filled_once_and_the_probe_alone_is_three_words() {
        let places = Places {
            bin: "/a b/{dir}".into(),
            dir: "/root".into(),
            bundle: "/b".into(),
            work: "/w".into(),
        };
        let command =
            Command::new(["sh", "-c", "exec {probe}", "{probe}", "-D={dir}", "{name}{x}"]);
        let words = command.words("abc", &places);
        let told: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        let expected = [
            "sh",
            "-c",
            "exec /a b/{dir} __probe abc",
            "/a b/{dir}",
            "__probe",
            "abc",
            "-D=/root",
            "rustic-abc{x}",
        ];
        assert_eq!(told, expected);
        assert!(command.has_probe() && command.has_dir());
        assert!(Command::new(["x", "{nonce}"]).has_probe());
        assert!(!Command::new(["x", "{bin}", "probe"]).has_probe());
    }
}
