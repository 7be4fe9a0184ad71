//! What is written where: images, directories, temporary file systems.

use crate::need;
use crate::support::{Rustic, payload, scratch, tree};
use std::fs;
use std::path::Path;

fn in_tree(root: &Path) -> Rustic {
    // Without a shell of its own a tree borrows the host's static busybox.
    Rustic::run().opt([
        "--rootfs",
        root.to_str().unwrap(),
        "--bind",
        "/bin/busybox:/bin/busybox:ro",
    ])
}

#[test]
fn an_image_is_never_changed_and_what_was_written_vanishes() {
    need!(root);
    for nobody in [false, true] {
        let run = || if nobody { Rustic::run().nobody() } else { Rustic::run() };
        assert_eq!(run().sh("echo x >/new && rm /etc/passwd && cat /new").ran().ok(), "x\n");
        assert_eq!(
            run().sh("ls /new /etc/passwd 2>&1").ran().stdout,
            "ls: /new: No such file or directory\n/etc/passwd\n"
        );
    }
}

#[test]
fn a_directory_is_written_unless_told_otherwise() {
    need!(root);
    let root = tree("written");
    in_tree(&root).opt(["busybox", "sh", "-c", "echo x >/new"]).ran().ok();
    assert_eq!(fs::read_to_string(root.join("new")).unwrap(), "x\n");

    let out = in_tree(&root)
        .opt(["--ephemeral", "busybox", "sh", "-c", "echo y >/new; busybox cat /new"])
        .ran()
        .ok();
    assert_eq!(
        (out.as_str(), fs::read_to_string(root.join("new")).unwrap().as_str()),
        ("y\n", "x\n")
    );

    fs::write(root.join("etc/hosts"), "").unwrap();
    fs::write(root.join("etc/hostname"), "").unwrap();
    fs::write(root.join("etc/resolv.conf"), "").unwrap();
    let ran = in_tree(&root).opt(["--read-only", "busybox", "sh", "-c", "echo z >/new"]).ran();
    assert!(ran.code != 0 && ran.stderr.contains("Read-only file system"), "{ran:?}");
    let ran = Rustic::run().opt(["--read-only"]).sh("echo z >/new").ran();
    assert!(ran.code != 0 && ran.stderr.contains("Read-only file system"), "an image too: {ran:?}");
}

#[test]
fn as_nobody_a_directory_works_too() {
    need!(root);
    let root = tree("nobodys");
    for dir in [root.clone(), root.join("tmp"), root.join("etc"), root.join("bin")] {
        std::os::unix::fs::chown(&dir, Some(65534), Some(65534)).unwrap();
    }
    let run = || {
        Rustic::run().nobody().opt([
            "--rootfs",
            root.to_str().unwrap(),
            "--bind",
            "/bin/busybox:/bin/busybox:ro",
        ])
    };
    run().opt(["busybox", "sh", "-c", "echo x >/tmp/new"]).ran().ok();
    assert_eq!(fs::read_to_string(root.join("tmp/new")).unwrap(), "x\n");
    assert_eq!(
        run()
            .opt(["--ephemeral", "busybox", "sh", "-c", "echo y >/tmp/new; busybox cat /tmp/new"])
            .ran()
            .ok(),
        "y\n"
    );
    assert_eq!(fs::read_to_string(root.join("tmp/new")).unwrap(), "x\n");
}

#[test]
fn a_missing_mount_target_is_made_or_named() {
    need!(root);
    let root = tree("missing");
    for dir in ["proc", "sys", "dev", "etc"] {
        fs::remove_dir(root.join(dir)).unwrap();
    }
    fs::write(root.join("bin/busybox"), "").unwrap();
    in_tree(&root)
        .opt(["--read-only", "payload", "true"])
        .ran()
        .fails(125, &["/etc", "is missing", "--ephemeral"]);
    assert!(!root.join("proc").exists(), "nothing is made under --read-only");
    in_tree(&root).opt(["payload", "true"]).ran().ok();
    assert!(!root.join("proc").exists() && !root.join("etc").exists(), "nothing is left");
}

#[test]
fn a_tmpfs_is_empty_and_bounded() {
    need!(root);
    let run = Rustic::run().opt(["--scratch-size", "2M", "--tmpfs", "/mnt"]);
    let ran = run
        .sh("ls -A /mnt | wc -l; dd if=/dev/zero of=/mnt/x bs=1M count=4 2>&1; dd \
        if=/dev/zero of=/x bs=1M count=4 2>&1")
        .ran();
    assert!(ran.stdout.starts_with("0\n"), "{ran:?}");
    assert_eq!(
        ran.stdout.matches("No space left on device").count(),
        2,
        "the tmpfs and the overlay: {ran:?}"
    );
}

#[test]
fn two_runs_on_one_fresh_directory_do_not_meet() {
    need!(root);
    for _ in 0..20 {
        let root = scratch("fresh");
        fs::create_dir(root.join("bin")).unwrap();
        fs::hard_link(payload(), root.join("bin/payload")).unwrap();
        let run =
            || Rustic::run().opt(["--rootfs", root.to_str().unwrap(), "payload", "true"]).started();
        let (one, other) = (run(), run());
        crate::support::finish(one).ok();
        crate::support::finish(other).ok();
    }
}

#[test]
fn read_only_holds_for_the_files_of_etc_too() {
    need!(root);
    for file in ["hosts", "hostname", "resolv.conf"] {
        let ran = Rustic::run().opt(["--read-only"]).sh(&format!("echo x >/etc/{file}")).ran();
        assert!(ran.code != 0 && ran.stderr.contains("Read-only"), "{file}: {ran:?}");
    }
}

#[test]
fn a_tmpfs_holds_no_more_names_than_its_size_is_meant_for() {
    need!(root);
    // How many inodes each is given: an empty file takes kernel memory and none of a size.
    let out = Rustic::run()
        .opt(["--scratch-size", "8M", "--tmpfs", "/mnt"])
        .sh("for dir in / /dev /dev/shm /mnt; do stat -f -c %c $dir; done")
        .ran()
        .ok();
    assert_eq!(out, "2048\n1024\n16384\n2048\n");
    let fill = "i=0; while [ $i -lt 1100 ]; do touch /dev/x$i 2>/dev/null || break; \
        i=$((i+1)); done; [ $i -lt 1100 ]";
    assert_eq!(Rustic::run().sh(fill).ran().code, 0);
}
