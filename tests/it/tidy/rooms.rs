//! Which room may know which: main, cli, spec, run, walls, sys, from the top down.

use super::circles::spelled_out;
use super::{code, sources};

/// The rooms of the crate that a file names.
fn imports(text: &str) -> Vec<String> {
    let code = spelled_out(&code(text));
    code.match_indices("crate::")
        .map(|(at, word)| {
            code[at + word.len()..]
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
        "causes",
        "error",
        "exit",
        "host",
        "mountinfo",
        "mounts",
        "namespace",
        "own_name",
        "random",
        "self_exe",
        "sys",
        "test_switches",
    ];
    let allowed: [(&str, &[&str]); 26] = [
        ("src/beneath/", &["beneath"]),
        ("src/causes/", &["causes"]),
        ("src/exit.rs", &[]),
        ("src/error.rs", &[]),
        ("src/host.rs", &[]),
        ("src/mountinfo.rs", &[]),
        ("src/mounts.rs", &[]),
        ("src/namespace/", &[]),
        ("src/own_name.rs", &[]),
        ("src/random.rs", &[]),
        ("src/self_exe.rs", &[]),
        ("src/test_switches.rs", &[]),
        ("src/verify/", &["verify", "spec", "rootfs", "walls"]),
        ("src/doctor/", &["doctor"]),
        ("src/sys/", &[]),
        ("src/walls/", &[]),
        ("src/ready/", &["ready"]),
        ("src/rootfs/", &["rootfs", "walls"]),
        ("src/spec/", &["spec", "rootfs", "walls"]),
        ("src/cli/", &["spec", "rootfs", "verify", "doctor"]),
        ("src/invoke/", &["invoke", "run", "ready", "walls"]),
        ("src/run/progress.rs", &["run", "spec", "walls"]),
        ("src/run/", &["run", "spec", "walls", "ready", "rootfs"]),
        ("src/act/", &["cli", "doctor", "spec", "run", "rootfs", "invoke", "verify"]),
        ("src/lib.rs", &["ready", "rootfs", "walls"]),
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
