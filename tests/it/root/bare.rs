//! A root without a mount namespace: the directory of a run.

use crate::corpus::bytes::{file, node, tar};
use crate::need;
use crate::support::{Rustic, ended, scratch, shell};
use std::fs;

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
            !nobody,
            "device nodes by root of the machine alone: {out}"
        );
    }
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "and it is gone with the run");
}

#[test]
fn an_archive_with_a_device_node_gives_no_device_without_a_mount_namespace() {
    need!(root);
    let image = scratch("device").join("image.tar");
    let program = fs::read("/bin/busybox").unwrap();
    let disk = node(b'4', "disk", 254, 0).mode(0o666);
    fs::write(&image, tar([disk, file("busybox", program).mode(0o755)])).unwrap();
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
            for one in $up; do if [ -e $one ]; then break; fi; done && [ -e $one ]; do \
            sleep 0.02; done; \
        tree=${one%/up}; mount --bind \"$PRECIOUS\" $tree/here; touch $tree/go; wait $run || true";
    let mut command = shell(&["unshare", "--mount", "sh"], script);
    let ran = ended(command.env("STORE", &store).env("PRECIOUS", &precious));
    assert_eq!(fs::read_to_string(precious.join("sub/file")).unwrap(), "kept", "{ran:?}");
    assert!(ran.stderr.contains("EBUSY"), "{ran:?}");
}
