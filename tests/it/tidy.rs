//! The rules of the house that a compiler does not check.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut next = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(dir) = next.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            if entry.path().is_dir() {
                next.push(entry.path());
            } else {
                let name = entry
                    .path()
                    .strip_prefix(env!("CARGO_MANIFEST_DIR"))
                    .unwrap()
                    .display()
                    .to_string();
                found.push((name, fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    assert!(found.len() > 30, "the walk has found the sources");
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

/// The rooms of the crate that a file names.
fn imports(text: &str) -> Vec<String> {
    code(text)
        .match_indices("crate::")
        .map(|(at, word)| {
            code(text)[at + word.len()..]
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn every_room_knows_only_the_rooms_below_it() {
    // What each may name; the words that everybody shares come on top.
    let shared = [
        "beneath",
        "error",
        "exit",
        "host",
        "mountinfo",
        "mounts",
        "namespace",
        "random",
        "self_exe",
        "sys",
    ];
    let allowed: [(&str, &[&str]); 22] = [
        ("src/beneath.rs", &[]),
        ("src/exit.rs", &[]),
        ("src/error.rs", &[]),
        ("src/host.rs", &[]),
        ("src/mountinfo.rs", &[]),
        ("src/mounts.rs", &[]),
        ("src/namespace.rs", &[]),
        ("src/random.rs", &[]),
        ("src/self_exe.rs", &[]),
        ("src/verify/", &["verify", "spec", "walls"]),
        ("src/sys/", &[]),
        ("src/walls/", &[]),
        ("src/ready/", &["ready"]),
        ("src/rootfs/", &["rootfs"]),
        ("src/spec/", &["spec", "rootfs"]),
        ("src/cli/", &["spec", "rootfs", "init", "verify"]),
        ("src/init.rs", &["run"]),
        ("src/invoke/", &["invoke", "run", "ready", "walls"]),
        ("src/run/progress.rs", &["run", "spec", "walls"]),
        ("src/run/", &["run", "spec", "walls", "ready", "rootfs", "init"]),
        ("src/lib.rs", &["cli"]),
        ("src/main.rs", &[]),
    ];
    for (name, text) in sources() {
        let (_, rooms) = allowed
            .iter()
            .find(|(place, _)| name.starts_with(place))
            .unwrap_or_else(|| panic!("{name} has no place in the house"));
        for room in imports(&text) {
            assert!(
                shared.contains(&room.as_str()) || rooms.contains(&room.as_str()),
                "{name} knows {room}"
            );
        }
    }
}

/// The blocks outside of sys, each a call of one of its unsafe functions: file, function, how many.
const UNSAFE_CALLS: [(&str, &str, usize); 18] = [
    ("src/init.rs", "fork", 1),
    ("src/invoke/parent.rs", "clone3", 1),
    ("src/run/child.rs", "close_all_but", 1),
    ("src/run/parent.rs", "fork", 1),
    ("src/run/warden.rs", "clone3", 1),
    ("src/run/warden.rs", "fork", 1),
    ("src/verify/child.rs", "fork", 1),
    ("src/verify/cleanup.rs", "fork", 1),
    ("src/verify/nsenter.rs", "fork", 1),
    ("src/verify/place.rs", "fork", 1),
    ("src/verify/probe.rs", "fork", 1),
    ("src/verify/probes/fds.rs", "borrow_by_number", 1),
    ("src/verify/probes/fds.rs", "close_all_but", 1),
    ("src/verify/probes/fds.rs", "put_at_number", 1),
    ("src/verify/probes/pid.rs", "close_all_but", 1),
    ("src/verify/probes/pid.rs", "fork", 1),
    ("src/verify/probes/time.rs", "fork", 1),
    ("src/verify/target.rs", "fork", 1),
];

#[test]
fn unsafe_stands_in_sys_but_for_calls_of_its_unsafe_functions() {
    let mut called: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| !name.starts_with("src/sys/")) {
        let code = code(&text);
        let blocks: Vec<_> = code.match_indices("unsafe ").collect();
        assert_eq!(blocks.len(), code.matches("allow(unsafe_code").count(), "{name}");
        assert_eq!(blocks.len(), code.matches("unsafe_code").count(), "{name}");
        for (at, _) in blocks {
            let call = code[at..].strip_prefix("unsafe { sys::");
            let function = call.and_then(|call| call.split('(').next());
            let function = function.unwrap_or_else(|| panic!("{name}: an unsafe block of its own"));
            *called.entry((name.clone(), function.to_owned())).or_default() += 1;
        }
    }
    let listed = UNSAFE_CALLS
        .iter()
        .map(|(file, function, count)| ((file.to_string(), function.to_string()), *count));
    assert_eq!(called, listed.collect());
}

#[test]
fn only_cli_knows_clap_and_only_main_prints_errors() {
    for (name, text) in sources() {
        assert!(!code(&text).contains("clap::") || name.starts_with("src/cli/"), "{name}");
        let prints = ["io::stderr()", "anstream::stderr()", "put(stderr()"]
            .iter()
            .any(|word| code(&text).contains(word));
        assert!(
            !prints
                || ["src/main.rs", "src/invoke/words.rs", "src/run/progress.rs"]
                    .contains(&name.as_str()),
            "{name} prints"
        );
    }
}

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
