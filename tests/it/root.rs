//! The root file system: what is written where, binds, read-only, and what chroot does not hold.

use crate::need;
use crate::support::{Rustic, archive, binary, payload, scratch, shared, tree};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

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
        .fails(125, &["/etc", "is missing", "--read-only"]);
    assert!(!root.join("proc").exists(), "nothing is made under --read-only");
    in_tree(&root).opt(["payload", "true"]).ran().ok();
    assert!(root.join("proc").is_dir() && root.join("etc/hosts").is_file());
}

#[test]
fn binds_show_the_hosts_paths_where_ordered() {
    need!(root);
    let dir = scratch("bind");
    fs::create_dir(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/file"), "content").unwrap();
    let (source, file) = (dir.display().to_string(), dir.join("sub/file").display().to_string());
    let run = Rustic::run().opt([
        "--bind".into(),
        format!("{source}:/mnt/deep/er"),
        "--bind".into(),
        format!("{file}:/one:ro"),
    ]);
    let out = run
        .sh("cat /mnt/deep/er/sub/file; cat /one; echo more >/mnt/deep/er/new; echo no >/one")
        .ran();
    assert_eq!(out.stdout, "contentcontent");
    assert!(out.stderr.contains("Read-only file system"), "{out:?}");
    assert_eq!(fs::read_to_string(dir.join("new")).unwrap(), "more\n");

    let nested = Rustic::run().opt([
        "--bind".to_owned(),
        format!("{source}:/mnt/a/b"),
        "--tmpfs".into(),
        "/mnt".into(),
    ]);
    assert_eq!(
        nested.sh("ls /mnt; ls /mnt/a/b").ran().ok(),
        "a\nnew\nsub\n",
        "parents first, whatever the order of the options"
    );
}

#[test]
fn a_read_only_bind_holds_for_the_mounts_below_it() {
    need!(root);
    let dir = scratch("below");
    fs::create_dir(dir.join("sub")).unwrap();
    let script = format!(
        "mount -t tmpfs none {dir}/sub && exec \"$RUSTIC\" run --bind {dir}:/mnt:ro sh -c 'echo x \
            >/mnt/sub/file'",
        dir = dir.display()
    );
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script])
        .env("RUSTIC", crate::support::binary())
        .env("RUSTIC_STORE", shared().join("store"));
    let output = command.output().unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Read-only file system"),
        "{output:?}"
    );
}

#[test]
fn an_overlay_that_would_hide_mounts_is_refused_by_name() {
    need!(root);
    let root = tree("hidden");
    let script = format!(
        "mount -t tmpfs none {root}/tmp && exec \"$RUSTIC\" run --rootfs {root} --ephemeral \
            payload true",
        root = root.display()
    );
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .env("RUSTIC", crate::support::binary())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(125) && text.contains("/tmp is a mount of its own"),
        "{text}"
    );
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
fn the_container_has_the_devices_of_every_program_and_no_other() {
    need!(root);
    for nobody in [false, true] {
        let run = if nobody { Rustic::run().nobody() } else { Rustic::run() };
        let out = run
            .sh("ls /dev; echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 5 \
            /dev/urandom | wc -c; echo >/dev/full")
            .ran();
        assert!(
            out.stdout.starts_with("fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n3\n5\n"),
            "{out:?}"
        );
        assert!(out.stderr.contains("No space left on device"), "{out:?}");
    }
}

#[test]
fn pivot_root_leaves_no_way_back_and_chroot_only_lacks_the_right_to_one() {
    need!(root);
    let canary = shared().join("canary");
    fs::write(&canary, "the host").unwrap();
    let climb = |args: &[&str]| {
        let bind = format!("{}:/mnt/payload", payload().display());
        Rustic::run()
            .opt(args.iter().copied())
            .opt(["--bind", &bind, "/mnt/payload", "climb", canary.to_str().unwrap()])
            .ran()
            .stdout
    };
    assert!(climb(&[]).starts_with("climb Ok"), "CAP_SYS_CHROOT is among podman's eleven");
    assert!(!climb(&[]).contains("sees the host"), "there is nothing to climb to");
    assert!(
        climb(&["--root", "chroot"]).starts_with("climb Err"),
        "and behind a chroot it is left out"
    );
    // The control, and the difference: with the right, the host's tree is still there behind a
    // chroot, and not behind pivot_root.
    assert!(climb(&["--root", "chroot", "--caps", "all"]).contains("sees the host"));
    assert!(!climb(&["--caps", "all"]).contains("sees the host"));
}

#[test]
fn chroot_on_request_works_with_the_five_namespaces_and_either_queue() {
    need!(root);
    for ipc in ["yes", "no"] {
        let run = Rustic::run().opt(["--root", "chroot"]).ns("ipc", ipc);
        assert_eq!(run.sh("hostname; ls -d /proc/1; echo $$").ran().ok(), "rustic\n/proc/1\n1\n");
    }
}

#[test]
fn caps_that_undo_a_chroot_are_allowed_with_a_warning() {
    need!(root);
    let ran = Rustic::run().opt(["--root", "chroot", "--caps", "CAP_SYS_CHROOT", "true"]).ran();
    assert!(
        ran.code == 0
            && ran.stderr.starts_with("rustic: warning: ")
            && ran.stderr.contains("no wall"),
        "{ran:?}"
    );
}

