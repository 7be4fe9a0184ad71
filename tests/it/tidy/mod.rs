//! The rules of the house that a compiler does not check.

mod circles; //      no two files know each other
mod documented; //   what other files may name says what it is
mod repository; //   scripts, and what is not kept
mod rooms; //        which room may know which
mod sizes; //        files and functions that a reader can hold
mod unsafe_calls; // where unsafe stands

use std::fs;
use std::path::Path;

/// The files of Rust below a folder of the repository, each by its path there.
fn files_below(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut next) = (Vec::new(), vec![root.join(folder)]);
    while let Some(dir) = next.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                next.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// The sources of the crate.
fn sources() -> Vec<(String, String)> {
    let found: Vec<_> = files_below("src")
        .into_iter()
        .filter(|(_, text)| !text.contains("proptest!") || text.contains("#[cfg(test)]"))
        .collect();
    assert!(found.len() > 100, "the walk has found the sources");
    found
}

/// The code of a file: without its tests and without comments.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end]
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}
