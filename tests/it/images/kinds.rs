//! Every kind of archive that makers write, told by its content.

use super::{Image, listed, packed, sha256, spread, unpacked};
use crate::corpus::bytes::{dir, file, symlink};
use crate::corpus::gzip;
use crate::need;
use crate::support::{Rustic, scratch};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;

fn image() -> Image {
    Image::new(&[&[dir("d"), file("d/a", "1")], &[file("d/b", "2")]])
}

const TREE: [&str; 3] = ["d/", "d/a=1", "d/b=2"];

/// The files of an image below a directory of their own.
fn below(files: &BTreeMap<String, Vec<u8>>, top: &str) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|(name, content)| (format!("{top}/{name}"), content.clone())).collect()
}

/// What crane, kaniko and ko write: layers compressed, and called by their digests.
fn crane(config: &str, suffix: &str) -> BTreeMap<String, Vec<u8>> {
    let image = image();
    let text = image.config();
    let name = config.replace("HEX", &sha256(&text));
    let mut files = BTreeMap::from([(name.clone(), text)]);
    let layers: Vec<String> = image
        .layers
        .iter()
        .map(|layer| {
            let layer = gzip(layer);
            let name = format!("{}{suffix}", sha256(&layer));
            files.insert(name.clone(), layer);
            name
        })
        .collect();
    let manifest = json!([{ "Config": name, "RepoTags": null, "Layers": layers }]);
    files.insert("manifest.json".into(), manifest.to_string().into_bytes());
    files
}

/// What rules_oci writes: a manifest.json that points into blobs, and no oci-layout.
fn rules_oci() -> BTreeMap<String, Vec<u8>> {
    let image = image();
    let (files, _) = image.oci();
    let text = image.config();
    let config = format!("blobs/sha256/{}", sha256(&text));
    let layers: Vec<String> =
        image.layers.iter().map(|layer| format!("blobs/sha256/{}", sha256(&gzip(layer)))).collect();
    let manifest = json!([{ "Config": config, "RepoTags": ["app:1"], "Layers": layers }]);
    let mut files = files;
    files.insert("manifest.json".into(), manifest.to_string().into_bytes());
    files
}

#[test]
fn each_makers_archive_is_told_by_its_content() {
    need!(root);
    let image = image();
    let mut both = image.layout();
    both.extend(image.saved());
    let kinds = [
        ("an OCI layout", image.layout()),
        ("below one directory", below(&image.layout(), "image")),
        ("docker save of 25", both),
        ("docker save before, podman's docker-archive", image.saved()),
        ("the same below one directory", below(&image.saved(), "image")),
        ("crane", crane("sha256:HEX", ".tar.gz")),
        ("kaniko", crane("HEX.json", ".tar.gz")),
        ("jib", crane("config.json", ".tar.gz")),
        ("rules_oci", rules_oci()),
    ];
    for (name, files) in kinds {
        let archive = packed(&files);
        let (ran, tree) = unpacked(&archive, &[]);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert_eq!(listed(&tree), TREE, "{name}");
        let (ran, tree) = unpacked(&gzip(&archive), &[]);
        assert!(ran.code == 0 && listed(&tree) == TREE, "{name}, compressed: {ran:?}");
    }
}

#[test]
fn a_layout_in_a_directory_is_an_image_too_and_a_stream_is() {
    need!(root);
    let (dir, store) = (scratch("layout"), scratch("layout-store"));
    fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    spread(&image().layout(), &dir.join("oci"));
    spread(&image().saved(), &dir.join("saved"));
    fs::write(dir.join("image.tar"), packed(&image().layout())).unwrap();
    let rootfs = |words: &[&str]| {
        Rustic::command("rootfs")
            .opt(words.iter().copied())
            .opt(["--store", store.to_str().unwrap()])
    };
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    for (name, from) in [("a", path("oci")), ("b", path("saved")), ("c", path("image.tar"))] {
        let said = rootfs(&["import", name, &from]).ran().ok();
        assert!(said.contains("2 layers") && said.contains("2 files"), "{said}");
    }
    let streamed = rootfs(&["import", "d", "-"]).input(&dir.join("image.tar")).ran().ok();
    assert!(streamed.contains("is in the store already"), "{streamed}");
    let list = rootfs(&["list", "--json"]).ran().ok();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["record"]["image"]["layers"], 2, "{list:#}");
    for entry in fs::read_dir(store.join("roots")).unwrap() {
        assert_eq!(listed(&entry.unwrap().path().join("tree")), TREE);
    }
    assert_eq!(fs::read_dir(store.join("staging")).unwrap().count(), 0);
}

