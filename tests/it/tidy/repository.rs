//! Scripts, and what is not kept in the repository.

use std::fs;
use std::path::Path;

#[test]
fn every_script_says_what_it_does_and_stops_at_the_first_failure() {
    for entry in
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")).unwrap().flatten()
    {
        let text = fs::read_to_string(entry.path()).unwrap();
        assert!(
            text.starts_with("#!/usr/bin/env bash\n# ") && text.contains("\nset -euo pipefail\n"),
            "{:?}",
            entry.path()
        );
    }
}

#[test]
fn no_binary_and_no_tree_is_kept_in_the_repository() {
    let list = std::process::Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    for name in list.lines() {
        let start = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_default();
        assert!(!start.starts_with(b"\x7fELF") && !start.starts_with(&[0x1f, 0x8b]), "{name}");
    }
}
