//! What goes from a store by itself: `prune`, `rm --all`; and what a store tells of its images.

use super::{names_in, rootfs, store_with_a_root, trees};
use crate::corpus::bytes::{file, tar};
use crate::need;
use crate::support::{Rustic, eventually, finish, host, scratch};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// An archive with a busybox, and a mark that makes it another one.
fn archive(folder: &Path, mark: &str) -> PathBuf {
    let path = folder.join(format!("{mark}.tar"));
    let busybox = fs::read("/bin/busybox").unwrap();
    fs::write(&path, tar([file("busybox", busybox).mode(0o755), file("mark", mark)])).unwrap();
    path
}

fn run(store: &Path, rootfs: &str, words: &[&str]) -> Rustic {
    Rustic::run()
        .opt(["--store", store.to_str().unwrap(), "--rootfs", rootfs, "/busybox"])
        .opt(words.iter().copied())
}

fn listed(store: &Path) -> Vec<Value> {
    let list = rootfs(store, &["list", "--json"]).ran().ok();
    serde_json::from_str(&list).unwrap()
}

fn lock_of(store: &Path, image: &Value) -> PathBuf {
    store.join("locks").join(image["digest"].as_str().unwrap())
}

#[test]
fn prune_takes_what_has_no_name_and_no_user_and_nothing_else() {
    need!(root);
    let folder = scratch("prune");
    let store = store_with_a_root("prune-store");
    let files: Vec<_> = ["used", "free", "again"].map(|mark| archive(&folder, mark)).into();
    let words: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    assert_eq!(run(&store, words[1], &["cat", "/mark"]).ran().ok(), "free");
    assert_eq!(run(&store, words[2], &["cat", "/mark"]).ran().ok(), "again");
    let mut used = run(&store, words[0], &["sh", "-c", "echo up; read line; /busybox cat /mark"])
        .started_until("up");
    assert_eq!(trees(&store).len(), 4);
    let said = rootfs(&store, &["prune"]).ran().ok();
    assert_eq!(said.matches("removed ").count(), 2, "{said}");
    assert!(said.lines().last().unwrap().ends_with(" in all"), "{said}");
    let left = listed(&store);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().any(|image| image["names"] == serde_json::json!(["box"])));
    assert!(left.iter().any(|image| image["used"] == true), "{left:?}");
    // A start that finds its image gone unpacks it again, and the one that ran still runs.
    assert_eq!(run(&store, words[2], &["cat", "/mark"]).ran().ok(), "again");
    used.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(finish(used).ok(), "used");
    // The control: now it goes.
    let mut told = String::new();
    eventually("the container has ended", || {
        told += &rootfs(&store, &["prune"]).ran().ok();
        trees(&store).len() == 1
    });
    assert_eq!(told.matches("removed ").count(), 2);
    assert_eq!(rootfs(&store, &["prune"]).ran().ok(), "0 B in all\n");
    for part in ["locks", "roots"] {
        assert_eq!(names_in(&store.join(part)).len(), 1, "{part}");
    }
    let nowhere = folder.join("nowhere");
    assert_eq!(rootfs(&nowhere, &["prune"]).ran().ok(), "0 B in all\n");
    assert!(!nowhere.exists(), "and none is made for it");
}

#[test]
fn prune_older_than_looks_at_the_last_start() {
    need!(root);
    let folder = scratch("older");
    let store = store_with_a_root("older-store");
    let (old, young) = (archive(&folder, "old"), archive(&folder, "young"));
    for file in [&old, &young] {
        run(&store, file.to_str().unwrap(), &["true"]).ran().ok();
    }
    // Ten days ago: the named one too, which no age takes away.
    for image in listed(&store) {
        let source = image["record"]["source"].as_str().unwrap().to_owned();
        if source != young.to_str().unwrap() {
            host("touch", ["-d", "10 days ago", lock_of(&store, &image).to_str().unwrap()]);
        }
    }
    for (age, goes) in [("2w", 0), ("11d", 0), ("1w", 1), ("1w", 0)] {
        let said = rootfs(&store, &["prune", "--older-than", age]).ran().ok();
        assert_eq!(said.matches("removed ").count(), goes, "{age}: {said}");
    }
    let sources: Vec<_> = listed(&store)
        .iter()
        .map(|image| image["record"]["source"].as_str().unwrap().to_owned())
        .collect();
    assert!(sources.iter().any(|source| source.ends_with("box.tar")), "{sources:?}");
    assert!(sources.iter().any(|source| source.ends_with("young.tar")), "{sources:?}");
    // A start makes it young again.
    let image = listed(&store).into_iter().find(|image| image["names"] == serde_json::json!([]));
    let lock = lock_of(&store, &image.unwrap());
    host("touch", ["-d", "10 days ago", lock.to_str().unwrap()]);
    run(&store, young.to_str().unwrap(), &["true"]).ran().ok();
    assert!(rootfs(&store, &["list"]).ran().ok().contains(" s ago"));
    let said = rootfs(&store, &["prune", "--older-than", "1d"]).ran().ok();
    assert_eq!(said, "0 B in all\n");
    let said = rootfs(&store, &["prune", "--older-than", "0s", "--json"]).ran().ok();
    let gone: Vec<Value> = serde_json::from_str(&said).unwrap();
    assert!(gone.len() == 1 && gone[0]["bytes"].as_u64() > Some(0), "{said}");
    for wrong in ["7", "d", "-1d", "1x", "99999999999999999999d", "9999999999999999999w"] {
        rootfs(&store, &["prune", &format!("--older-than={wrong}")])
            .ran()
            .fails(125, &["--older-than", wrong]);
    }
}

