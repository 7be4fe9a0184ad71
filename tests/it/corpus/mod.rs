//! Hostile and odd archives, each with the manifest of what must come out, or the refusal with its
//! entry and its rule. Unpacked as root and as nobody; nothing lands outside, nothing is left
//! behind, and nothing hangs.

pub(crate) mod bytes;
mod formats;
mod links;
mod metadata;
mod names;
mod pax;
mod sparse;

pub(crate) use formats::gzip;

use crate::need;
use crate::support::{NOBODY, Rustic, scratch};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// An archive with what must become of it.
struct Case {
    name: &'static str,
    archive: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// The tree, a line each, sorted: `PATH KIND MODE UID:GID TIME`, then `-> TARGET` or the
    /// content in quotes, `xN` for further names, and attributes. A line for `.` only where the
    /// archive has an entry for its root.
    Tree(Vec<String>),
    /// The entry that is named, and words of the rule.
    Refused(&'static str, &'static str),
    /// Words about the stream.
    Damaged(&'static str),
}

use Expected::{Damaged, Refused};

fn tree<S: AsRef<str>>(lines: &[S]) -> Expected {
    let mut lines: Vec<_> = lines.iter().map(|line| line.as_ref().to_owned()).collect();
    lines.sort_unstable();
    Expected::Tree(lines)
}

fn case(name: &'static str, archive: Vec<u8>, expected: Expected) -> Case {
    Case { name, archive, expected }
}

/// A tree of the host that nothing may reach; the archives know its path.
fn victim() -> PathBuf {
    let victim = scratch("victim");
    fs::create_dir(victim.join("sub")).unwrap();
    fs::write(victim.join("file"), "as it was").unwrap();
    // Whoever would be led here could write: only the unpacker stands in between.
    for path in [victim.clone(), victim.join("sub"), victim.join("file")] {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    victim
}

/// A tree in lines.
fn lines(root: &Path) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![PathBuf::new()];
    while let Some(relative) = next.pop() {
        let is_root = relative.as_os_str().is_empty();
        let path = if is_root { root.to_owned() } else { root.join(&relative) };
        if path.symlink_metadata().unwrap().is_dir() {
            next.extend(
                fs::read_dir(&path).unwrap().map(|entry| relative.join(entry.unwrap().file_name())),
            );
        }
        let name = if is_root { OsStr::new(".") } else { relative.as_os_str() };
        found.insert(line(&path, name));
    }
    found.into_iter().collect()
}

/// A file in a line: name, kind, mode, owner, time, content, links, attributes.
fn line(path: &Path, name: &OsStr) -> String {
    let stat = path.symlink_metadata().unwrap();
    let (kind, rest) = kind_and_content(path, &stat);
    // What has no time of its own has that of this moment.
    let time = if stat.mtime() > 1_700_000_000 { "now".into() } else { stat.mtime().to_string() };
    let has_links = stat.nlink() > 1 && !stat.is_dir();
    let links = if has_links { format!(" x{}", stat.nlink()) } else { String::new() };
    let attributes = crate::manifest::attributes(path);
    let attributes = if attributes.is_empty() { String::new() } else { format!(" {attributes:?}") };
    let mode = if kind == "symlink" { "777".into() } else { format!("{:o}", stat.mode() & 0o7777) };
    let (name, uid, gid) = (name.as_bytes().escape_ascii(), stat.uid(), stat.gid());
    format!("{name} {kind} {mode} {uid}:{gid} {time}{rest}{links}{attributes}")
}

fn kind_and_content(path: &Path, stat: &fs::Metadata) -> (&'static str, String) {
    let kind = stat.file_type();
    if kind.is_dir() {
        ("dir", String::new())
    } else if kind.is_symlink() {
        let to = fs::read_link(path).unwrap();
        ("symlink", format!(" -> {}", to.as_os_str().as_bytes().escape_ascii()))
    } else if kind.is_fifo() {
        ("fifo", String::new())
    } else if kind.is_file() {
        let bytes = fs::read(path).unwrap();
        let is_short = bytes.len() <= 40;
        let long = || format!(" {} bytes", bytes.len());
        let content = if is_short { format!(" '{}'", bytes.escape_ascii()) } else { long() };
        ("file", content)
    } else {
        let kind = if kind.is_char_device() { "char" } else { "block" };
        let (major, minor) = (rustix::fs::major(stat.rdev()), rustix::fs::minor(stat.rdev()));
        (kind, format!(" {major}:{minor}"))
    }
}

/// What a plain user gets of what root gets: their own files, no devices, no attributes that only
/// root may set.
fn as_nobody(line: &str) -> Option<String> {
    let mut words: Vec<_> = line.split(' ').map(str::to_owned).collect();
    if ["char", "block"].contains(&words[1].as_str()) {
        return None;
    }
    // A program of his with set-ID bits would give others his rights.
    let mode = u32::from_str_radix(&words[2], 8).unwrap();
    if words[1] != "dir" {
        words[2] = format!("{:o}", mode & !0o6000);
    }
    words[3] = format!("{NOBODY}:{NOBODY}");
    let line = words.join(" ");
    Some(match line.find(" {\"s") {
        Some(at) => line[..at].to_owned(),
        None => line,
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum As {
    Root,
    Nobody,
}

fn try_out(case: &Case, who: As) {
    let dir = scratch("corpus");
    let archive = dir.join("archive");
    fs::write(&archive, &case.archive).unwrap();
    let home = dir.join("home");
    fs::create_dir(&home).unwrap();
    let run = match who {
        As::Root => Rustic::command("rootfs"),
        As::Nobody => {
            std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
            Rustic::command("rootfs").nobody()
        }
    };
    let out = home.join("out");
    let ran = run.opt(["unpack", archive.to_str().unwrap(), out.to_str().unwrap()]).ran();
    let title = format!("{} as {who:?}: {ran:?}", case.name);
    let left: Vec<_> =
        fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    match &case.expected {
        Expected::Tree(expected) => {
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{title}");
            assert_eq!(left, ["out"], "{title}");
            let mut found = lines(&out);
            if !expected.iter().any(|line| line.starts_with(". ")) {
                found.retain(|line| !line.starts_with(". "));
            }
            let expected: Vec<String> = match who {
                As::Root => expected.clone(),
                As::Nobody => expected.iter().filter_map(|line| as_nobody(line)).collect(),
            };
            assert_eq!(found, expected, "{title}");
        }
        Refused(entry, rule) => {
            assert!(ran.stderr.contains(&format!("archive entry '{entry}': ")), "{title}");
            ran.fails(125, &[rule]);
            assert!(left.is_empty(), "{title}: {left:?}");
        }
        Damaged(words) => {
            ran.fails(125, &[words]);
            assert!(left.is_empty(), "{title}: {left:?}");
        }
    }
    let _ = fs::remove_dir_all(&dir);
}

fn cases(victim: &Path) -> Vec<Case> {
    [
        names::cases(victim),
        links::cases(victim),
        metadata::cases(),
        pax::cases(),
        sparse::cases(),
        formats::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every archive, for a fuzzer to begin with.
pub(crate) fn archives() -> Vec<Vec<u8>> {
    cases(&victim()).into_iter().map(|case| case.archive).collect()
}

#[test]
fn every_archive_gives_its_manifest_or_a_refusal_that_names_entry_and_rule() {
    need!(root);
    let victim = victim();
    let before = crate::manifest::manifest(&victim);
    let cases = cases(&victim);
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "each has a name of its own");
    assert!(cases.len() >= 150, "{} archives", cases.len());
    let mut failed = Vec::new();
    for case in &cases {
        for who in [As::Root, As::Nobody] {
            if std::panic::catch_unwind(|| try_out(case, who)).is_err() {
                failed.push(case.name);
            }
            assert_eq!(
                crate::manifest::manifest(&victim),
                before,
                "{} as {who:?} reached the host",
                case.name
            );
        }
    }
    assert!(failed.is_empty(), "of {} archives these: {failed:?}", cases.len());
}
