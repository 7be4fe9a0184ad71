//! What a directory is that holds no program to run, where that can be told.

use crate::error::{Failure, printable};
use std::path::Path;

/// As many entries are looked into for a tree one level down.
const MOST: usize = 64;

/// Adds to a command that was not found what the directory is that was taken for a root file
/// system: a tree one level down, or none.
pub fn explain(directory: &Path, failure: Failure) -> Failure {
    let shown = |path: &Path| printable(&path.to_string_lossy());
    if looks_like_a_root(directory) {
        return failure;
    }
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().take(MOST);
    let below = entries.map(|entry| entry.path()).find(|path| looks_like_a_root(path));
    match below {
        Some(below) => failure
            .why(format!("{} is no root file system", shown(directory)))
            .remedy(format!("--rootfs {}", shown(&below))),
        None => failure.why(format!(
            "{} has neither bin nor usr/bin: it is no root file system",
            shown(directory)
        )),
    }
}

fn looks_like_a_root(directory: &Path) -> bool {
    ["bin", "usr/bin"].into_iter().any(|programs| directory.join(programs).is_dir())
}
