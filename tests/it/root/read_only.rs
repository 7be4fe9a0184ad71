//! `--read-only`: what can be written all the same, what is made, and what is not.

use crate::need;
use crate::support::{Rustic, archive, payload, scratch, tree};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Where a small tmpfs is, and a directory where none is.
const WRITTEN: &str =
    "for dir in /tmp /run /var/tmp /var /; do touch $dir/x 2>/dev/null && echo $dir; done; true";

/// Images and directories with /tmp and /run, and perhaps /var/tmp.
fn roots() -> Vec<Rustic> {
    let image = scratch("image").join("image.tar");
    archive(&image, &[("tmp/", ""), ("run/", ""), ("var/", ""), ("bin/", "")]);
    let dir = tree("read-only");
    for name in ["run", "var", "mnt"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf", "bin/busybox"] {
        fs::write(dir.join(file), "").unwrap();
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let bind = ["--bind", "/bin/busybox:/bin/busybox:ro"];
    let run = |rootfs: &std::path::Path, nobody: bool| {
        let run = if nobody { Rustic::run().nobody() } else { Rustic::run() };
        run.opt(["--rootfs", rootfs.to_str().unwrap()]).opt(bind)
    };
    vec![run(&image, false), run(&image, true), run(&dir, false), run(&dir, true)]
}

fn script(run: &Rustic, options: &[&str], script: &str) -> String {
    let applets = script.replace("touch", "busybox touch").replace("stat", "busybox stat");
    run.clone().opt(options.iter().copied()).opt(["busybox", "sh", "-c", &applets]).ran().ok()
}

#[test]
fn read_only_leaves_a_small_tmpfs_where_there_is_a_directory_for_it() {
    need!(root);
    for run in roots() {
        assert_eq!(script(&run, &["--read-only"], WRITTEN), "/tmp\n/run\n");
        assert_eq!(script(&run, &["--read-only=strict"], WRITTEN), "");
        let modes = "stat -c %a /tmp /run; stat -f -c %T /tmp";
        assert_eq!(script(&run, &["--read-only"], modes), "1777\n755\ntmpfs\n");
        // Something that was ordered there, or above, is what is there.
        let ordered = ["--read-only", "--tmpfs", "/run"];
        assert_eq!(script(&run, &ordered, "stat -c %a /run"), "1777\n");
        let bind = ["--read-only", "--bind", "/usr/share/doc:/tmp"];
        assert!(!script(&run, &bind, "stat -f -c %T /tmp").contains("tmpfs"));
    }
}

#[test]
fn missing_targets_are_made_in_what_is_rustics_own_and_never_in_a_directory() {
    need!(root);
    let image = scratch("bare").join("image.tar");
    archive(&image, &[("bin/", "")]);
    let bind = format!("{}:/mnt/new/payload", payload().display());
    for run in [Rustic::run(), Rustic::run().nobody()] {
        let run = run.opt(["--rootfs", image.to_str().unwrap(), "--read-only", "--bind", &bind]);
        run.clone().opt(["/mnt/new/payload", "true"]).ran().ok();
        // The root is read-only all the same.
        let ran = run.opt(["/mnt/new/payload", "make", "/new"]).ran();
        assert!(ran.stdout.contains("Read-only"), "{ran:?}");
    }
    let dir = tree("bare");
    let run = || Rustic::run().opt(["--rootfs", dir.to_str().unwrap()]);
    let ran = run().opt(["--read-only", "payload", "true"]).ran();
    ran.fails(125, &["/etc/hosts is missing", "--ephemeral"]);
    assert!(!dir.join("etc/hosts").exists());
    run().opt(["--ephemeral", "payload", "true"]).ran().ok();
    assert!(!dir.join("etc/hosts").exists());
}

#[test]
fn a_link_into_run_leads_into_its_tmpfs() {
    need!(root);
    let image = scratch("link").join("image.tar");
    archive(
        &image,
        &[
            ("run/", ""),
            ("etc/", ""),
            ("etc/resolv.conf", "-> ../run/systemd/resolve/stub-resolv.conf"),
        ],
    );
    let bind = format!("{}:/payload", payload().display());
    let run = Rustic::run().opt(["--rootfs", image.to_str().unwrap(), "--read-only"]);
    let run = run.opt(["--bind", &bind, "/payload", "print", "/etc/resolv.conf"]);
    assert!(run.ran().ok().contains("no name server"));
}
