//! The words of the orders, their order, and overlays.

use super::{both, open_to_all};
use crate::need;
use crate::support::{Rustic, payload, scratch, tree};
use proptest::prelude::*;
use std::fs;
use std::os::unix::net::UnixListener;

#[test]
fn a_tmpfs_has_the_size_and_the_mode_that_were_ordered() {
    need!(root);
    for run in both() {
        let look = "stat -f -c %b /small; mount | grep ' /closed '; touch /closed/x; touch \
            /closed/in/y && echo in; ls /closed";
        let run = run.opt(["--tmpfs", "/small:size=64K", "--tmpfs", "/closed:size=1M:ro"]);
        let ran = run.opt(["--tmpfs", "/closed/in"]).sh(look).ran();
        assert!(ran.stdout.starts_with("16\n"), "{ran:?}");
        assert!(ran.stdout.contains("(ro,"), "{ran:?}");
        assert!(ran.stdout.ends_with("in\nin\n"), "{ran:?}");
        assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    }
}

#[test]
fn what_cannot_be_ordered_together_is_named() {
    need!(root);
    let fails = |options: &[&str], words: &[&str]| {
        Rustic::run().opt(options.iter().copied()).opt(["true"]).ran().fails(125, words);
    };
    fails(&["--bind", "/etc:/mnt", "--tmpfs", "/mnt/"], &["--bind and --tmpfs", "/mnt"]);
    fails(&["--overlay", "/etc:/mnt", "--hide", "/mnt"], &["--overlay and --hide", "/mnt"]);
    fails(&["--hide", "/proc/cpuinfo"], &["/proc/cpuinfo", "--bind /dev/null:/proc/cpuinfo"]);
    fails(&["--hide", "/nothing"], &["hide /nothing", "is missing", "--hide-try"]);
    fails(&["--overlay", "/etc/passwd:/mnt"], &["/etc/passwd", "not a directory"]);
    fails(&["--overlay", "/sys:/mnt"], &["--overlay /sys", "is a mount of its own"]);
    fails(&["--overlay", "/proc:/mnt"], &["cannot mount an overlay over /proc"]);
    fails(&["--mount", "no", "--hide", "/etc"], &["--hide makes a mount"]);
    for word in ["/a:ro:ro", "/a:size=0", "/a:exec", ""] {
        let ran = Rustic::run().opt(["--tmpfs", word, "true"]).ran();
        assert_eq!(ran.code, 125, "{word}: {ran:?}");
    }
    let admin = Rustic::run().nobody().opt(["--caps", "sys_admin", "--hide", "/etc"]);
    admin.opt(["true"]).ran().fails(125, &["--hide", "CAP_SYS_ADMIN", "undo"]);
    let admin = Rustic::run().nobody().opt(["--caps", "all", "--bind", "/etc:/mnt:ro"]);
    admin.opt(["true"]).ran().fails(125, &["--bind", "CAP_SYS_ADMIN", "undo"]);
}

#[test]
fn targets_that_meet_behind_links_are_refused() {
    need!(root);
    let dir = tree("meet");
    for own in ["run", "var"] {
        fs::create_dir(dir.join(own)).unwrap();
    }
    std::os::unix::fs::symlink("../run", dir.join("var/run")).unwrap();
    let run = || Rustic::run().opt(["--rootfs", dir.to_str().unwrap()]);
    let one = run().opt(["--tmpfs", "/run/x", "--tmpfs", "/var/run/x", "payload", "true"]);
    one.ran().fails(125, &["/var/run/x", "it is /run/x", "would hide"]);
    let over = run().opt(["--tmpfs", "/run/a/b", "--tmpfs", "/var/run", "payload", "true"]);
    // The shorter one comes first, and the other one is made in it.
    over.ran().ok();
    let deep = run().opt(["--tmpfs", "/run/x", "--bind", "/etc:/var/run/y/z/a", "payload", "true"]);
    deep.ran().ok();
}

#[test]
fn an_overlay_shows_a_directory_and_keeps_what_is_written_from_it() {
    need!(root);
    let dir = scratch("lower");
    open_to_all(&dir);
    fs::write(dir.join("file"), "the host's\n").unwrap();
    fs::create_dir(dir.join("sub")).unwrap();
    open_to_all(&dir.join("file"));
    for (run, owner) in both().into_iter().zip([0, 65534]) {
        // What has an owner that a user namespace does not map cannot be copied up.
        for path in [dir.clone(), dir.join("file"), dir.join("sub")] {
            std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
        }
        let order = format!("{}:/mnt/new", dir.display());
        let script = "cd /mnt/new && cat file && echo changed >file && rm -r sub && touch more && \
            cat file && ls";
        let out = run.opt(["--overlay", &order]).sh(script).ran();
        assert_eq!(out.stdout, "the host's\nchanged\nfile\nmore\n", "{out:?}");
    }
    assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "the host's\n");
    assert!(dir.join("sub").is_dir() && !dir.join("more").exists());
    // The same directory may be the root, bound, and below an overlay.
    let root = tree("everywhere");
    let path = root.to_str().unwrap();
    let all = Rustic::run().opt(["--rootfs", path, "--overlay", &format!("{path}:/tmp/over")]);
    let all = all.opt(["--bind", &format!("{path}/bin:/tmp/bin"), "--tmpfs", "/tmp"]);
    all.opt(["/tmp/bin/payload", "kind", "/tmp/over/bin/payload"]).ran().ok();
}

