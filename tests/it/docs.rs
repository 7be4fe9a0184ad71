//! README and the pages in docs run as written: each console block is typed into a shell, and what
//! it shows must come.

use crate::need;
use crate::support::{binary, scratch, store};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// The console blocks of a text: commands behind `$ `, with the lines that follow each.
fn blocks(text: &str) -> Vec<Vec<(String, Vec<String>)>> {
    text.split("```console\n")
        .skip(1)
        .map(|rest| {
            let mut commands: Vec<(String, Vec<String>)> = Vec::new();
            for line in rest.split("```").next().unwrap_or_default().lines() {
                match (line.strip_prefix("$ "), commands.last_mut()) {
                    (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                    (None, Some((_, shown))) => shown.push(line.to_owned()),
                    (None, None) => panic!("a block that starts without a command: {line}"),
                }
            }
            commands
        })
        .collect()
}

/// Whether a line is as shown; `…` stands for anything.
fn as_shown(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut open = false;
    for part in parts {
        open = true;
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
        || open
            && (shown.ends_with('…')
                || line.ends_with(shown.rsplit('…').next().unwrap_or_default()))
}

#[test]
fn every_console_block_of_readme_and_docs_shows_what_it_says() {
    need!(root);
    let pages = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap().flatten();
    // docs/files.md has a test of its own.
    let pages = pages.filter(|page| page.file_name() != "files.md");
    let pages = pages.map(|page| fs::read_to_string(page.path()).unwrap());
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let texts: Vec<String> = pages.chain([readme]).collect();
    let path = path_of_docs();
    let blocks: Vec<_> = texts.iter().flat_map(|text| blocks(text)).collect();
    assert!(blocks.len() >= 5, "there are console blocks");
    for block in blocks {
        // The article's queue has one name for everybody in an IPC namespace.
        play(block, &scratch("docs"), &path, &["unshare", "--ipc", "bash"]);
    }
}

/// Types the commands of a block into shells that these words start, and compares what they show.
fn play(block: Vec<(String, Vec<String>)>, dir: &Path, path: &str, words: &[&str]) {
    for (command, shown) in block {
        let mut shell = Command::new(words[0]);
        shell
            .args(&words[1..])
            .args(["-c", &format!("exec 2>&1; {command}")])
            .env("LC_ALL", "C.UTF-8")
            .current_dir(dir)
            .env("HOME", dir)
            .env("PATH", path);
        // A plain user has another store, or none.
        if words[0] != "setpriv" {
            shell.env("RUSTIC_STORE", store());
        }
        let output = shell.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<_> = text.lines().collect();
        let mut at = 0;
        for expected in &shown {
            if expected == "…" {
                continue;
            }
            let skip = shown.iter().any(|line| line == "…");
            let found = lines[at..].iter().position(|line| as_shown(expected, line));
            let found =
                found.unwrap_or_else(|| panic!("`{command}` shows\n{text}\nand not '{expected}'"));
            assert!(skip || found == 0, "`{command}` shows\n{text}\nbefore '{expected}'");
            at += found + 1;
        }
        assert!(
            shown.iter().any(|line| line == "…") || at == lines.len(),
            "`{command}` shows more:\n{text}"
        );
    }
}

/// The two shapes of sandboxes, as root and as a plain user: in a home that --read-only leaves as it
/// is, and not below /tmp.
#[test]
fn every_block_of_docs_files_is_so_for_a_plain_user_too() {
    need!(root);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/files.md");
    let blocks = blocks(&fs::read_to_string(page).unwrap());
    assert_eq!(blocks.len(), 2);
    let path = path_of_docs();
    let nobody: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash"];
    for (words, owner) in [(&["bash"][..], 0), (nobody, 65534)] {
        let home = tempfile::tempdir_in("/srv").unwrap();
        std::os::unix::fs::chown(home.path(), Some(owner), Some(owner)).unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for block in blocks.clone() {
            play(block, home.path(), &path, words);
            for entry in fs::read_dir(home.path()).unwrap().flatten() {
                let path = entry.path();
                let removed = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
                removed.unwrap();
            }
        }
    }
}

/// PATH with the binary as `rustic`, and a sudo: this is root already, and a machine need not have
/// one.
fn path_of_docs() -> String {
    let bin = scratch("docs-bin");
    symlink(binary(), bin.join("rustic")).unwrap();
    fs::write(bin.join("sudo"), "#!/bin/sh\nexec \"$@\"\n").unwrap();
    fs::set_permissions(bin.join("sudo"), fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_shown_line_matches_what_it_means_to() {
    assert!(as_shown("a … c", "a b c") && as_shown("a…", "abc") && as_shown("abc", "abc"));
    assert!(!as_shown("a … c", "a b d") && !as_shown("abc", "abcd") && !as_shown("a…", "ba"));
}

#[test]
fn the_demonstration_plays_to_its_end() {
    need!(root);
    // In an IPC namespace of its own: the article's queue has one name for everybody.
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/demo");
    let output = Command::new("unshare")
        .args(["--ipc", demo])
        .env("RUSTIC", binary())
        .env("RUSTIC_STORE", store())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "I am process 1",
        "box",
        "inet 127.0.0.1/8",
        "rustic.",
        "\n0\n",
        "     >> I will return to haunt you",
        "Connection timed out",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