#[test]
fn an_image_without_a_mount_namespace_gets_a_directory_of_its_run() {
    need!(root);
    let temporary = scratch("temporary");
    std::os::unix::fs::chown(&temporary, Some(65534), Some(65534)).unwrap();
    for (nobody, user) in [(false, "no"), (false, "yes"), (true, "yes")] {
        let run = if nobody { Rustic::run().nobody() } else { Rustic::run() };
        let run = run.env("TMPDIR", temporary.to_str().unwrap());
        let out =
            run.ns("mount", "no").ns("user", user).sh("echo x >/new; cat /new; ls /dev").ran().ok();
        assert!(out.starts_with("x\n"), "{out}");
        assert_eq!(
            out.contains("null"),
            user == "no",
            "device nodes as root outside a user namespace: {out}"
        );
    }
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "and it is gone with the run");
}

#[test]
fn an_archive_with_a_device_node_gives_no_device_without_a_mount_namespace() {
    need!(root);
    let image = scratch("device").join("image.tar");
    archive(&image, &[("bin/", ""), ("dev/", "")]);
    // A node appended by hand: a disk, 254:0.
    let mut builder = tar::Builder::new(fs::OpenOptions::new().write(true).open(&image).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Block);
    header.set_device_major(254).unwrap();
    header.set_device_minor(0).unwrap();
    header.set_mode(0o666);
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, "disk", std::io::empty()).unwrap();
    let mut busybox = tar::Header::new_gnu();
    let program = fs::read("/bin/busybox").unwrap();
    busybox.set_mode(0o755);
    busybox.set_uid(0);
    busybox.set_gid(0);
    busybox.set_mtime(0);
    busybox.set_size(program.len() as u64);
    builder.append_data(&mut busybox, "busybox", program.as_slice()).unwrap();
    builder.finish().unwrap();
    let run = |mount| {
        Rustic::run()
            .opt(["--rootfs", image.to_str().unwrap()])
            .ns("mount", mount)
            .opt(["/busybox", "ls", "-l", "/"])
            .ran()
    };
    assert!(!run("no").stdout.contains("disk"), "left out");
    // With a mount namespace the node is there, and nodev keeps it from being opened.
    let ran = run("yes");
    assert!(ran.stdout.contains("disk"), "{ran:?}");
    let open = Rustic::run()
        .opt(["--rootfs", image.to_str().unwrap(), "/busybox", "dd", "if=/disk", "count=1"])
        .ran();
    assert!(open.stderr.contains("Permission denied"), "{open:?}");
}

#[test]
fn what_is_ordered_over_dev_is_shown_and_never_written_to() {
    need!(root);
    for nobody in [false, true] {
        let dir = scratch("over-dev");
        std::os::unix::fs::chown(&dir, Some(65534), Some(65534)).unwrap();
        let run = || if nobody { Rustic::run().nobody() } else { Rustic::run() };
        run()
            .opt(["--bind".to_owned(), format!("{}:/dev", dir.display()), "true".into()])
            .ran()
            .ok();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "no node and no link on the host");
        assert_eq!(run().opt(["--tmpfs", "/dev"]).sh("ls /dev | wc -l").ran().ok(), "0\n");
        assert!(run().opt(["--bind", "/dev:/dev", "ls", "/dev/null"]).ran().code == 0);
    }
}

#[test]
fn a_device_that_is_bound_by_name_can_be_used() {
    need!(root);
    assert_eq!(
        Rustic::run()
            .opt(["--bind", "/dev/zero:/dev/other"])
            .sh("head -c 3 /dev/other | wc -c")
            .ran()
            .ok(),
        "3\n"
    );
}

#[test]
fn two_runs_on_one_fresh_directory_do_not_meet() {
    need!(root);
    for _ in 0..20 {
        let root = scratch("fresh");
        fs::create_dir(root.join("bin")).unwrap();
        fs::copy(payload(), root.join("bin/payload")).unwrap();
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
    let fill = "i=0; while [ $i -lt 1100 ]; do touch /dev/x$i 2>/dev/null || break; i=$((i+1)); done; \
        [ $i -lt 1100 ]";
    assert_eq!(Rustic::run().sh(fill).ran().code, 0);
}

#[test]
fn what_is_mounted_into_the_directory_of_a_run_is_not_removed_with_it() {
    need!(root);
    let (precious, store) = (scratch("precious"), scratch("precious-store"));
    fs::create_dir(precious.join("sub")).unwrap();
    fs::write(precious.join("sub/file"), "kept").unwrap();
    // CMD says that it is there, and ends when it is told to.
    let script = "set -e; mount --make-rprivate /; \
        \"$RUSTIC\" run --store \"$STORE\" --mount no sh -c \
            'mkdir /here; touch /up; while [ ! -e /go ]; do sleep 0.02; done' & \
        run=$!; until up=$(echo \"$STORE\"/runs/*/*/up \"$STORE\"/runs/*/up) && \
            for one in $up; do if [ -e $one ]; then break; fi; done && [ -e $one ]; do sleep 0.02; done; \
        tree=${one%/up}; mount --bind \"$PRECIOUS\" $tree/here; touch $tree/go; wait $run || true";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]);
    command.env("RUSTIC", binary()).env("STORE", &store).env("PRECIOUS", &precious);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(fs::read_to_string(precious.join("sub/file")).unwrap(), "kept", "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("EBUSY"), "{said}");
}
