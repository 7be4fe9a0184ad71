//! Layers applied: what comes out is what a model in memory has, and nothing outside is touched. In
//! the directory that FUZZ_DIR names, best a tmpfs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustic::Failure;
use rustic::parts::entry::{Entry, EntryKind, EntryPath, Metadata};
use rustic::parts::image::LayeredTree;
use rustic::parts::writer::{
    Content, Devices, Owners, SetIds, Take, TreeWriter, UnpackLimits, UnpackRights,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const WORDS: [&str; 8] = ["a", "b", "c", "d", ".wh.a", ".wh.b", ".wh..wh..opq", ".wh.c"];
const TARGETS: [&str; 8] = ["a", "b/c", "..", "../../victim", "/", "/victim", "/../victim/x", "."];

struct Bytes(u8);

impl Content for Bytes {
    fn each(&mut self, take: &mut Take<'_>) -> Result<(), Failure> {
        take(0, &[self.0])
    }
}

/// An entry of three bytes; the last is a file's content, or which target a link has.
fn entry(bytes: &[u8]) -> Option<Entry> {
    let (kind, words, last) = (bytes[0], bytes[1], bytes[2]);
    let name: Vec<&str> = (0..=(kind >> 6) % 3)
        .map(|at| WORDS[usize::from(words.rotate_left(u32::from(at) * 3)) % WORDS.len()])
        .collect();
    let target = TARGETS[usize::from(last) % TARGETS.len()];
    let kind = match kind % 8 {
        0..=2 => EntryKind::Directory,
        3..=5 => EntryKind::File { size: 1, data: None },
        6 => EntryKind::Symlink(target.as_bytes().to_vec()),
        _ => EntryKind::HardLink(EntryPath::of(target.as_bytes()).ok()?),
    };
    let place = EntryPath::of(name.join("/").as_bytes()).ok()?;
    Some(Entry { place, kind, metadata: Metadata { mode: 0o755, ..Metadata::default() } })
}

/// A tree without links: directories have no content.
type Model = BTreeMap<String, Option<u8>>;

fn is_below(place: &str, above: &str) -> bool {
    above.is_empty() || place.starts_with(&format!("{above}/"))
}

/// What a layer has made, and the directories in which nothing is left of those below.
#[derive(Default)]
struct Layer {
    made: BTreeSet<String>,
    cleared: Vec<String>,
}

/// Whether a layer has made this or something in it.
fn is_own(place: &str, made: &BTreeSet<String>) -> bool {
    made.iter().any(|made| made == place || is_below(made, place))
}

/// Empties a directory of what earlier layers have put there.
fn emptied(tree: &mut Model, layer: &mut Layer, parent: &str) -> Option<()> {
    let Layer { made, cleared } = layer;
    if cleared.iter().any(|above| above == parent || is_below(parent, above)) {
        return Some(());
    }
    let there: Vec<String> = tree.keys().filter(|key| is_below(key, parent)).cloned().collect();
    let mixed = |key: &String| !made.contains(key) && is_own(key, made);
    // Only what lies in directories that this layer has named is looked at.
    let looked_at = |key: &&String| {
        let mut above = key.as_str();
        while let Some((next, _)) = above.rsplit_once('/') {
            above = next;
            if above.len() <= parent.len() {
                break;
            }
            if !made.contains(above) {
                return false;
            }
        }
        true
    };
    if there.iter().filter(looked_at).any(mixed) {
        return None;
    }
    for key in there {
        if !is_own(&key, made) {
            tree.remove(&key);
        }
    }
    cleared.push(parent.to_owned());
    Some(())
}

/// The same by the plain rules; `None` where the layer is refused.
fn applied(tree: &mut Model, layer: &mut Layer, entry: &Entry, last: u8) -> Option<()> {
    let place = String::from_utf8(entry.place.bytes().to_vec()).unwrap();
    let (parent, name) = place.rsplit_once('/').unwrap_or(("", &place));
    let is_directory = entry.kind == EntryKind::Directory;
    if let Some(hidden) = name.strip_prefix(".wh.") {
        if is_directory {
            return None;
        }
        let join = |name: &str| format!("{parent}/{name}").trim_start_matches('/').to_owned();
        if name == ".wh..wh..opq" {
            return emptied(tree, layer, parent);
        }
        let gone = join(hidden);
        if is_own(&gone, &layer.made) {
            return None;
        }
        tree.retain(|key, _| *key != gone && !is_below(key, &gone));
        return Some(());
    }
    let mut above = String::new();
    for part in parent.split('/').filter(|part| !part.is_empty()) {
        above = format!("{above}/{part}").trim_start_matches('/').to_owned();
        match tree.get(&above) {
            Some(Some(_)) => return None,
            Some(None) => {}
            None => drop(tree.insert(above.clone(), None)),
        }
    }
    if is_directory {
        tree.insert(place.clone(), None);
    } else {
        let has_something = tree.keys().any(|key| is_below(key, &place));
        if is_own(&place, &layer.made) && has_something {
            return None;
        }
        tree.retain(|key, _| !is_below(key, &place));
        tree.insert(place.clone(), Some(last));
    }
    layer.made.insert(place);
    Some(())
}

fn listed(root: &Path, at: &str, found: &mut Model) {
    for entry in fs::read_dir(root.join(at)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{at}/{}", entry.file_name().to_string_lossy());
        let name = name.trim_start_matches('/').to_owned();
        if entry.file_type().unwrap().is_dir() {
            found.insert(name.clone(), None);
            listed(root, &name, found);
        } else {
            found.insert(name.clone(), Some(fs::read(root.join(&name)).unwrap()[0]));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let base: PathBuf = std::env::var_os("FUZZ_DIR").expect("FUZZ_DIR").into();
    let base = base.join(std::process::id().to_string());
    let (root, victim) = (base.join("root"), base.join("victim"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&victim).unwrap();
    fs::write(victim.join("x"), "v").unwrap();
    let opened = File::open(&root).unwrap();
    let rights =
        UnpackRights { owners: Owners::Squashed, devices: Devices::Skipped, set_ids: SetIds::Kept };
    let mut writer =
        TreeWriter::new(std::os::fd::AsFd::as_fd(&opened), rights, UnpackLimits::default());
    let mut model = Model::new();
    let (mut has_links, mut refused) = (false, false);
    'layers: for layer in bytes.split(|&byte| byte == 0xff).take(4) {
        let mut tree = LayeredTree::over(&mut writer);
        let mut state = Layer::default();
        for bytes in layer.chunks_exact(3).take(12) {
            let Some(entry) = entry(bytes) else { continue };
            let is_link = matches!(entry.kind, EntryKind::Symlink(_) | EntryKind::HardLink(_));
            // A mark may be one.
            let is_mark = entry
                .place
                .path()
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b".wh."));
            has_links |= is_link && !is_mark;
            let written = tree.write(entry.clone(), &mut Bytes(bytes[2]));
            if !has_links {
                let expected = applied(&mut model, &mut state, &entry, bytes[2]);
                assert_eq!(written.is_ok(), expected.is_some(), "{entry:?} {written:?}");
            }
            if written.is_err() {
                refused = true;
                break 'layers;
            }
        }
    }
    if !has_links && !refused {
        writer.finish().unwrap();
        let mut found = Model::new();
        listed(&root, "", &mut found);
        assert_eq!(found, model);
    }
    let names: Vec<_> = fs::read_dir(&victim).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(names.len() == 1 && fs::read(victim.join("x")).unwrap() == b"v", "{names:?}");
    fs::remove_dir_all(&base).unwrap();
});
