//! A racer that exchanges a directory of a half-made tree with a symlink to a tree of the host,
//! while files are unpacked into it.

use crate::corpus::bytes::{Raw, dir, file, hard, raw, symlink};
use crate::manifest::manifest;
use crate::need;
use crate::support::{CEILING, Rustic, roomy};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, openat, renameat_with, symlinkat};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// Everything in `d`, with `e` in between, so that the way to `d` is walked anew for each entry.
fn archive(path: &Path) {
    let mut bytes = Vec::new();
    let mut add = |raw: Raw| bytes.extend(raw.bytes());
    add(dir("d"));
    add(dir("e"));
    for number in 0..600 {
        add(file(format!("d/file{number}"), "landed"));
        add(file(format!("e/{number}"), ""));
        match number % 6 {
            0 => add(dir(format!("d/sub{number}"))),
            1 => add(symlink(format!("d/link{number}"), "landed")),
            2 => add(hard(format!("d/hard{number}"), format!("d/file{number}"))),
            3 => add(raw(b'6', format!("d/fifo{number}"))),
            4 => add(dir("d").mode(0o777)),
            _ => add(file(format!("d/deep{number}/er/file"), "landed")),
        }
    }
    bytes.extend([0; 1024]);
    fs::write(path, bytes).unwrap();
}

/// Swaps `d` and a symlink to the victim in whatever tree `find` finds, until it is told to stop;
/// counts the swaps.
fn race(find: impl Fn() -> Option<PathBuf>, victim: &Path, stop: &AtomicBool, swaps: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        let Some(tree) = find().and_then(|path| {
            openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).ok()
        }) else {
            continue;
        };
        let _ = symlinkat(victim, &tree, "swap");
        // Until the tree is done, removed, or moved to where it belongs.
        while !stop.load(Ordering::Relaxed) {
            match renameat_with(&tree, "d", &tree, "swap", RenameFlags::EXCHANGE) {
                Ok(()) => swaps.fetch_add(1, Ordering::Relaxed),
                Err(_) if find().is_some() => continue,
                Err(_) => break,
            };
        }
    }
}

fn victim(dir: &Path) -> PathBuf {
    let victim = dir.join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file0"), "as it was").unwrap();
    victim
}

#[test]
fn a_hundred_thousand_swaps_lead_nothing_outside() {
    need!(root);
    let dir = roomy("race");
    let packed = dir.join("archive.tar");
    archive(&packed);
    let victim = victim(&dir);
    let before = manifest(&victim);
    let home = dir.join("home");
    fs::create_dir(&home).unwrap();
    let (stop, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
    let staging = || {
        let found = fs::read_dir(&home)
            .ok()?
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with(".rustic-unpack-"))?;
        let tree = found.path().join("tree");
        tree.join("d").symlink_metadata().is_ok().then_some(tree)
    };
    let (mut refused, mut done) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| race(staging, &victim, &stop, &swaps));
        let since = Instant::now();
        while swaps.load(Ordering::Relaxed) < 100_000 && since.elapsed() < 4 * CEILING {
            let out = home.join("out");
            let ran = Rustic::command("rootfs")
                .opt(["unpack", packed.to_str().unwrap(), out.to_str().unwrap()])
                .ran();
            match ran.code {
                0 => done += 1,
                _ => {
                    assert!(ran.code == 125 && ran.stderr.contains("rustic: "), "{ran:?}");
                    refused += 1;
                }
            }
            let _ = fs::remove_dir_all(&out);
            if (refused + done) % 50 == 0 {
                assert_eq!(
                    manifest(&victim),
                    before,
                    "after {} swaps",
                    swaps.load(Ordering::Relaxed)
                );
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let swaps = swaps.into_inner();
    assert_eq!(manifest(&victim), before);
    assert!(swaps >= 100_000, "{swaps} swaps");
    assert!(refused > 0, "the race was met: {refused} refused, {done} done");
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn the_same_race_leads_another_unpacker_outside() {
    need!(root);
    let dir = roomy("control");
    let packed = dir.join("archive.tar");
    archive(&packed);
    let victim = victim(&dir);
    let before = manifest(&victim);
    let out = dir.join("out");
    let (stop, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
    let tree = || out.join("d").symlink_metadata().is_ok().then(|| out.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| race(tree, &victim, &stop, &swaps));
        let since = Instant::now();
        while manifest(&victim) == before && since.elapsed() < CEILING {
            fs::create_dir(&out).unwrap();
            let mut tar = Command::new("tar");
            tar.args(["-xf", packed.to_str().unwrap(), "-C", out.to_str().unwrap()])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let _ = tar.status().unwrap();
            let _ = fs::remove_dir_all(&out);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_ne!(manifest(&victim), before, "GNU tar follows the racer, or this test sees nothing");
    let _ = fs::remove_dir_all(&dir);
}
