//! Ranges of ids that many containers take, hold and give back; verify by users with ranges, and a
//! whole system of theirs.

use crate::ids::Ranges;
use crate::ids::own::{cmd_of, own_ids, start_of};
use crate::ids::store::tree;
use crate::manifest::differences;
use crate::need;
use crate::support::{NOBODY, Rustic, apart, end, eventually, finish, roomy, until_line};
use rustix::mount::{MountFlags, mount};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::time::Duration;

/// The locks of the ranges that are taken.
fn locks() -> usize {
    fs::read_dir("/run/rustic/ids").map_or(0, Iterator::count)
}

/// In a /run of the test's own.
fn alone(look: impl FnOnce() + Send) {
    apart(|| {
        mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).unwrap();
        look();
    });
}

#[test]
fn a_hundred_containers_at_once_have_a_hundred_ranges() {
    need!(root);
    alone(|| {
        let run = own_ids().sh("echo up; read end");
        let begun: Vec<_> = (0..100).map(|_| run.started()).collect();
        let up: Vec<_> = begun.into_iter().map(|child| until_line(child, "up")).collect();
        let starts: BTreeSet<u32> = up.iter().map(|child| start_of(cmd_of(child))).collect();
        assert_eq!((starts.len(), locks()), (100, 100));
        up.into_iter().for_each(end);
        eventually("every lock is gone", || locks() == 0);
        // The control: without the wall there is none.
        let open = Rustic::run().sh("echo up; read end").started_until("up");
        assert_eq!(locks(), 0);
        end(open);
    });
}

#[test]
fn a_thousand_starts_leave_no_range() {
    need!(root);
    alone(|| {
        for _ in 0..1_000 {
            own_ids().opt(["true"]).ran().ok();
        }
        assert_eq!(locks(), 0);
    });
}

#[test]
fn two_hundred_kills_leave_no_range() {
    need!(root);
    alone(|| {
        for number in 0..200 {
            let mut child = own_ids().opt(["true"]).started();
            std::thread::sleep(Duration::from_micros(number * 60));
            child.kill().unwrap();
            let _ = finish(child);
        }
        // Who is killed before there is a warden leaves a name, which the next one takes away.
        own_ids().opt(["true"]).ran().ok();
        eventually("every lock is gone", || locks() == 0);
    });
}

#[test]
fn verify_and_its_flips_are_as_ordered_for_users_with_ranges_and_without() {
    need!(root);
    let user = Ranges::new();
    for prepare in ["", "umount /etc/subuid;"] {
        for command in ["verify", "verify --flip"] {
            let ran = user.ran(prepare, "", command);
            assert_eq!(ran.code, 0, "{prepare} {command}: {ran:?}");
        }
    }
}

#[test]
fn a_debian_of_a_plain_user_is_what_podman_unshare_makes_of_it() {
    need!(root);
    let archive = std::env::var_os("RUSTIC_DEBIAN_ROOT").map(PathBuf::from);
    need!(archive.is_some(), "RUSTIC_DEBIAN_ROOT names no archive; scripts/test --ids makes one");
    let (user, podmans) = (Ranges::new(), roomy("podmans"));
    chown(&podmans, Some(NOBODY), Some(NOBODY)).unwrap();
    let script = format!(
        "$RUSTIC rootfs import debian - <{archive} && mkdir -m 700 {podmans}/run {podmans}/home && \
         mkdir {podmans}/tree && XDG_RUNTIME_DIR={podmans}/run HOME={podmans}/home podman \
         unshare tar -C {podmans}/tree --numeric-owner --exclude ./dev/?* -xpf - <{archive}",
        archive = archive.unwrap().display(),
        podmans = podmans.display()
    );
    let made = user.script(&script);
    assert_eq!(made.code, 0, "{made:?}");
    let tree = tree(&user);
    let same = |path: &String| !path.starts_with("dev");
    let found: Vec<_> =
        differences(&podmans.join("tree"), &tree).into_iter().filter(same).collect();
    assert_eq!(found, Vec::<String>::new());
    // The control: there are other owners, and the comparison sees one.
    let shadow = tree.join("etc/shadow").metadata().unwrap();
    assert_eq!((shadow.uid(), shadow.gid()), (65_534, 200_041));
    chown(tree.join("etc/shadow"), Some(65_534), Some(200_042)).unwrap();
    assert!(!differences(&podmans.join("tree"), &tree).is_empty());
    let _ = fs::remove_dir_all(podmans);
}
