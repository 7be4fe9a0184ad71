//! Small images and trees for a container to have as its root.

use super::folders::{payload, scratch};
use std::fs;
use std::path::{Path, PathBuf};

/// A tar archive from paths and contents: `("etc/", "")` is a directory, `("a", "-> b")` a symlink,
/// anything else a file.
pub(crate) fn archive(path: &Path, entries: &[(&str, &str)]) {
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_mode(0o755);
        header.set_size(0);
        if let Some(to) = content.strip_prefix("-> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, name, to).unwrap();
        } else if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
            builder.append_data(&mut header, name, std::io::empty()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
    }
    builder.finish().unwrap();
}

/// A small root as a directory: the payload as `/bin/payload`, and empty folders.
pub(crate) fn tree(name: &str) -> PathBuf {
    let root = scratch(name);
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    // Not written anew: who forks meanwhile holds the file open for writing until it executes, and
    // execve(2) of it is ETXTBSY as long.
    fs::hard_link(payload(), root.join("bin/payload")).unwrap();
    root
}