#[test]
fn what_is_no_image_is_a_root_file_system_whatever_its_files_are_called() {
    need!(root);
    let entries = [
        dir("etc"),
        dir("bin"),
        file("bin/x", "1"),
        file("manifest.json", "[]"),
        file("oci-layout", "{}"),
        file("index.json", "{}"),
    ];
    let (ran, tree) = unpacked(&super::layer(&entries), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(listed(&tree).contains(&"manifest.json=[]".to_owned()));
    // One directory down, and with other directories than these; a web application has a
    // manifest.json, too, and the files that it names need not be there.
    let app = r#"[{"Config":"c","Layers":["l"]}]"#;
    for (entries, count) in [
        (vec![dir("r"), dir("r/bin"), file("r/oci-layout", "{}"), file("r/index.json", "{}")], 4),
        (vec![dir("lib"), file("oci-layout", "{}"), file("index.json", "{}")], 3),
        (vec![file("manifest.json", r#"{"name":"app"}"#), file("index.html", "x")], 2),
        (vec![file("manifest.json", app), file("index.html", "x")], 2),
        (vec![dir("srv"), file("srv/layer.tar", "x"), file("repositories", "{}")], 3),
        (vec![dir("x"), file("x/layer.tar", "x"), file("repositories", "{}")], 3),
    ] {
        let (ran, tree) = unpacked(&super::layer(&entries), &[]);
        assert!(ran.code == 0 && listed(&tree).len() == count, "{ran:?}");
    }
}

#[test]
fn an_archive_of_an_engine_without_a_manifest_is_named_with_the_way_out() {
    need!(root);
    let id = "0123456789abcdef".repeat(4);
    let entries = [
        dir(id.as_str()),
        file(format!("{id}/VERSION"), "1.0"),
        file(format!("{id}/json"), "{}"),
        file(format!("{id}/layer.tar"), "x"),
        file("repositories", "{}"),
    ];
    let (ran, tree) = unpacked(&super::layer(&entries), &[]);
    ran.fails(125, &["older than manifest.json", "docker save"]);
    assert!(!tree.exists());
}

#[test]
fn layers_that_are_links_to_each_other_are_read() {
    need!(root);
    let image = Image::new(&[&[file("a", "1")], &[file("a", "1")]]);
    let config = image.config();
    let name = format!("{}.json", sha256(&config));
    let manifest = json!([{ "Config": name, "Layers": ["x/layer.tar", "y/layer.tar"] }]);
    let entries = [
        file(&name, &config),
        dir("x"),
        file("x/layer.tar", &image.layers[0]),
        dir("y"),
        symlink("y/layer.tar", "../x/layer.tar"),
        file("manifest.json", manifest.to_string()),
    ];
    let (ran, tree) = unpacked(&super::layer(&entries), &[]);
    assert_eq!((ran.code, listed(&tree)), (0, vec!["a=1".to_owned()]), "{ran:?}");
}

/// A docker archive with another manifest.json, and what was said of it.
fn with_manifest(manifest: impl Fn(&str, &str) -> String) -> crate::support::Ran {
    let mut files = image().saved();
    let saved: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let text =
        manifest(saved[0]["Config"].as_str().unwrap(), saved[0]["Layers"].to_string().as_str());
    files.insert("manifest.json".into(), text.into_bytes());
    unpacked(&packed(&files), &[]).0
}

#[test]
fn what_looks_like_an_image_is_one_or_an_error() {
    need!(root);
    let lower = with_manifest(|config, layers| {
        format!(r#"[{{"config":"{config}","repotags":null,"LAYERS":{layers}}}]"#)
    });
    assert!(lower.ok().contains("archive of docker save"));
    with_manifest(|config, _| format!(r#"[{{"Config":"{config}","Layers":null}}]"#))
        .fails(125, &["0 layers", "digests of"]);
    let long = "x".repeat(5 << 20);
    with_manifest(|config, layers| {
        format!(r#"[{{"Config":"{config}","RepoTags":["{long}"],"Layers":{layers}}}]"#)
    })
    .fails(125, &["manifest.json", "4 MiB"]);
    let entries =
        [file("oci-layout", "{}"), crate::corpus::bytes::raw(b'6', "index.json"), dir("blobs")];
    let (ran, tree) = unpacked(&super::layer(&entries), &[]);
    ran.fails(125, &["index.json", "no regular file"]);
    assert!(!tree.exists());
}
