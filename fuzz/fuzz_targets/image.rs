//! Any texts are an image or a refusal, and what was chosen fits what was asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustic::Failure;
use rustic::parts::image::{ImageChoice, Kind, Platform, Texts, chosen, sha256};
use rustix::io::Errno;
use std::cell::Cell;
use std::collections::BTreeMap;

/// The texts of an image in memory.
struct Memory {
    files: BTreeMap<String, Vec<u8>>,
    read: Cell<u32>,
}

impl Texts for Memory {
    fn text(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.read.set(self.read.get() + 1);
        if self.read.get() > 4_000 {
            return Err(Failure::new("too many"));
        }
        let missing = || Failure::new(format!("no {name}")).errno(Errno::NOENT);
        self.files.get(name).cloned().ok_or_else(missing)
    }
}

/// Texts between bytes that JSON has not: the first is the index, `@N` in one the digest of the N-th,
/// which comes later. Nobody would guess a digest.
fn texts(layout: Kind, bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut digests: Vec<String> = Vec::new();
    let mut files = BTreeMap::new();
    let parts: Vec<&[u8]> = bytes.split(|&byte| byte == 0xff).take(9).collect();
    for (number, part) in parts.iter().enumerate().rev() {
        let mut text = String::from_utf8_lossy(part).into_owned();
        for (behind, digest) in digests.iter().rev().enumerate() {
            text = text.replace(&format!("@{}", number + 1 + behind), digest);
        }
        let digest = sha256(text.as_bytes());
        let name = match (number, layout) {
            (0, Kind::Oci) => "index.json".to_owned(),
            (0, Kind::Docker) => "manifest.json".to_owned(),
            (_, Kind::Oci) => format!("blobs/sha256/{digest}"),
            (number, Kind::Docker) => format!("{number}.json"),
        };
        digests.push(format!("sha256:{digest}"));
        files.insert(name, text.into_bytes());
    }
    files
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&flags, bytes)) = bytes.split_first() else { return };
    let layout = if flags & 1 == 0 { Kind::Oci } else { Kind::Docker };
    let choice = ImageChoice {
        platform: (flags & 2 != 0).then(|| Platform::of("linux/arm64").unwrap()),
        reference: (flags & 4 != 0).then(|| "a".to_owned()),
        sub: None,
    };
    let memory = Memory { files: texts(layout, bytes), read: Cell::new(0) };
    let Ok(image) = chosen(&memory, layout, &choice) else { return };
    assert!(image.layers.len() <= 500);
    if choice.platform.is_some() {
        assert_eq!(
            (image.platform.os.as_str(), image.platform.architecture.as_str()),
            ("linux", "arm64")
        );
    }
    assert!(choice.reference.is_none() || image.reference.is_some());
    for layer in image.layers {
        match layer.digest {
            Some(digest) => assert_eq!(layer.name, digest.blob()),
            None => assert_eq!(layout, Kind::Docker),
        }
        let id = layer.diff_id.blob();
        let hexadecimal = id.strip_prefix("blobs/sha256/").unwrap();
        assert!(hexadecimal.len() == 64 && hexadecimal.bytes().all(|b| b.is_ascii_hexdigit()));
    }
});