#[test]
fn a_race_of_prune_and_runs_never_pulls_a_root_away() {
    need!(root);
    let folder = scratch("prune-race");
    let store = folder.join("store");
    let packed = archive(&folder, "here");
    let done = AtomicBool::new(false);
    let pruned = std::thread::scope(|scope| {
        let pruner = scope.spawn(|| {
            let mut pruned = 0;
            while !done.load(Ordering::Relaxed) {
                pruned += rootfs(&store, &["prune"]).ran().ok().matches("removed ").count();
            }
            pruned
        });
        for _ in 0..30 {
            let runs: Vec<_> = (0..2)
                .map(|_| run(&store, packed.to_str().unwrap(), &["cat", "/mark"]).started())
                .collect();
            for run in runs {
                assert_eq!(finish(run).ok(), "here");
            }
        }
        done.store(true, Ordering::Relaxed);
        pruner.join().unwrap()
    });
    // The control: it did take some away in between.
    assert!(pruned > 0);
}

#[test]
fn rm_all_takes_what_is_not_in_use_and_names_what_is() {
    need!(root);
    let folder = scratch("all");
    let store = store_with_a_root("all-store");
    let packed = archive(&folder, "unnamed");
    run(&store, packed.to_str().unwrap(), &["true"]).ran().ok();
    let mut used = Rustic::run()
        .opt(["--store", store.to_str().unwrap(), "--rootfs", "box"])
        .sh("echo up; read line")
        .started_until("up");
    rootfs(&store, &["rm", "--all"])
        .ran()
        .fails(125, &["1 image removed, but not those in use: box", "end the containers first"]);
    assert_eq!(trees(&store).len(), 1);
    used.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(finish(used).code, 0);
    eventually("all are gone", || rootfs(&store, &["rm", "--all"]).ran().code == 0);
    for part in ["roots", "names", "locks", "staging"] {
        assert_eq!(names_in(&store.join(part)), [""; 0], "{part}");
    }
    assert_eq!(rootfs(&store, &["rm", "--all"]).ran().ok(), "");
    rootfs(&store, &["rm"]).ran().fails(125, &["NAME"]);
    rootfs(&store, &["rm", "--all", "box"]).ran().fails(125, &["--all"]);
}

#[test]
fn a_list_tells_sizes_ages_and_their_sum() {
    need!(root);
    let folder = scratch("sum");
    let store = folder.join("store");
    for (name, bytes) in [("one", 3 << 20), ("two", 5 << 20)] {
        let path = folder.join(format!("{name}.tar"));
        fs::write(&path, tar([file("f", vec![b'x'; bytes])])).unwrap();
        rootfs(&store, &["import", name, path.to_str().unwrap()]).ran().ok();
    }
    for image in listed(&store) {
        assert!(image["last_used"].as_u64() > Some(1_700_000_000), "{image}");
        if image["names"] == serde_json::json!(["two"]) {
            host("touch", ["-d", "3 days ago", lock_of(&store, &image).to_str().unwrap()]);
        }
    }
    let list = rootfs(&store, &["list"]).ran().ok();
    let lines: Vec<Vec<&str>> =
        list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "DIGEST", "SIZE", "FILES", "AGE", "USED", "FROM"]);
    assert_eq!((lines[1][0], &lines[1][2..5]), ("one", &["3.0", "MiB", "1"][..]), "{list}");
    assert_eq!((lines[2][0], &lines[2][7..10]), ("two", &["3", "d", "ago"][..]), "{list}");
    assert_eq!(list.lines().last().unwrap(), "2 images, 8.0 MiB");
}
