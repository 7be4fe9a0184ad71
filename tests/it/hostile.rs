//! Images and directories that want to reach the host, and archives that want to leave their
//! directory.

use crate::need;
use crate::support::{Rustic, archive, payload, scratch, shared, tree};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Everything below a directory: type, mode, and content or link target.
fn snapshot(dir: &Path) -> BTreeMap<String, String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    let mut next = vec![dir.to_owned()];
    while let Some(dir) = next.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let (path, stat) = (entry.path(), entry.path().symlink_metadata().unwrap());
            let content = if stat.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if stat.is_dir() {
                next.push(path.clone());
                String::new()
            } else {
                fs::read_to_string(&path).unwrap_or_default()
            };
            found.insert(
                path.display().to_string(),
                format!("{:o} {}:{} {content}", stat.mode(), stat.uid(), stat.gid()),
            );
        }
    }
    found
}

/// A directory of the host that nothing may reach.
fn victim(name: &str) -> std::path::PathBuf {
    let victim = scratch(name);
    fs::create_dir(victim.join("sub")).unwrap();
    fs::write(victim.join("file"), "as it was").unwrap();
    victim
}

const TARGETS: [&str; 13] = [
    "dev",
    "proc",
    "sys",
    "etc",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "dev/pts",
    "dev/null",
    "dev/shm",
    "dev/mqueue",
    "dev/console",
    "tmp",
];

#[test]
fn an_image_whose_mount_targets_are_symlinks_reaches_nothing_of_the_host() {
    need!(root);
    for target in TARGETS {
        for to in ["dir", "dir/sub", "file", "relative"] {
            let victim = victim("victim");
            let before = snapshot(&victim);
            let link = match to {
                "dir" => victim.display().to_string(),
                "relative" => format!("../../../../../../../../..{}", victim.display()),
                other => victim.join(other.trim_start_matches("dir/")).display().to_string(),
            };
            let root = tree("links");
            let at = root.join(target);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            if at.is_dir() {
                fs::remove_dir(&at).unwrap();
            }
            std::os::unix::fs::symlink(&link, &at).unwrap();
            for nobody in [false, true] {
                for extra in [vec![], vec!["--ephemeral"], vec!["--root", "chroot"]] {
                    let run = if nobody { Rustic::run().nobody() } else { Rustic::run() };
                    let ran = run
                        .opt(["--rootfs", root.to_str().unwrap()])
                        .opt(extra.iter().copied())
                        .opt(["payload", "true"])
                        .ran();
                    // Below /dev and in /tmp nothing of the image is touched: a mount of rustic's
                    // own covers the one, nothing the other. In /etc a link leads where it leads
                    // from inside, and what is missing there is made there.
                    let kernels = ["dev", "proc", "sys"].contains(&target);
                    let denied = nobody && ran.code == 125;
                    if !kernels {
                        assert!(ran.code == 0 || denied, "{target} -> {link} {extra:?}: {ran:?}");
                    } else {
                        assert_eq!(ran.code, 125, "{target} -> {link} {extra:?}: {ran:?}");
                        let named = format!("/{target}");
                        assert!(
                            denied || ran.stderr.contains(&named) && ran.stderr.contains("symlink"),
                            "{target}: {}",
                            ran.stderr
                        );
                    }
                }
            }
            assert_eq!(snapshot(&victim), before, "{target} -> {link}");
        }
    }
}

#[test]
fn an_archive_whose_mount_targets_are_symlinks_reaches_nothing_either() {
    need!(root);
    let victim = victim("archive-victim");
    let before = snapshot(&victim);
    let link = format!("-> {}", victim.display());
    for target in ["dev", "proc", "sys", "etc/hosts", "etc/resolv.conf"] {
        let image = scratch("image").join("image.tar");
        archive(&image, &[("etc/", ""), (target, &link)]);
        for mount in ["yes", "no"] {
            let ran = Rustic::run()
                .opt(["--rootfs", image.to_str().unwrap()])
                .ns("mount", mount)
                .opt(["sh"])
                .ran();
            assert!(ran.code == 125 || ran.code == 127, "{target}: {ran:?}");
            let kernels = !target.starts_with("etc");
            if kernels && mount == "yes" || target == "dev" {
                assert!(ran.stderr.contains("symlink"), "{target}: {ran:?}");
            }
        }
    }
    assert_eq!(snapshot(&victim), before);
}

