//! Images in layers: what every maker's archive comes to, which stacks give which tree, what is
//! refused, and how their programs are run.

mod choice;
mod hostile;
mod kinds;
mod others;
mod program;
mod stacks;
mod wrapper;

use crate::corpus::bytes::{Raw, dir, file};
use crate::corpus::gzip;
use crate::support::{Ran, Rustic, payload, scratch};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An image that is put together by hand.
#[derive(Clone)]
pub(crate) struct Image {
    layers: Vec<Vec<u8>>,
    config: Value,
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tar archive of entries.
pub(crate) fn layer(entries: &[Raw]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(Raw::bytes).collect();
    bytes.extend([0; 1024]);
    bytes
}

impl Image {
    pub(crate) fn new(layers: &[&[Raw]]) -> Self {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        Self {
            layers: layers.iter().map(|entries| layer(entries)).collect(),
            config: json!({ "architecture": architecture, "os": "linux", "config": {} }),
        }
    }

    /// Of one layer, which is this archive.
    pub(crate) fn of_gzip(archive: &[u8]) -> Self {
        let mut layer = Vec::new();
        flate2::read::MultiGzDecoder::new(archive).read_to_end(&mut layer).unwrap();
        Self { layers: vec![layer], ..Self::new(&[]) }
    }

    /// An archive as docker save wrote it until 24.
    pub(crate) fn as_saved(&self) -> Vec<u8> {
        packed(&self.saved())
    }

    /// With a value of its config.
    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.config["config"][key] = value;
        self
    }

    pub(crate) fn platform(mut self, architecture: &str) -> Self {
        self.config["architecture"] = architecture.into();
        self
    }

    /// The config as it is written, with what the layers must be.
    pub(crate) fn config(&self) -> Vec<u8> {
        let ids = self.layers.iter().map(|layer| format!("sha256:{}", sha256(layer)));
        let mut config = self.config.clone();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": ids.collect::<Vec<_>>() });
        config.to_string().into_bytes()
    }

    /// The files of an OCI layout, with the descriptor of its manifest.
    pub(crate) fn oci(&self) -> (BTreeMap<String, Vec<u8>>, Value) {
        let mut files = BTreeMap::new();
        let mut blob = |bytes: Vec<u8>| {
            let (digest, size) = (sha256(&bytes), bytes.len());
            files.insert(format!("blobs/sha256/{digest}"), bytes);
            json!({ "digest": format!("sha256:{digest}"), "size": size })
        };
        let config = blob(self.config());
        let layers: Vec<Value> = self.layers.iter().map(|layer| blob(gzip(layer))).collect();
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let descriptor = blob(manifest.to_string().into_bytes());
        (files, descriptor)
    }

    /// A layout with this image alone.
    pub(crate) fn layout(&self) -> BTreeMap<String, Vec<u8>> {
        let (files, descriptor) = self.oci();
        with_index(files, &[descriptor])
    }

    /// A file with the layout of this image.
    pub(crate) fn written(&self) -> PathBuf {
        let path = scratch("image").join("image.tar");
        fs::write(&path, packed(&self.layout())).unwrap();
        path
    }

    /// What docker save wrote until 24, and podman's docker-archive.
    pub(crate) fn saved(&self) -> BTreeMap<String, Vec<u8>> {
        let config = self.config();
        let name = format!("{}.json", sha256(&config));
        let mut files = BTreeMap::from([(name.clone(), config)]);
        let mut layers = Vec::new();
        for layer in &self.layers {
            let name = format!("{}/layer.tar", sha256(&[&b"id of "[..], layer].concat()));
            files.insert(name.clone(), layer.clone());
            layers.push(name);
        }
        let manifest = json!([{ "Config": name, "RepoTags": ["app:1"], "Layers": layers }]);
        files.insert("manifest.json".into(), manifest.to_string().into_bytes());
        files
    }
}

/// An image with programs, users, and a config.
pub(crate) fn with_programs() -> Image {
    let program = fs::read(payload()).unwrap();
    let passwd = "root:x:0:0::/root:/bin/sh\njoe:x:1000:100::/home/joe:/bin/sh\n";
    let entries: Vec<Raw> = vec![
        dir("bin"),
        dir("etc"),
        dir("proc"),
        dir("sys"),
        dir("dev"),
        dir("srv"),
        dir("tmp").mode(0o1777),
        file("bin/payload", program).mode(0o755),
        file("etc/passwd", passwd),
        file("etc/group", "users:x:100:\nkvm:x:27:joe\n"),
    ];
    Image::new(&[&entries])
}

/// A layout's files with an index of these manifests.
pub(crate) fn with_index(
    mut files: BTreeMap<String, Vec<u8>>,
    manifests: &[Value],
) -> BTreeMap<String, Vec<u8>> {
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    files.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    files.insert("index.json".into(), index.to_string().into_bytes());
    files
}

/// Files as an archive, in the order of their names, with their directories in front.
pub(crate) fn packed(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut entries = Vec::new();
    for (name, content) in files {
        entries.push(file(name, content));
    }
    layer(&entries)
}

/// Files in a directory.
pub(crate) fn spread(files: &BTreeMap<String, Vec<u8>>, directory: &Path) {
    for (name, content) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Writes an archive and unpacks it: what was said, and where the tree is.
pub(crate) fn unpacked(archive: &[u8], options: &[&str]) -> (Ran, PathBuf) {
    let dir = scratch("image");
    fs::write(dir.join("image"), archive).unwrap();
    let (from, to) = (dir.join("image"), dir.join("tree"));
    let words = ["unpack", from.to_str().unwrap(), to.to_str().unwrap()];
    (Rustic::command("rootfs").opt(words).opt(options.iter().copied()).ran(), to)
}

/// A tree, a line each, sorted: `PATH/`, `PATH=CONTENT`, `PATH->TARGET`, with the mode of what is
/// not 644 or 755 and how many names it has.
pub(crate) fn listed(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut next = vec![root.to_owned()];
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let stat = path.symlink_metadata().unwrap();
            let (usual, line) = if stat.is_dir() {
                next.push(path);
                (0o755, format!("{name}/"))
            } else if stat.is_symlink() {
                (0o777, format!("{name}->{}", fs::read_link(&path).unwrap().display()))
            } else {
                let names =
                    if stat.nlink() > 1 { format!(" x{}", stat.nlink()) } else { String::new() };
                (0o644, format!("{name}={}{names}", fs::read_to_string(&path).unwrap_or_default()))
            };
            let mode = stat.mode() & 0o7777;
            lines.push(if mode == usual { line } else { format!("{line} {mode:o}") });
        }
    }
    lines.sort_unstable();
    lines
}
