//! Killed or signalled at any moment: no half tree is seen, and nothing is left.

use super::{many_files, names_in, rootfs, trees};
use crate::manifest::manifest;
use crate::need;
use crate::support::{Rustic, eventually, finish, host, roomy, scratch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Write;

fn run_stopped_by(inject: &str, command: &Rustic) -> bool {
    command.clone().inject(inject).ran().code != 0
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
    let mut points: Vec<String> =
        (1..=15).map(|hundred| format!("write:signal=KILL:when={}", hundred * 100)).collect();
    // And at the calls by which a tree comes to its place.
    for (call, times) in [
        ("renameat2", 1),
        ("syncfs", 1),
        ("symlink", 1),
        ("flock", 4),
        ("mkdirat", 5),
        ("rename", 1),
    ] {
        points.extend((1..=times).map(|time| format!("{call}:signal=KILL:when={time}")));
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
