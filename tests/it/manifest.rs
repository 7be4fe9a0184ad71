//! A tree written down: a line for each file with all that lstat(2), listxattr(2) and its content
//! say.

use rustix::fs::{lgetxattr, llistxattr};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Everything beneath a directory and the directory itself, by relative path: kind, mode, owner,
/// time, links, device, length, attributes, content.
pub(crate) fn manifest(root: &Path) -> BTreeMap<OsString, String> {
    let mut found = BTreeMap::new();
    let mut next = vec![PathBuf::new()];
    while let Some(relative) = next.pop() {
        // Not joined where it is empty: a slash at the end would follow a symlink.
        let path =
            if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(&relative) };
        let stat = path.symlink_metadata().unwrap();
        if stat.is_dir() {
            next.extend(
                fs::read_dir(&path).unwrap().map(|entry| relative.join(entry.unwrap().file_name())),
            );
        }
        found.insert(relative.into_os_string(), line(&path, &stat));
    }
    found
}

fn line(path: &Path, stat: &fs::Metadata) -> String {
    let kind = stat.file_type();
    let (kind, content) = if kind.is_dir() {
        ("directory", String::new())
    } else if kind.is_symlink() {
        (
            "symlink",
            fs::read_link(path).unwrap().into_os_string().into_vec().escape_ascii().to_string(),
        )
    } else if kind.is_file() {
        let bytes = fs::read(path).unwrap();
        let short = bytes.len() <= 64;
        let content = if short {
            bytes.escape_ascii().to_string()
        } else {
            Sha256::digest(&bytes).escape_ascii().to_string()
        };
        ("file", content)
    } else if kind.is_fifo() {
        ("fifo", String::new())
    } else if kind.is_char_device() {
        ("character", format!("{:#x}", stat.rdev()))
    } else if kind.is_block_device() {
        ("block", format!("{:#x}", stat.rdev()))
    } else {
        ("socket", String::new())
    };
    let length = if stat.is_dir() { 0 } else { stat.len() };
    format!(
        "{kind} {:o} {}:{} {}.{:09} links {} length {length} {:?} {content}",
        stat.mode() & 0o7777,
        stat.uid(),
        stat.gid(),
        stat.mtime(),
        stat.mtime_nsec(),
        if stat.is_dir() { 0 } else { stat.nlink() },
        attributes(path),
    )
}

/// The extended attributes, without those that a security module of the host gives to every file.
pub(crate) fn attributes(path: &Path) -> BTreeMap<String, String> {
    let mut names = vec![0; 64 << 10];
    let length = llistxattr(path, names.as_mut_slice()).unwrap_or(0);
    let mut found = BTreeMap::new();
    for name in names[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty() && name != b"security.selinux")
    {
        let mut value = vec![0; 64 << 10];
        let length = lgetxattr(path, name, value.as_mut_slice()).unwrap();
        found.insert(name.escape_ascii().to_string(), value[..length].escape_ascii().to_string());
    }
    found
}

/// The first differences between two trees.
pub(crate) fn differences(one: &Path, other: &Path) -> Vec<String> {
    let (a, b) = (manifest(one), manifest(other));
    let names: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let differing = names.into_iter().filter(|name| a.get(*name) != b.get(*name)).take(5);
    differing
        .map(|name| {
            format!("{}:\n  {:?}\n  {:?}", name.as_bytes().escape_ascii(), a.get(name), b.get(name))
        })
        .collect()
}
