//! Many at once: imports of one archive, and removals beside runs and imports.

use super::{many_files, names_in, rootfs, store_with_a_root, trees};
use crate::corpus::bytes::{file, tar};
use crate::need;
use crate::support::{Ran, Rustic, end, eventually, finish, marker, processes, roomy, scratch};
use std::fs;
use std::io::Write;

#[test]
fn fifty_imports_of_one_archive_unpack_it_once() {
    need!(root);
    let folder = roomy("fifty");
    let packed = many_files(&folder, 2000);
    let store = folder.join("store");
    let runs: Vec<_> = (0..50)
        .map(|number| {
            rootfs(
                &store,
                &["import", "--json", &format!("name{number}"), packed.to_str().unwrap()],
            )
            .started()
        })
        .collect();
    let told: Vec<String> = runs.into_iter().map(|run| finish(run).ok()).collect();
    assert_eq!(told.iter().filter(|text| text.contains("\"new\": true")).count(), 1);
    assert_eq!((trees(&store).len(), names_in(&store.join("names")).len()), (1, 50));
    assert_eq!(names_in(&store.join("staging")), Vec::<String>::new());
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn ten_imports_from_stdin_at_once_come_to_one_tree() {
    need!(root);
    let folder = roomy("streams");
    let bytes = fs::read(many_files(&folder, 500)).unwrap();
    let store = folder.join("store");
    let mut runs: Vec<_> = (0..10)
        .map(|number| rootfs(&store, &["import", &format!("name{number}"), "-"]).started())
        .collect();
    for run in &mut runs {
        let mut stdin = run.stdin.take().unwrap();
        let bytes = bytes.clone();
        std::thread::spawn(move || stdin.write_all(&bytes));
    }
    runs.into_iter().for_each(|run| drop(finish(run).ok()));
    assert_eq!((trees(&store).len(), names_in(&store.join("names")).len()), (1, 10));
    assert_eq!(
        (names_in(&store.join("staging")).len(), names_in(&store.join("locks")).len()),
        (0, 1)
    );
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn rm_does_not_pull_a_root_from_under_a_running_container() {
    need!(root);
    let store = store_with_a_root("used");
    let mark = marker();
    let script = format!("echo up; read line; cat /mark; : {mark}");
    let run = Rustic::run().opt(["--store", store.to_str().unwrap(), "--rootfs", "box"]);
    for (mount, killed) in [("yes", false), ("yes", true), ("no", false)] {
        let mut child = run
            .clone()
            .ns("mount", mount)
            .opt(["busybox", "sh", "-c", &script.replace("cat", "busybox cat")])
            .started_until("up");
        rootfs(&store, &["rm", "box"]).ran().fails(125, &["cannot remove 'box': it is in use"]);
        assert!(
            rootfs(&store, &["list"])
                .ran()
                .ok()
                .lines()
                .any(|line| line.starts_with("box") && line.contains(" yes "))
        );
        if killed {
            end(child);
            eventually("the container has ended", || processes(&mark).is_empty());
        } else {
            child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
            assert_eq!(finish(child).ok(), "here");
        }
    }
    // The control: without a container it goes.
    let mut last = rootfs(&store, &["rm", "box"]).ran();
    eventually("the killed one's warden has ended", || {
        if last.code != 0 {
            last = rootfs(&store, &["rm", "box"]).ran();
        }
        last.code == 0
    });
    assert_eq!(
        (
            names_in(&store.join("roots")).len(),
            names_in(&store.join("locks")).len(),
            names_in(&store.join("staging")).len()
        ),
        (0, 0, 0)
    );
    run.opt(["busybox", "true"]).ran().fails(125, &["--rootfs box", "no image of this name"]);
}

#[test]
fn a_race_of_rm_and_run_ends_in_one_of_two_ways() {
    need!(root);
    let folder = scratch("rm-race");
    let packed = folder.join("box.tar");
    fs::write(
        &packed,
        tar([file("busybox", fs::read("/bin/busybox").unwrap()).mode(0o755), file("mark", "here")]),
    )
    .unwrap();
    let store = folder.join("store");
    let (mut ran, mut gone) = (0, 0);
    for _ in 0..30 {
        rootfs(&store, &["import", "box", packed.to_str().unwrap()]).ran().ok();
        let run = Rustic::run()
            .opt([
                "--store",
                store.to_str().unwrap(),
                "--rootfs",
                "box",
                "/busybox",
                "cat",
                "/mark",
            ])
            .started();
        let rm = rootfs(&store, &["rm", "box"]).started();
        let (run, rm): (Ran, Ran) = (finish(run), finish(rm));
        match run.code {
            0 => ran += usize::from(run.stdout == "here"),
            _ => {
                assert!(run.stderr.contains("box"), "{run:?}");
                gone += 1;
            }
        }
        assert!(rm.code == 0 || rm.stderr.contains("it is in use"), "{rm:?}");
    }
    assert_eq!(ran + gone, 30);
}

#[test]
fn a_race_of_rm_and_import_leaves_no_name_without_an_image() {
    need!(root);
    let folder = roomy("names-race");
    let packed = many_files(&folder, 5);
    let store = folder.join("store");
    for round in 0..60 {
        rootfs(&store, &["import", "a", packed.to_str().unwrap()]).ran().ok();
        let rm = rootfs(&store, &["rm", "a"]).started();
        let import = rootfs(&store, &["import", "b", packed.to_str().unwrap()]).started();
        let (rm, import) = (finish(rm), finish(import));
        assert_eq!((rm.code, import.code), (0, 0), "{rm:?} {import:?}");
        assert!(
            rootfs(&store, &["list"]).ran().ok().lines().any(|line| line.starts_with("b ")),
            "round {round}"
        );
        rootfs(&store, &["rm", "b"]).ran().ok();
    }
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn starts_at_once_on_an_empty_store_run_beside_one_another() {
    need!(root);
    let folder = roomy("beside");
    let (store, up) = (folder.join("store"), folder.join("up"));
    fs::create_dir(&up).unwrap();
    let bind = format!("{}:/mnt", up.display());
    let runs: Vec<_> = (0..20)
        .map(|number| {
            // Each ends only when all of them are there.
            let script = format!(
                "touch /mnt/{number}; i=0; while [ $(ls /mnt | wc -l) -lt 20 ]; do i=$((i + 1)); [ \
                 $i -lt 300 ] || exit 1; sleep 0.1; done"
            );
            Rustic::run().store(&store).opt(["--bind", &bind]).sh(&script).started()
        })
        .collect();
    runs.into_iter().for_each(|run| drop(finish(run).ok()));
    assert_eq!(trees(&store).len(), 1);
    let _ = fs::remove_dir_all(&folder);
}
