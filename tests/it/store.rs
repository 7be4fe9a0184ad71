//! The store: one tree for each archive, names for it, and nothing half, whatever happens while it
//! is made.

use crate::corpus::bytes::{dir, file, symlink, tar};
use crate::manifest::manifest;
use crate::need;
use crate::support::{
    Ran, Rustic, binary, eventually, finish, host, marker, processes, roomy, scratch,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `rustic rootfs COMMAND --store STORE WORDS...`.
fn rootfs(store: &Path, words: &[&str]) -> Rustic {
    Rustic::command("rootfs")
        .opt([words[0], "--store", store.to_str().unwrap()])
        .opt(words[1..].iter().copied())
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// An archive of many small files, and where its tree lies in a store.
fn many_files(folder: &Path, count: usize) -> PathBuf {
    let mut bytes = Vec::new();
    for number in 0..count {
        if number % 100 == 0 {
            bytes.extend(dir(format!("d{}", number / 100)).bytes());
        }
        bytes.extend(
            file(format!("d{}/f{number}", number / 100), format!("content {number}")).bytes(),
        );
    }
    bytes.extend([0; 1024]);
    let path = folder.join("many.tar");
    fs::write(&path, bytes).unwrap();
    path
}

/// Every tree of a store.
fn trees(store: &Path) -> Vec<PathBuf> {
    names_in(&store.join("roots"))
        .into_iter()
        .map(|digest| store.join("roots").join(digest).join("tree"))
        .collect()
}

fn run_stopped_by(trace: &str, command: &Rustic) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", trace]).arg(binary()).args(command.args());
    !strace.output().unwrap().status.success()
}

#[test]
fn killed_at_every_hundredth_write_it_shows_no_half_tree_and_leaves_nothing() {
    need!(root);
    let folder = roomy("killed");
    let packed = many_files(&folder, 1500);
    let whole = folder.join("whole");
    Rustic::command("rootfs")
        .opt(["unpack", packed.to_str().unwrap(), whole.to_str().unwrap()])
        .ran()
        .ok();
    let whole: Vec<_> = manifest(&whole).into_iter().skip(1).collect();
    let mut points: Vec<String> = (1..=15)
        .map(|hundred| format!("inject=write:signal=KILL:when={}", hundred * 100))
        .collect();
    // And at the calls by which a tree comes to its place.
    for (call, times) in [
        ("renameat2", 1),
        ("syncfs", 1),
        ("symlink", 1),
        ("flock", 4),
        ("mkdirat", 5),
        ("rename", 1),
    ] {
        points.extend((1..=times).map(|time| format!("inject={call}:signal=KILL:when={time}")));
    }
    let mut killed = 0;
    for point in points {
        let store = folder.join("store");
        let import = rootfs(&store, &["import", "many", packed.to_str().unwrap()]);
        killed += usize::from(run_stopped_by(&point, &import));
        for tree in trees(&store) {
            assert!(
                manifest(&tree).into_iter().skip(1).eq(whole.iter().cloned()),
                "{point}: a tree that can be seen is whole"
            );
        }
        let named = names_in(&store.join("names"));
        assert!(named.is_empty() || trees(&store).len() == 1, "{point}: a name has its tree");
        rootfs(&store, &["list"]).ran().ok();
        assert_eq!(
            names_in(&store.join("staging")),
            Vec::<String>::new(),
            "{point}: the next start sweeps"
        );
        assert_eq!(
            names_in(&store.join("locks")).len(),
            trees(&store).len(),
            "{point}: no lock of nothing"
        );
        import.ran().ok();
        assert_eq!(
            (names_in(&store.join("names")), trees(&store).len()),
            (vec!["many".to_owned()], 1),
            "{point}"
        );
        fs::remove_dir_all(&store).unwrap();
    }
    assert!(killed > 20, "the control: it was killed {killed} times");
    let _ = fs::remove_dir_all(&folder);
}

/// Runs a script where `/mnt` can be mounted on without anybody noticing; gives stdout and stderr.
fn in_a_mount_namespace(script: &str) -> (String, String) {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).env("RUSTIC", binary());
    let output = command.output().unwrap();
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_file_system_that_is_full_of_bytes_or_of_files_is_one_clear_sentence() {
    need!(root);
    let folder = scratch("full");
    let packed = many_files(&folder, 300);
    fs::create_dir(folder.join("mnt")).unwrap();
    let (mut full, mut fits) = (0, 0);
    for limit in [
        "size=128k",
        "size=512k",
        "size=1m",
        "nr_inodes=12",
        "nr_inodes=40",
        "nr_inodes=200",
        "size=16m",
    ] {
        for command in ["import --store $M/store x $A", "unpack $A $M/new", "unpack $A $M"] {
            let script = format!(
                "M={0}/mnt A={1}; mount -t tmpfs -o {limit} none $M && $RUSTIC rootfs {command}; \
                    echo code $?; \
                 find $M -mindepth 1 ! -path $M/store -name '.rustic*' -o -path '*staging/*' | wc -l; find $M -name 'f1*' | wc -l; umount $M",
                folder.display(),
                packed.display()
            );
            let (out, err) = in_a_mount_namespace(&script);
            if out.contains("code 0\n") {
                assert!(
                    err.is_empty() && out.ends_with("0\n111\n"),
                    "{limit} {command}: {out} {err}"
                );
                fits += 1;
            } else {
                assert!(out.ends_with("code 125\n0\n0\n"), "{limit} {command}: {out} {err}");
                assert!(
                    err.matches("rustic: ").count() == 1 && err.contains("ENOSPC"),
                    "{limit} {command}: {err}"
                );
                full += 1;
            }
        }
    }
    assert!(full >= 12 && fits >= 3, "the control: {full} did not fit, {fits} did");
}

#[test]
fn a_read_only_store_is_one_clear_sentence() {
    need!(root);
    let folder = scratch("ro");
    let packed = many_files(&folder, 10);
    fs::create_dir(folder.join("mnt")).unwrap();
    let script = format!(
        "M={0}/mnt; mount -t tmpfs none $M && $RUSTIC rootfs import --store $M/s x {1} >/dev/null \
            && mount -o remount,ro $M; \
         $RUSTIC rootfs import --store $M/s y {1}; echo $?; $RUSTIC rootfs rm --store $M/s x; echo $?; ls $M/s/names; \
         $RUSTIC rootfs list --store $M/s | grep -c '^x '",
        folder.display(),
        packed.display()
    );
    let (out, err) = in_a_mount_namespace(&script);
    assert_eq!(out, "125\n125\nx\n1\n", "{err}");
    assert!(err.matches("rustic: ").count() == 2 && err.matches("EROFS").count() == 2, "{err}");
}

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

/// A store with the host's busybox as `box`.
fn store_with_a_root(name: &str) -> PathBuf {
    let folder = scratch(name);
    let busybox = fs::read("/bin/busybox").unwrap();
    let packed = folder.join("box.tar");
    fs::write(
        &packed,
        tar([
            dir("bin"),
            file("bin/busybox", busybox).mode(0o755),
            symlink("bin/sh", "busybox"),
            file("mark", "here"),
        ]),
    )
    .unwrap();
    let store = folder.join("store");
    rootfs(&store, &["import", "box", packed.to_str().unwrap()]).ran().ok();
    store
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
            .started();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
        rootfs(&store, &["rm", "box"]).ran().fails(125, &["cannot remove 'box': it is in use"]);
        assert!(
            rootfs(&store, &["list"])
                .ran()
                .ok()
                .lines()
                .any(|line| line.starts_with("box") && line.contains(" yes "))
        );
        if killed {
            child.kill().unwrap();
            child.wait().unwrap();
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
fn names_are_given_shared_and_taken_away() {
    need!(root);
    let store = store_with_a_root("names");
    let packed = store.parent().unwrap().join("box.tar");
    let packed = packed.to_str().unwrap();
    let say = |words: &[&str]| rootfs(&store, words).ran();
    assert!(say(&["import", "other", packed]).ok().contains("in the store already"));
    assert!(
        say(&["import", "box", packed]).ok().contains("in the store already"),
        "once more is nothing new"
    );
    for wrong in ["", ".hidden", "a/b", "a b", "-x", "\u{e9}", &"n".repeat(65)] {
        let ran = say(&["import", "--", wrong, packed]);
        assert!(
            ran.code == 125 && (ran.stderr.contains("cannot be a name") || wrong.is_empty()),
            "{wrong}: {ran:?}"
        );
    }
    let second = scratch("second").join("second.tar");
    fs::write(&second, tar([file("a", "x")])).unwrap();
    say(&["import", "box", second.to_str().unwrap()])
        .fails(125, &["the name 'box' is taken by another image", "rustic rootfs rm box"]);
    assert_eq!(trees(&store).len(), 1, "and nothing was unpacked for it");
    let list: serde_json::Value = serde_json::from_str(&say(&["list", "--json"]).ok()).unwrap();
    assert_eq!(list[0]["names"], serde_json::json!(["box", "other"]));
    assert_eq!(
        (&list[0]["used"], &list[0]["record"]["report"]["files"]),
        (&false.into(), &2.into())
    );
    let digest = list[0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest, host("sha256sum", [packed]).split(' ').next().unwrap());
    assert!(say(&["rm", "box"]).ok().contains("the image has others"));
    say(&["rm", "box"]).fails(125, &["no image 'box'", "rustic rootfs list"]);
    say(&["rm", &digest[..11]]).fails(125, &["no image"]);
    say(&["rm", "other", "nosuch"]).fails(125, &["no image 'nosuch'"]);
    assert_eq!(names_in(&store.join("names")), ["other"], "a wrong word takes nothing with it");
    say(&["import", &digest[..12], packed]).fails(125, &["cannot be a name", "look like a digest"]);
    say(&["import", packed, "new"])
        .fails(125, &["cannot read new: ENOENT", "rustic rootfs import NAME FILE: in this order"]);
    assert_eq!(
        say(&["rm", &digest[..12], &digest[..12]]).ok().matches("removed").count(),
        1,
        "a word given twice is one"
    );
    assert_eq!(say(&["list"]).ok(), "");
    assert_eq!(say(&["list", "--json"]).ok(), "[]\n");
    let nowhere = store.join("nowhere");
    assert_eq!(rootfs(&nowhere, &["list"]).ran().ok(), "");
    rootfs(&nowhere, &["rm", "box"]).ran().fails(125, &["no image 'box'"]);
    assert!(!nowhere.exists(), "who only looks makes no store");
}

#[test]
fn a_word_that_is_a_name_and_a_file_must_be_told_apart() {
    need!(root);
    let store = store_with_a_root("both");
    let here = scratch("here");
    fs::create_dir(here.join("box")).unwrap();
    let run = |word: &str| {
        let mut command = Rustic::run()
            .opt(["--store", store.to_str().unwrap(), "--rootfs", word, "busybox", "cat", "/mark"])
            .std();
        command.current_dir(&here).output().unwrap()
    };
    let both = String::from_utf8_lossy(&run("box").stderr).into_owned();
    assert!(
        both.contains("both an image of the store and a path here") && both.contains("./box"),
        "{both}"
    );
    assert!(
        String::from_utf8_lossy(&run("./box").stderr).contains("busybox: not found"),
        "the directory has none"
    );
    fs::remove_dir_all(here.join("box")).unwrap();
    assert_eq!(run("box").stdout, b"here");
    assert!(String::from_utf8_lossy(&run("nosuch").stderr).contains("no image of this name"));
    let digest = names_in(&store.join("roots")).remove(0);
    assert_eq!(
        (run(&digest[..12]).stdout, run(&digest).stdout),
        (b"here".to_vec(), b"here".to_vec()),
        "a digest names it too"
    );
    assert!(String::from_utf8_lossy(&run("0123456789ab").stderr).contains("no image of this name"));
}

#[test]
fn an_archive_that_was_only_run_is_in_the_list_too() {
    need!(root);
    let folder = scratch("run-only");
    let packed = folder.join("box.tar");
    fs::write(&packed, tar([file("busybox", fs::read("/bin/busybox").unwrap()).mode(0o755)]))
        .unwrap();
    let store = folder.join("store");
    let run = || {
        Rustic::run()
            .opt([
                "-v",
                "--store",
                store.to_str().unwrap(),
                "--rootfs",
                packed.to_str().unwrap(),
                "/busybox",
                "true",
            ])
            .ran()
            .stderr
    };
    assert!(run().contains("Parent: root: unpacked 1 file"));
    assert!(!run().contains("unpacked"), "once");
    let list = rootfs(&store, &["list"]).ran().ok();
    assert!(list.lines().any(|line| line.starts_with("- ") && line.ends_with("box.tar")), "{list}");
}

#[test]
fn a_signal_ends_an_unpack_and_nothing_of_it_is_left() {
    need!(root);
    let folder = scratch("signal");
    let bytes = fs::read(many_files(&folder, 1000)).unwrap();
    let store = folder.join("store");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        for words in [
            vec!["import", "x", "-", "--store", store.to_str().unwrap()],
            vec!["unpack", "-", folder.join("out").to_str().unwrap()],
        ] {
            let mut child = Rustic::command("rootfs").opt(words.iter().copied()).started();
            // Half of it, and then the pipe stays open and silent.
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(&bytes[..bytes.len() / 2]).unwrap();
            eventually("it has unpacked what came", || {
                host("find", [folder.to_str().unwrap(), "-name", "f*"]).lines().count() > 400
            });
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
            let ran = finish(child);
            assert_eq!(ran.code, 128 + signal as i32, "{ran:?}");
            assert!(ran.stderr.contains(&format!("interrupted by {signal}")), "{ran:?}");
        }
        for left in ["staging", "locks", "roots", "names"] {
            assert_eq!(names_in(&store.join(left)), Vec::<String>::new(), "{left}");
        }
        assert_eq!(names_in(&folder), ["many.tar", "store"]);
    }
}

#[test]
fn unpack_fills_an_empty_directory_makes_a_missing_one_and_refuses_the_rest() {
    need!(root);
    let folder = scratch("into");
    let packed = folder.join("a.tar");
    fs::write(&packed, tar([file("sub/a", "x"), symlink("s", "a")])).unwrap();
    let unpack = |to: &str| {
        let mut command =
            Rustic::command("rootfs").opt(["unpack", packed.to_str().unwrap(), to]).std();
        let output = command.current_dir(&folder).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    fs::create_dir(folder.join("empty")).unwrap();
    host("chmod", ["2751".as_ref(), folder.join("empty").as_os_str()]);
    let inode = || {
        fs::metadata(folder.join("empty")).map(|stat| (stat.ino(), stat.mode() & 0o7777)).unwrap()
    };
    let before = inode();
    assert_eq!(unpack("empty").0, 0);
    assert_eq!(inode(), before, "it is the directory that it was");
    assert_eq!(unpack("new").0, 0);
    assert_eq!(
        (names_in(&folder.join("empty")), names_in(&folder.join("new"))),
        (vec!["s".into(), "sub".into()], vec!["s".into(), "sub".into()])
    );
    for (to, words) in [
        ("empty", "is not empty"),
        ("a.tar", "ENOTDIR"),
        ("no/such", "ENOENT"),
        ("a.tar/x", "ENOTDIR"),
    ] {
        let (code, text) = unpack(to);
        assert!(code == 125 && text.contains(words) && text.contains(to), "{to}: {text}");
    }
    assert_eq!(names_in(&folder), ["a.tar", "empty", "new"]);
    // What a killed one has left is not in the way of the next.
    for place in [".", "empty"] {
        let _ = fs::remove_dir_all(folder.join("empty"));
        fs::create_dir(folder.join("empty")).unwrap();
        let left = folder.join(place).join(".rustic-unpack-0123");
        fs::create_dir_all(left.join("half")).unwrap();
        host("chmod", ["700".as_ref(), left.as_os_str()]);
        let (code, text) = unpack(if place == "." { "third" } else { "empty" });
        assert_eq!((code, text.as_str()), (0, ""));
        assert!(!left.exists(), "{place}");
    }
    let _ = fs::remove_dir_all(folder.join("third"));
    let strace = ["-f", "-qq", "-o", "/dev/null", "-e", "inject=renameat2:signal=KILL:when=1"];
    let out = folder.join("third");
    let killed = Command::new("strace")
        .args(strace)
        .arg(binary())
        .args(["rootfs", "unpack"])
        .args([&packed, &out])
        .output()
        .unwrap();
    assert!(!killed.status.success() && !out.exists());
    assert_eq!(unpack("third").0, 0);
    assert!(!names_in(&folder).iter().any(|name| name.starts_with('.')), "{:?}", names_in(&folder));
}

#[test]
fn unpack_fills_a_mount_point() {
    need!(root);
    let folder = scratch("mount-point");
    let packed = folder.join("a.tar");
    fs::write(&packed, tar([dir("./").mode(0o711).mtime(5), file("a", "x")])).unwrap();
    fs::create_dir(folder.join("mnt")).unwrap();
    let script = format!(
        "M={0}/mnt; mount -t tmpfs none $M; $RUSTIC rootfs unpack {1} $M >/dev/null; echo $?; ls \
            -A $M; stat -c '%a %Y' $M",
        folder.display(),
        packed.display()
    );
    assert_eq!(in_a_mount_namespace(&script), ("0\na\n711 5\n".into(), String::new()));
}

#[test]
fn a_report_says_what_was_made_and_what_was_left_out() {
    need!(root);
    let folder = scratch("report");
    let packed = folder.join("a.tar");
    let device = crate::corpus::bytes::node(b'3', "null", 1, 3);
    fs::write(
        &packed,
        tar([dir("d").owner(5, 5), file("d/a", "12345").owner(7, 7), symlink("s", "t"), device]),
    )
    .unwrap();
    let out = |name: &str| folder.join(name).display().to_string();
    let text = Rustic::command("rootfs")
        .opt(["unpack", packed.to_str().unwrap(), &out("root")])
        .ran()
        .ok();
    assert!(
        text.ends_with("\n  1 file, 1 directory, 1 symlink, 1 device, 5 B\n")
            && text.contains("from 3.5 KiB of tar"),
        "{text}"
    );
    std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
    let text = Rustic::command("rootfs")
        .nobody()
        .opt(["unpack", packed.to_str().unwrap(), &out("nobody")])
        .ran()
        .ok();
    assert!(text.contains("left out: 1 device") && text.contains("2 other owners"), "{text}");
    let json = Rustic::command("rootfs")
        .opt(["unpack", "--json", packed.to_str().unwrap(), &out("json")])
        .ran()
        .ok();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&value["format"], &value["archive_bytes"], &value["report"]["bytes"]),
        (&"tar".into(), &3584.into(), &5.into())
    );
}

#[test]
fn limits_are_named_with_their_option() {
    need!(root);
    let folder = scratch("limits");
    let packed = folder.join("a.tar");
    fs::write(&packed, tar([file("d/e/f/a", "12345"), file("b", "12345")])).unwrap();
    let out = folder.join("out");
    let unpack = |option: &str, value: &str| {
        Rustic::command("rootfs")
            .opt(["unpack", option, value, packed.to_str().unwrap(), out.to_str().unwrap()])
            .ran()
    };
    unpack("--max-entries", "4").fails(
        125,
        &[
            "archive entry 'b'",
            "more than 4 entries, implied directories included (--max-entries of rustic rootfs)",
        ],
    );
    unpack("--max-size", "9").fails(
        125,
        &["archive entry 'b'", "more than 9 bytes in all (--max-size of rustic rootfs)"],
    );
    assert!(!out.exists());
    unpack("--max-entries", "5").ok();
    let _ = fs::remove_dir_all(&out);
    unpack("--max-size", "10").ok();
}

#[test]
fn memory_stays_small_whatever_the_archive_holds() {
    need!(root);
    let folder = roomy("memory");
    let gzip = crate::corpus::gzip;
    let mut directories = Vec::new();
    let mut closed = Vec::new();
    for number in 0..150_000 {
        directories
            .extend(dir(format!("{}/directory-with-a-long-name-{number}", number % 97)).bytes());
        closed.extend(dir(format!("{}/closed-{number}", number % 97)).mode(0).bytes());
    }
    directories.extend([0; 1024]);
    let block: Vec<u8> =
        (0_u32..8192).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let large = tar([file("large", block.repeat(25_000))]);
    for (name, bytes, code) in [
        ("directories", gzip(&directories), 0),
        ("closed", gzip(&closed), 125),
        ("large", gzip(&large), 0),
    ] {
        let packed = folder.join(name);
        fs::write(&packed, bytes).unwrap();
        let mut command = Command::new("/usr/bin/time");
        command.args(["-f", "peak of %M KiB"]).arg(binary()).args([
            "rootfs",
            "unpack",
            packed.to_str().unwrap(),
            folder.join("out").to_str().unwrap(),
        ]);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let kib: u64 = crate::support::number_after(&text, "peak of").unwrap();
        assert!(kib < 32 << 10, "{name}: {kib} KiB");
        assert_eq!(output.status.code(), Some(code), "{name}: {text}");
        let _ = fs::remove_dir_all(folder.join("out"));
    }
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn a_signal_ends_also_who_waits_for_another_import() {
    need!(root);
    let folder = scratch("waits");
    let packed = many_files(&folder, 10);
    let store = folder.join("store");
    let digest = host("sha256sum", [&packed]).split(' ').next().unwrap().to_owned();
    fs::create_dir_all(store.join("locks")).unwrap();
    let lock = fs::File::create(store.join("locks").join(digest)).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let import = rootfs(&store, &["import", "x", packed.to_str().unwrap()]);
    let mut child = import.started();
    // It blocks its signals before it waits.
    let status = format!("/proc/{}/status", child.id());
    eventually("it heeds signals", || {
        fs::read_to_string(&status).is_ok_and(|text| !text.contains("SigBlk:\t0000000000000000"))
    });
    assert!(child.try_wait().unwrap().is_none());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(finish(child).code, 130);
    // The control: when the lock is free it goes on.
    drop(lock);
    import.ran().ok();
}

#[test]
fn a_fifo_is_read_once_and_a_directory_is_none() {
    need!(root);
    let folder = scratch("fifo");
    let packed = many_files(&folder, 10);
    let store = folder.join("store");
    let script = format!(
        "{0} rootfs import --store {1} x <(cat {2}) && {0} rootfs unpack <(cat {2}) {3}",
        binary().display(),
        store.display(),
        packed.display(),
        folder.join("out").display()
    );
    let text = host("bash", ["-c", &script]);
    assert!(text.contains("x: ") && folder.join("out/d0/f9").exists(), "{text}");
    rootfs(&store, &["import", "y", packed.to_str().unwrap()]).ran().ok();
    assert_eq!(trees(&store).len(), 1, "the same bytes are the same image");
    rootfs(&store, &["import", "z", folder.to_str().unwrap()])
        .ran()
        .fails(125, &["is a directory, not an archive"]);
    rootfs(&store, &["import", "z", "/nonexistent"])
        .ran()
        .fails(125, &["cannot read /nonexistent: ENOENT"]);
}

#[test]
fn a_sweep_takes_only_what_is_the_users_own_and_lets_nobody_else_in() {
    need!(root);
    let folder = scratch("trap");
    let packed = many_files(&folder, 10);
    // Another user's, and one of root's own that lets others in.
    let (theirs, open) = (folder.join(".rustic-unpack-theirs"), folder.join(".rustic-unpack-open"));
    fs::create_dir_all(theirs.join("deep")).unwrap();
    host("chmod", ["-R", "700", theirs.to_str().unwrap()]);
    host("chown", ["-R", "65534", theirs.to_str().unwrap()]);
    fs::create_dir_all(open.join("deep")).unwrap();
    host("chmod", ["777", open.to_str().unwrap()]);
    Rustic::command("rootfs")
        .opt(["unpack", packed.to_str().unwrap(), folder.join("out").to_str().unwrap()])
        .ran()
        .ok();
    assert!(theirs.join("deep").exists() && open.join("deep").exists());
    // The control: one of root's own that nobody else can enter goes.
    let own = folder.join(".rustic-unpack-own");
    fs::create_dir_all(own.join("deep")).unwrap();
    host("chmod", ["700", own.to_str().unwrap()]);
    Rustic::command("rootfs")
        .opt(["unpack", packed.to_str().unwrap(), folder.join("out2").to_str().unwrap()])
        .ran()
        .ok();
    assert!(!own.exists());
}

#[test]
fn a_plain_user_fills_a_directory_of_their_own_and_no_other() {
    need!(root);
    let folder = scratch("own");
    let packed = folder.join("a.tar");
    // Fedora's and Docker's roots have such a proc: to be moved it must be writable for a moment.
    fs::write(
        &packed,
        tar([dir("./").mode(0o555).mtime(5), dir("proc").mode(0o555).mtime(6), file("proc/x", "")]),
    )
    .unwrap();
    let unpack = |to: &Path| {
        Rustic::command("rootfs")
            .nobody()
            .opt(["unpack", packed.to_str().unwrap(), to.to_str().unwrap()])
            .ran()
    };
    let theirs = folder.join("theirs");
    fs::create_dir(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).unwrap();
    let state =
        |path: &Path| fs::metadata(path).map(|stat| (stat.mode() & 0o7777, stat.mtime())).unwrap();
    for to in [theirs.join("new"), theirs.join("empty")] {
        if to.ends_with("empty") {
            host("install", ["-d", "-o", "65534", "-g", "65534", to.to_str().unwrap()]);
        }
        unpack(&to).ok();
        assert_eq!((state(&to), state(&to.join("proc"))), ((0o555, 5), (0o555, 6)), "{to:?}");
    }
    let roots = folder.join("roots");
    fs::create_dir(&roots).unwrap();
    host("chmod", ["777", roots.to_str().unwrap()]);
    unpack(&roots).fails(125, &["cannot unpack into", "EPERM", "it belongs to uid 0"]);
    assert_eq!(names_in(&roots), Vec::<String>::new());
}

#[test]
fn what_a_directory_would_pass_on_is_not_inherited_and_what_it_is_stays() {
    need!(root);
    let folder = scratch("inherit");
    let (packed, rooted) = (folder.join("a.tar"), folder.join("b.tar"));
    fs::write(&packed, tar([dir("d"), file("d/a", "x")])).unwrap();
    fs::write(&rooted, tar([dir("./").mode(0o750), dir("d"), file("d/a", "x")])).unwrap();
    let list = [
        2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 7, 0, 255, 255, 255, 255, 32, 0, 7, 0,
        255, 255, 255, 255,
    ];
    let into = |name: &str| {
        let into = folder.join(name);
        fs::create_dir(&into).unwrap();
        rustix::fs::setxattr(
            &into,
            "system.posix_acl_default",
            &list,
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        std::os::unix::fs::chown(&into, None, Some(50)).unwrap();
        host("chmod", ["2775", into.to_str().unwrap()]);
        into
    };
    let unpack = |packed: &Path, to: &Path| {
        Rustic::command("rootfs")
            .opt(["unpack", packed.to_str().unwrap(), to.to_str().unwrap()])
            .ran()
            .ok()
    };
    let (kept, told) = (into("kept"), into("told"));
    unpack(&packed, &kept);
    unpack(&rooted, &told);
    unpack(&packed, &kept.join("below"));
    let state = |path: PathBuf| {
        fs::metadata(&path)
            .map(|stat| {
                (stat.mode() & 0o7777, stat.gid(), crate::manifest::attributes(&path).len())
            })
            .unwrap()
    };
    assert_eq!(
        state(kept.clone()),
        (0o2775, 50, 1),
        "an archive without an entry for its root changes nothing of the directory"
    );
    assert_eq!(state(told.clone()), (0o750, 0, 0), "one with such an entry sets all of it");
    for root in [kept.clone(), told, kept.join("below")] {
        assert_eq!(
            (state(root.join("d")), state(root.join("d/a"))),
            ((0o755, 0, 0), (0o644, 0, 0)),
            "{root:?}"
        );
    }
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
fn a_store_that_others_can_write_is_refused() {
    need!(root);
    let store = store_with_a_root("loose");
    for part in ["", "roots", "names", "locks"] {
        let at = store.join(part);
        host("chmod", ["g+w", at.to_str().unwrap()]);
        rootfs(&store, &["list"])
            .ran()
            .fails(125, &["cannot use the store", "can be written by others (mode 720)"]);
        host("chmod", ["g-w", at.to_str().unwrap()]);
    }
    assert!(rootfs(&store, &["list"]).ran().ok().contains("box"));
}

#[test]
fn a_limit_of_file_size_is_an_error_and_no_death() {
    need!(root);
    let folder = scratch("fsize");
    let packed = folder.join("a.tar");
    fs::write(&packed, tar([file("large", vec![b'x'; 3 << 20])])).unwrap();
    let script = format!(
        "ulimit -f 1000; {} rootfs unpack {} {}",
        binary().display(),
        packed.display(),
        folder.join("out").display()
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("archive entry 'large': cannot be written: EFBIG")
    );
    assert_eq!(names_in(&folder), ["a.tar"]);
}

#[test]
fn a_store_that_is_refused_is_left_as_it_was_and_no_strangers_link_leads_to_one() {
    need!(root);
    let nobody = Some(crate::support::NOBODY);
    let theirs = scratch("foreign");
    std::os::unix::fs::chown(&theirs, nobody, nobody).unwrap();
    let run =
        |store: &Path| Rustic::run().opt(["--store", store.to_str().unwrap()]).sh("true").ran();
    run(&theirs).fails(125, &["cannot use the store", "belongs to uid"]);
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
    // A link that a stranger has made could lead elsewhere the next time.
    let (dir, mine) = (scratch("linked"), scratch("mine"));
    let link = dir.join("link");
    std::os::unix::fs::symlink(&mine, &link).unwrap();
    std::os::unix::fs::lchown(&link, nobody, nobody).unwrap();
    run(&link).fails(125, &["is a symlink of uid"]);
    run(&link.join("store")).fails(125, &["is a symlink of uid"]);
    assert_eq!(fs::read_dir(&mine).unwrap().count(), 0);
    // The control: root's own link is followed.
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&mine, &link).unwrap();
    assert_eq!(run(&link).code, 0);
    assert!(mine.join("roots").exists());
}
