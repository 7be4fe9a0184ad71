//! What the entries of a layer ask for is what a plain reading of the rules says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustic::parts::entry::{Entry, EntryKind, EntryPath, Metadata};
use rustic::parts::image::{Action, Entries, Found};

const WORDS: [&str; 12] = [
    "a",
    "b",
    "c",
    "ab",
    "a.",
    ".wh.a",
    ".wh.b",
    ".wh..wh..opq",
    ".wh.",
    ".wh..",
    ".wh...",
    ".wh..wh.x",
];

/// An entry of two bytes: the kind and how deep it lies, and its words.
fn entry(kind: u8, words: u8) -> Option<Entry> {
    let name: Vec<&str> = (0..=(kind >> 6) % 3)
        .map(|at| WORDS[usize::from(words.rotate_left(u32::from(at) * 3)) % WORDS.len()])
        .collect();
    let kind = match kind % 5 {
        0 => EntryKind::Directory,
        1 => EntryKind::File { size: 0, data: None },
        2 => EntryKind::Symlink(b"a".to_vec()),
        3 => EntryKind::HardLink(EntryPath::of(b"a").ok()?),
        _ => EntryKind::Character(0, 0),
    };
    let place = EntryPath::of(name.join("/").as_bytes()).ok()?;
    Some(Entry { place, kind, metadata: Metadata::default() })
}

fn is_below(place: &str, above: &str) -> bool {
    above.is_empty() || place == above || place.starts_with(&format!("{above}/"))
}

fuzz_target!(|bytes: &[u8]| {
    let mut entries = Entries::default();
    let mut made: Vec<String> = Vec::new();
    let mut cleared: Vec<String> = Vec::new();
    for pair in bytes.chunks_exact(2) {
        let Some(entry) = entry(pair[0], pair[1]) else { continue };
        let place = String::from_utf8(entry.place.bytes().to_vec()).unwrap();
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", &place));
        let is_made = |place: &str| made.iter().any(|made| is_below(made, place));
        let action = entries.take(&entry);
        let Some(hidden) = name.strip_prefix(".wh.") else {
            assert_eq!(
                action,
                Ok(match entry.kind {
                    EntryKind::Directory => Action::WriteDirectory,
                    _ if is_made(&place) => Action::WriteOver,
                    _ => Action::Write,
                })
            );
            made.push(place);
            continue;
        };
        match action {
            Ok(Action::Clear(directory)) => {
                assert!(name == ".wh..wh..opq" && directory == parent.as_bytes());
                assert_ne!(entry.kind, EntryKind::Directory);
                let done = cleared.iter().any(|above| is_below(parent, above));
                assert_eq!(entries.is_cleared(parent.as_bytes()), done);
                for word in ["a", "b", "c"] {
                    let inside = [parent, word].join("/");
                    let inside = inside.trim_start_matches('/');
                    let expected = match (made.iter().any(|made| made == inside), is_made(inside)) {
                        (true, _) => Found::Own,
                        (_, true) => Found::Mixed,
                        _ => Found::Below,
                    };
                    assert_eq!(entries.found(inside.as_bytes()), expected);
                }
                entries.cleared(parent.as_bytes()).unwrap();
                cleared.push(parent.to_owned());
            }
            Ok(Action::Remove(gone)) => {
                assert!(!["", ".", ".."].contains(&hidden) && !hidden.starts_with(".wh."));
                let named = [parent, hidden].join("/");
                let named = named.trim_start_matches('/');
                assert_eq!(gone.bytes(), named.as_bytes());
                assert!(!is_made(named), "it is this layer's own");
            }
            Ok(action) => panic!("a mark is never written: {action:?}"),
            Err(_) => {
                let named = [parent, hidden].join("/");
                assert!(
                    entry.kind == EntryKind::Directory
                        || ["", ".", ".."].contains(&hidden)
                        || hidden.starts_with(".wh.")
                        || is_made(named.trim_start_matches('/'))
                );
            }
        }
    }
});
