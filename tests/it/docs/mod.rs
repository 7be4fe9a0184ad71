//! README and the pages in docs run as written: each console block is typed into a shell, and what
//! it shows must come.

mod coming_from;
mod shown;

use crate::need;
use crate::support::{binary, scratch, store};
use regex_lite::Regex;
use shown::shows;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
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
        assert!(shows(&shown, &text), "`{command}` shows\n{text}\nand not\n{}", shown.join("\n"));
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

/// The pages that are in the repository's own directories.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_directory = |directory: &str| fs::read_dir(root.join(directory)).unwrap().flatten();
    let all = ["", "docs", "rootfs"].into_iter().flat_map(in_directory).map(|entry| entry.path());
    all.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect()
}

#[test]
fn no_link_is_dead_and_the_front_page_is_short() {
    let link = Regex::new(r"\]\(([^)#]+)").unwrap();
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            if !target.contains("://") {
                let there = page.parent().unwrap().join(&target);
                assert!(there.exists(), "{}: {target}", page.display());
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count}");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(readme).unwrap();
    assert!(readme.lines().count() <= 200 && !readme.contains('…'));
}
