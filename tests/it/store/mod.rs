//! The store: one tree for each archive, names for it, and nothing half, whatever happens while it
//! is made.

mod directory;
mod interrupted;
mod limits;
mod names;
mod owners;
mod prune;
mod together;
mod unpack;

use crate::corpus::bytes::{dir, file, symlink, tar};
use crate::support::{Rustic, ended, scratch, shell};
use std::fs;
use std::path::{Path, PathBuf};

/// `rustic rootfs COMMAND --store STORE WORDS...`.
fn rootfs(store: &Path, words: &[&str]) -> Rustic {
    Rustic::command("rootfs")
        .opt([words[0], "--store", store.to_str().unwrap()])
        .opt(words[1..].iter().copied())
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// An archive of many small files, and where its tree lies in a store.
fn many_files(folder: &Path, count: usize) -> PathBuf {
    let mut bytes = Vec::new();
    for number in 0..count {
        if number % 100 == 0 {
            bytes.extend(dir(format!("d{}", number / 100)).bytes());
        }
        bytes.extend(
            file(format!("d{}/f{number}", number / 100), format!("content {number}")).bytes(),
        );
    }
    bytes.extend([0; 1024]);
    let path = folder.join("many.tar");
    fs::write(&path, bytes).unwrap();
    path
}

/// Every tree of a store.
fn trees(store: &Path) -> Vec<PathBuf> {
    names_in(&store.join("roots"))
        .into_iter()
        .map(|digest| store.join("roots").join(digest).join("tree"))
        .collect()
}

/// Runs a script where `/mnt` can be mounted on without anybody noticing; gives stdout and stderr.
fn in_a_mount_namespace(script: &str) -> (String, String) {
    let ran = ended(&mut shell(&["unshare", "--mount", "sh"], script));
    (ran.stdout, ran.stderr)
}

/// A store with the host's busybox as `box`.
fn store_with_a_root(name: &str) -> PathBuf {
    let folder = scratch(name);
    let busybox = fs::read("/bin/busybox").unwrap();
    let packed = folder.join("box.tar");
    fs::write(
        &packed,
        tar([
            dir("bin"),
            file("bin/busybox", busybox).mode(0o755),
            symlink("bin/sh", "busybox"),
            file("mark", "here"),
        ]),
    )
    .unwrap();
    let store = folder.join("store");
    rootfs(&store, &["import", "box", packed.to_str().unwrap()]).ran().ok();
    store
}