#[test]
fn nothing_of_the_scratch_is_seen_through_a_bind() {
    need!(root);
    let above = scratch("above");
    let root = above.join("root");
    for dir in ["bin", "etc", "dev", "proc", "sys", "mnt"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::hard_link(payload(), root.join("bin/payload")).unwrap();
    let run = Rustic::run().opt(["--rootfs", root.to_str().unwrap()]);
    let run = run.opt(["--bind", &format!("{}:/mnt", above.display())]);
    // With the scratch tmpfs of the container over it, it would hold the files of /etc.
    let out = run.opt(["payload", "list", "/mnt/root", "/mnt/root/bin"]).ran().ok();
    assert_eq!(out, "/mnt/root: 6\n/mnt/root/bin: 1\n");
}

#[test]
fn more_binds_than_open_files_are_allowed_and_cmd_has_the_old_limit() {
    need!(root);
    let dir = scratch("many");
    let mut run = Rustic::run().under(["prlimit", "--nofile=64:4096"]);
    for number in 0..200 {
        fs::write(dir.join(number.to_string()), number.to_string()).unwrap();
        run = run.opt(["--bind".to_owned(), format!("{}/{number}:/mnt/{number}", dir.display())]);
    }
    let out = run.sh("ulimit -Sn; ulimit -Hn; cat /mnt/199").ran().ok();
    assert_eq!(out, "64\n4096\n199");
}

#[test]
fn a_bind_names_its_sockets() {
    need!(root);
    let dir = scratch("sockets");
    let _one = UnixListener::bind(dir.join("s")).unwrap();
    let whole = format!("{}:/mnt/dir:ro", dir.display());
    let alone = format!("{}/s:/mnt/alone", dir.display());
    let run = Rustic::run().opt(["-v", "--bind", &whole, "--bind", &alone, "true"]).ran();
    assert!(run.stderr.contains("a door: /mnt/dir/s is a socket"), "{run:?}");
    assert!(run.stderr.contains("a door: /mnt/alone is a socket"), "{run:?}");
}

/// The mounts below /m, without what is another in each run.
fn table(orders: &[[String; 2]]) -> String {
    let mut run = Rustic::run();
    for order in orders {
        run = run.opt(order.clone());
    }
    let ran = run.opt(["/bin/cat", "/proc/self/mountinfo"]).ran();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let (root, point, attributes) = (fields[3], fields[4], fields[5]);
        point.starts_with("/m").then(|| format!("{root} {point} {attributes}"))
    };
    let lines: Vec<String> = ran.ok().lines().filter_map(line).collect();
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn six_orders_give_one_table_in_whatever_order(order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle()) {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let dir = scratch("six");
        fs::create_dir_all(dir.join("a/secret")).unwrap();
        fs::create_dir_all(dir.join("a/c")).unwrap();
        fs::write(dir.join("a/.env"), "").unwrap();
        let bind = |below: &str, at: &str| ["--bind".into(), format!("{}{below}:{at}", dir.display())];
        let orders = [
            bind("", "/m/p"),
            ["--tmpfs".to_owned(), "/m/p/a/c:size=1M".to_owned()],
            bind("/a/c", "/m/p/a/c/s"),
            ["--hide".into(), "/m/p/a/secret".into()],
            ["--hide-try".into(), "/m/p/b".into()],
            ["--overlay".into(), format!("{}/a/c:/m/p/a/c/over", dir.display())],
        ];
        let shuffled: Vec<[String; 2]> = order.iter().map(|&place| orders[place].clone()).collect();
        let expected = table(&orders);
        prop_assert!(expected.lines().count() >= 5, "{}", expected);
        prop_assert_eq!(table(&shuffled), expected);
    }
}

#[test]
fn the_orders_of_one_line_are_said_by_a_dry_run() {
    need!(root);
    let ran = Rustic::run()
        .opt(["--dry-run", "--overlay", "/etc:/mnt", "--hide", "/mnt/passwd", "true"])
        .ran();
    for words in ["open(/etc, O_PATH", "fsopen(\"overlay\")", "openat2(/mnt/passwd)", "unlinkat()"]
    {
        assert!(ran.stdout.contains(words), "{words}: {ran:?}");
    }
}
