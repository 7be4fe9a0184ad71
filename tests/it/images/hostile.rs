//! Images that lie, loop, climb and burst.

use super::{Image, packed, sha256, unpacked, with_index};
use crate::corpus::bytes::{dir, file, symlink};
use crate::corpus::gzip;
use crate::need;
use serde_json::json;
use std::collections::BTreeMap;

fn image() -> Image {
    Image::new(&[&[file("a", "1")], &[file("b", "2")]])
}

#[track_caller]
fn refused(files: &BTreeMap<String, Vec<u8>>, words: &[&str]) {
    refused_bytes(&packed(files), words);
}

#[track_caller]
fn refused_bytes(archive: &[u8], words: &[&str]) {
    let (ran, tree) = unpacked(archive, &[]);
    ran.fails(125, words);
    assert!(!tree.exists(), "nothing is left");
    let beside = std::fs::read_dir(tree.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "nothing but the archive");
}

/// The files of a layout with something done to them.
fn changed(change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> BTreeMap<String, Vec<u8>> {
    let mut files = image().layout();
    change(&mut files);
    files
}

#[test]
fn a_digest_that_lies_is_found_wherever_it_is() {
    need!(root);
    for (name, content) in image().layout().iter().filter(|(name, _)| name.starts_with("blobs")) {
        let mut other = content.clone();
        let last = other.len() - 1;
        other[last] ^= 1;
        let files = changed(|files| drop(files.insert(name.clone(), other)));
        let (ran, tree) = unpacked(&packed(&files), &[]);
        assert!(ran.code == 125 && !tree.exists(), "{name}: {ran:?}");
    }
    // A layer of the right digest that is not what the config says.
    let (mut files, mut descriptor) = image().oci();
    let mut config: serde_json::Value = serde_json::from_slice(&image().config()).unwrap();
    config["rootfs"]["diff_ids"][1] = format!("sha256:{}", sha256(b"other")).into();
    let config = config.to_string().into_bytes();
    let mut manifest: serde_json::Value = serde_json::from_slice(
        &files[&descriptor["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/")],
    )
    .unwrap();
    manifest["config"]["digest"] = format!("sha256:{}", sha256(&config)).into();
    let manifest = manifest.to_string().into_bytes();
    descriptor["digest"] = format!("sha256:{}", sha256(&manifest)).into();
    for blob in [config, manifest] {
        files.insert(format!("blobs/sha256/{}", sha256(&blob)), blob);
    }
    refused(&with_index(files, &[descriptor]), &["layer 2", "has not the digest"]);
    // The config of docker save that is not what it is called.
    let mut files = image().saved();
    let name =
        files.keys().find(|name| name.ends_with(".json") && name.len() > 60).unwrap().clone();
    files.get_mut(&name).unwrap().push(b' ');
    refused(&files, &["has not the digest"]);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    need!(root);
    let saved = |config: &str, layer: &str| {
        let mut files = image().saved();
        let manifest = json!([{ "Config": config, "Layers": [layer] }]);
        files.insert("manifest.json".into(), manifest.to_string().into_bytes());
        files
    };
    refused(&saved("../../etc/passwd", "x"), &["'../../etc/passwd'", "outside"]);
    refused(&saved("/etc/passwd", "x"), &["'/etc/passwd'"]);
    let config = image().config();
    let entries = [
        symlink("config.json", "/etc/passwd"),
        file("manifest.json", json!([{ "Config": "config.json", "Layers": [] }]).to_string()),
    ];
    refused_bytes(&super::layer(&entries), &["'config.json'"]);
    let ids: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let entries = [
        file("config.json", ids.to_string()),
        symlink("a.tar", "b.tar"),
        symlink("b.tar", "a.tar"),
        file(
            "manifest.json",
            json!([{ "Config": "config.json", "Layers": ["a.tar", "b.tar"] }]).to_string(),
        ),
    ];
    refused_bytes(&super::layer(&entries), &["'a.tar'", "ELOOP"]);
    let index = |digest: &str| with_index(BTreeMap::new(), &[json!({ "digest": digest })]);
    for digest in ["sha256:../../../etc/passwd", "md5:0", "", "sha256:ABCD"] {
        refused(&index(digest), &["is no sha256 digest"]);
    }
    refused(&index(&format!("sha256:{}", sha256(b""))), &["ENOENT"]);
}

#[test]
fn too_much_of_anything_is_refused() {
    need!(root);
    let many: Vec<String> = (0..10_000).map(|_| "x.tar".to_owned()).collect();
    let config = json!({ "os": "linux", "rootfs": { "diff_ids": many } });
    let files = BTreeMap::from([
        ("config.json".to_owned(), config.to_string().into_bytes()),
        (
            "manifest.json".to_owned(),
            json!([{ "Config": "config.json", "Layers": many }]).to_string().into_bytes(),
        ),
        ("x.tar".to_owned(), Vec::new()),
    ]);
    refused(&files, &["10000 layers"]);
    // An index in an index in an index.
    let mut files = BTreeMap::new();
    let mut digest = sha256(b"{}");
    for _ in 0..10 {
        let index = json!({ "manifests": [{ "digest": format!("sha256:{digest}") }] }).to_string();
        digest = sha256(index.as_bytes());
        files.insert(format!("blobs/sha256/{digest}"), index.into_bytes());
    }
    refused(&with_index(files, &[json!({ "digest": format!("sha256:{digest}") })]), &["too deep"]);
    // An index that names itself, so to speak, five hundred times in each of four.
    let mut files = BTreeMap::new();
    let mut index = json!({ "manifests": [] }).to_string();
    for _ in 0..3 {
        let digest = format!("sha256:{}", sha256(index.as_bytes()));
        files.insert(digest.replace("sha256:", "blobs/sha256/"), index.into_bytes());
        index = json!({ "manifests": vec![json!({ "digest": digest }); 500] }).to_string();
    }
    let first = json!({ "digest": format!("sha256:{}", sha256(index.as_bytes())) });
    files.insert(format!("blobs/sha256/{}", sha256(index.as_bytes())), index.into_bytes());
    refused(&with_index(files, &[first]), &["manifests and configs", "4000"]);
    // A bomb, over several layers.
    let zeros = vec![0; 40 << 20];
    let layers: Vec<Vec<_>> = (0..4).map(|n| vec![file(format!("f{n}"), &zeros)]).collect();
    let layers: Vec<&[_]> = layers.iter().map(Vec::as_slice).collect();
    let archive = packed(&Image::new(&layers).layout());
    let (ran, tree) = unpacked(&archive, &["--max-size", "100M"]);
    ran.fails(125, &["layer 3", "more than 104857600 bytes"]);
    assert!(!tree.exists());
    let (ran, _) = unpacked(&archive, &["--max-entries", "2"]);
    ran.fails(125, &["more than 2 entries"]);
}

#[test]
fn what_cannot_be_understood_is_named() {
    need!(root);
    let with = |name: &str, text: &str| {
        changed(|files| drop(files.insert(name.to_owned(), text.as_bytes().to_vec())))
    };
    refused(&with("index.json", "{"), &["index.json cannot be understood"]);
    refused(&with("index.json", r#"{"manifests":[]}"#), &["there is no image in it"]);
    refused(&with("index.json", &"[".repeat(10_000)), &["index.json cannot be understood"]);
    // A layer that is none.
    let broken = |layer: &[u8]| {
        let config = json!({ "os": "linux", "rootfs": { "diff_ids": [format!("sha256:{}", sha256(layer))] } });
        BTreeMap::from([
            ("config.json".to_owned(), config.to_string().into_bytes()),
            ("l".to_owned(), layer.to_vec()),
            (
                "manifest.json".to_owned(),
                json!([{ "Config": "config.json", "Layers": ["l"] }]).to_string().into_bytes(),
            ),
        ])
    };
    refused(&broken(b"hsqs"), &["layer 1", "squashfs"]);
    refused(&broken(&[7; 2000]), &["layer 1", "unknown kind"]);
    let cut = super::layer(&[dir("d"), file("d/f", "x".repeat(5000))]);
    refused(&broken(&cut[..3000]), &["layer 1"]);
    refused(&broken(&gzip(&cut)[..60]), &["layer 1"]);
    let unequal = Image { layers: Vec::new(), ..image() };
    let mut files = image().saved();
    let name = format!("{}.json", sha256(&image().config()));
    let other = unequal.config();
    files.remove(&name);
    files.insert("config.json".into(), other);
    let manifest = String::from_utf8(files["manifest.json"].clone()).unwrap();
    files.insert("manifest.json".into(), manifest.replace(&name, "config.json").into_bytes());
    refused(&files, &["2 layers, and the config has digests of 0"]);
}

#[test]
fn marks_and_closed_directories_by_the_thousand_are_no_work() {
    need!(root);
    // What is done for each must not be as much as there is of them: some hours then.
    let count = 60_000;
    let files = (0..count).map(|number| file(format!("d/f{number}"), ""));
    let marks = (0..count).map(|_| file("d/.wh..wh..opq", ""));
    let layer: Vec<_> = files.chain(marks).collect();
    let closed = (0..count).map(|number| dir(format!("c{number}")).mode(0o500));
    let below: Vec<_> =
        closed.chain((0..count).map(|number| file(format!("g{number}"), ""))).collect();
    let gone: Vec<_> = (0..count).map(|number| file(format!(".wh.g{number}"), "")).collect();
    let image = Image::new(&[&below, &gone, &layer]);
    let (ran, tree) = unpacked(&packed(&image.layout()), &[]);
    assert!(ran.ok().contains("60,000 files, 60,002 directories"));
    assert_eq!(std::fs::read_dir(tree.join("d")).unwrap().count(), count);
}
