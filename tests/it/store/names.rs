//! The names of images: given, shared, taken away, and told from files.

use super::{names_in, rootfs, store_with_a_root, trees};
use crate::corpus::bytes::{file, tar};
use crate::need;
use crate::support::{Rustic, finish, host, scratch};
use std::fs;
use std::io::Write;

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
    assert_eq!(say(&["list"]).ok(), "no images\n");
    assert_eq!(say(&["list", "--json"]).ok(), "[]\n");
    let nowhere = store.join("nowhere");
    assert_eq!(rootfs(&nowhere, &["list"]).ran().ok(), "no images\n");
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
fn a_name_is_changed_and_taken_from_another_image() {
    need!(root);
    let store = store_with_a_root("rename");
    let folder = scratch("rename-files");
    let say = |words: &[&str]| rootfs(&store, words).ran();
    let second = folder.join("second.tar");
    fs::write(&second, tar([file("a", "x")])).unwrap();
    let second = second.to_str().unwrap();
    say(&["import", "other", second]).ok();
    assert_eq!(say(&["rename", "box", "tools"]).ok(), "box is tools now\n");
    assert_eq!(names_in(&store.join("names")), ["other", "tools"]);
    say(&["rename", "box", "x"]).fails(125, &["no image 'box'"]);
    say(&["rename", "tools", "other"]).fails(125, &["the name 'other' is taken"]);
    say(&["rename", "tools", "a/b"]).fails(125, &["'a/b' cannot be a name"]);
    say(&["rename", "tools", "tools"]).ok();
    assert_eq!(names_in(&store.join("names")), ["other", "tools"], "and nothing was lost");
    // By its digest an image gets one more name.
    let digest = host("sha256sum", [second]).split(' ').next().unwrap().to_owned();
    say(&["rename", &digest[..12], "more"]).ok();
    assert_eq!(names_in(&store.join("names")), ["more", "other", "tools"]);
    // A name of the same image may be the new one: then it has one less.
    say(&["rename", "more", "other"]).ok();
    assert_eq!(names_in(&store.join("names")), ["other", "tools"]);
    // The control: without --replace it is refused.
    say(&["import", "tools", second]).fails(125, &["taken by another image", "--replace"]);
    say(&["import", "--replace", "tools", second]).ok();
    let first = say(&["list", "--json"]).ok();
    let list: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(list[0]["names"], serde_json::json!(["other", "tools"]));
    assert_eq!(list[1]["names"], serde_json::json!([]), "the old one stays until prune");
    say(&["prune"]).ok();
    assert_eq!(trees(&store).len(), 1);
    // Two words for one image are no error, in any order.
    let digest_and_name = [&digest[..12], "tools"];
    say(&["import", "third", "/dev/null"]).fails(125, &["is empty"]);
    say(&[&["rm"], &digest_and_name[..]].concat()).ok();
    assert_eq!(trees(&store).len(), 0);
    say(&["import", "tools", second]).ok();
    say(&["rename", "none", "x"]).fails(125, &["no image 'none'"]);
    rootfs(&folder.join("nowhere"), &["rename", "a", "b"]).ran().fails(125, &["no image 'a'"]);
    // From stdin, whose digest is known at the end only.
    let third = tar([file("a", "third")]);
    let piped = |words: &[&str]| {
        let mut run = rootfs(&store, words).started();
        // A refusal does not wait for it.
        let _ = run.stdin.take().unwrap().write_all(&third);
        finish(run)
    };
    piped(&["import", "tools", "-"]).fails(125, &["taken by another image"]);
    piped(&["import", "--replace", "tools", "-"]).ok();
    assert_eq!(trees(&store).len(), 2);
}
