//! Paths of the host that are bound, and mounts that lie below them.

use crate::need;
use crate::support::{Rustic, ended, scratch, shell, tree};
use std::fs;

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
    let ran = ended(&mut shell(&["unshare", "--mount", "sh"], &script));
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
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
    let ran = ended(&mut shell(&["unshare", "--mount", "sh"], &script));
    assert!(ran.code == 125 && ran.stderr.contains("/tmp is a mount of its own"), "{ran:?}");
}