#[test]
fn a_target_of_the_wrong_kind_is_refused_by_name() {
    need!(root);
    let root = tree("kinds");
    fs::remove_dir(root.join("proc")).unwrap();
    fs::write(root.join("proc"), "").unwrap();
    let run = |root: &Path| {
        Rustic::run().opt(["--rootfs", root.to_str().unwrap(), "payload", "true"]).ran()
    };
    run(&root).fails(125, &["/proc", "not of the right kind"]);
    let root = tree("kinds");
    fs::create_dir(root.join("etc/hosts")).unwrap();
    run(&root).fails(125, &["/etc/hosts", "is a directory"]);
}

#[test]
fn a_bind_target_through_a_symlink_stays_inside() {
    need!(root);
    let victim = victim("bind-victim");
    let before = snapshot(&victim);
    let root = tree("bind");
    std::os::unix::fs::symlink(&victim, root.join("mnt")).unwrap();
    let bind = format!("{}:/mnt/new/dir", payload().parent().unwrap().display());
    let run = Rustic::run().opt(["--rootfs", root.to_str().unwrap(), "--bind", &bind]);
    run.opt(["/mnt/new/dir/payload", "true"]).ran().ok();
    assert_eq!(snapshot(&victim), before);
    // A link that is magic leads nowhere.
    for magic in ["/proc/self/root", "/proc/1/cwd", "/dev/fd/3"] {
        let root = tree("bind");
        std::os::unix::fs::symlink(magic, root.join("mnt")).unwrap();
        let run = Rustic::run().opt(["--rootfs", root.to_str().unwrap(), "--tmpfs", "/mnt/x"]);
        run.opt(["payload", "true"]).ran().fails(125, &["leads", "must not get there"]);
    }
}

#[test]
fn a_racer_that_exchanges_a_mount_target_hits_nothing_of_the_host() {
    need!(root);
    let victim = victim("race-victim");
    let before = snapshot(&victim);
    let root = tree("race");
    fs::create_dir(root.join("a")).unwrap();
    std::os::unix::fs::symlink(&victim, root.join("b")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let dir = rustix::fs::open(&root, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty())
                .unwrap();
            while !done.load(Ordering::Relaxed) {
                let _ = rustix::fs::renameat_with(
                    &dir,
                    "a",
                    &dir,
                    "b",
                    rustix::fs::RenameFlags::EXCHANGE,
                );
            }
        });
        let mut codes = [0, 0];
        for _ in 0..60 {
            let run = Rustic::run().opt([
                "--rootfs",
                root.to_str().unwrap(),
                "--tmpfs",
                "/a/new",
                "payload",
                "true",
            ]);
            let ran = run.ran();
            assert!(ran.code == 0 || ran.stderr.contains("/a"), "{ran:?}");
            codes[usize::from(ran.code != 0)] += 1;
        }
        done.store(true, Ordering::Relaxed);
        assert!(codes[0] + codes[1] == 60);
    });
    assert_eq!(snapshot(&victim), before);
}

#[test]
fn an_archive_cannot_write_outside_its_tree() {
    need!(root);
    let victim = victim("escape-victim");
    let before = snapshot(&victim);
    let link = format!("-> {}", victim.display());
    let cases: [(&str, Vec<(&str, &str)>); 4] = [
        ("file through a symlink", vec![("a", link.as_str()), ("a/new", "x")]),
        ("directory through a symlink", vec![("a", link.as_str()), ("a/", ""), ("a/new", "x")]),
        ("two hops", vec![("a", "-> b"), ("b", link.as_str()), ("a/new", "x")]),
        ("file over a symlink", vec![("a", link.as_str()), ("a", "x")]),
    ];
    for (name, entries) in cases {
        for nobody in [false, true] {
            let image = scratch("escape").join("image.tar");
            archive(&image, &entries);
            let run = if nobody { Rustic::run().nobody() } else { Rustic::run() };
            let ran = run.opt(["--rootfs", image.to_str().unwrap(), "sh"]).ran();
            assert!(ran.code == 125 || ran.code == 127, "{name}: {ran:?}");
            assert_eq!(snapshot(&victim), before, "{name}");
        }
    }
    assert!(
        fs::read_dir(shared().join("store/staging")).unwrap().next().is_none(),
        "nothing half is left"
    );
}

#[test]
fn names_with_escape_sequences_are_shown_and_not_sent() {
    need!(root);
    let dir = scratch("esc");
    let ran =
        Rustic::run().opt(["--rootfs", dir.join("a\x1b]0;x\x07b").to_str().unwrap(), "sh"]).ran();
    assert!(ran.code == 125 && !ran.stderr.contains('\x1b'), "{ran:?}");
    let ran = Rustic::run().opt(["no\x1b[2Jsuch"]).ran();
    assert!(ran.code == 127 && !ran.stderr.contains('\x1b'), "{ran:?}");
}
