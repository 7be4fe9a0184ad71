//! The archives with which other programs are tested: each gives the tree that GNU tar or bsdtar
//! makes of it, or is refused for a reason that docs/rootfs.md has.

use crate::need;
use crate::support::{Rustic, ended, scratch, shell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

fn archives() -> Option<PathBuf> {
    std::env::var_os("RUSTIC_SOURCE_ARCHIVES").map(PathBuf::from).filter(|path| path.is_dir())
}

/// A tree, a line a file. The time of a directory says when something was put into it, if the
/// archive has no entry for it.
fn lines(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut lines = BTreeMap::new();
    let mut next = vec![root.to_owned()];
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            let kind = stat.file_type();
            let (what, time) = if kind.is_dir() {
                next.push(path.clone());
                (String::from("directory"), 0)
            } else if kind.is_symlink() {
                (format!("-> {}", fs::read_link(&path).unwrap().display()), stat.mtime())
            } else if kind.is_file() {
                let content = if stat.len() < 1 << 24 { fs::read(&path).unwrap() } else { vec![] };
                let digest = crate::images::sha256(&content);
                (format!("{} bytes {digest} x{}", stat.len(), stat.nlink()), stat.mtime())
            } else {
                (format!("fifo {} {:x}", kind.is_fifo(), stat.rdev()), stat.mtime())
            };
            let line = format!("{:o} {}:{} {time} {what}", stat.mode(), stat.uid(), stat.gid());
            lines.insert(path.strip_prefix(root).unwrap().to_owned(), line);
        }
    }
    lines
}

/// The words between backticks in the first column of the table of refusals.
fn reasons() -> Vec<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rootfs.md")).unwrap();
    let table = page.split("## What stays refused").nth(1).unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    cells
        .flat_map(|cell| {
            cell.trim_matches('`').split("`, `").map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn archives_of_libarchive_go_and_python_give_one_of_two_trees_or_a_reason() {
    need!(root);
    need!(archives().is_some(), "RUSTIC_SOURCE_ARCHIVES is not set: scripts/test --images sets it");
    let reasons = reasons();
    assert!(reasons.len() > 30, "{reasons:?}");
    let (mut taken, mut refused, mut wrong) = (0, 0, Vec::new());
    let mut files: Vec<_> =
        fs::read_dir(archives().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let dir = scratch("source");
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let words = ["unpack", file.to_str().unwrap(), dir.join("rustic").to_str().unwrap()]
            .map(str::to_owned);
        let ran = Rustic::command("rootfs").opt(words.iter()).ran();
        match ran.code {
            125 if reasons.iter().any(|reason| ran.stderr.contains(reason.as_str())) => {
                refused += 1
            }
            0 => {
                let ours = lines(&dir.join("rustic"));
                let is_same = |tool: &str| {
                    let to = dir.join(tool);
                    fs::create_dir(&to).unwrap();
                    let options = "-x --numeric-owner -p";
                    let script =
                        format!("{tool} {options} -f {} -C {}", file.display(), to.display());
                    ended(&mut shell(&["sh"], &script));
                    lines(&to) == ours
                };
                match is_same("tar") || is_same("bsdtar") {
                    true => taken += 1,
                    false => wrong.push(format!("{name}: another tree than theirs: {ours:?}")),
                }
            }
            _ => wrong.push(format!("{name}: {ran:?}")),
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    eprintln!("{taken} taken, {refused} refused");
    assert_eq!(wrong, Vec::<String>::new());
    assert!(taken > 50 && refused > 50, "{taken} taken, {refused} refused");
}

#[test]
fn the_index_of_pixz_is_no_second_archive() {
    need!(root);
    let dir = scratch("pixz");
    let script =
        "mkdir in && echo 1 >in/a && echo 2 >in/b && tar -cf t.tar -C in . && pixz t.tar t.tpxz";
    let made = ended(shell(&["sh"], script).current_dir(&dir));
    assert_eq!(made.code, 0, "{made:?}");
    let words = ["unpack", dir.join("t.tpxz").to_str().unwrap(), dir.join("out").to_str().unwrap()]
        .map(str::to_owned);
    Rustic::command("rootfs").opt(words.iter()).ran().ok();
    assert_eq!(fs::read_to_string(dir.join("out/b")).unwrap(), "2\n");
    // The control: anything else behind the end is refused.
    let script = "(cat t.tar; printf garbage) | xz >u.tar.xz";
    ended(shell(&["sh"], script).current_dir(&dir));
    let words =
        ["unpack", dir.join("u.tar.xz").to_str().unwrap(), dir.join("no").to_str().unwrap()]
            .map(str::to_owned);
    Rustic::command("rootfs").opt(words.iter()).ran().fails(125, &["behind its end"]);
}
