//! Containers of root with ids of their own.

use crate::need;
use crate::support::{Rustic, children_of, end, ended, eventually, piped, scratch, shell, tree};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A run of root with ids of its own.
pub(crate) fn own_ids() -> Rustic {
    Rustic::run().ns("user", "yes")
}

/// A directory that only root reaches what is in.
pub(super) fn closed(name: &str) -> PathBuf {
    let dir = scratch(name);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

/// A root in one.
pub(super) fn closed_tree(name: &str) -> PathBuf {
    let root = closed(name).join("root");
    fs::rename(tree(&format!("{name}-tree")), &root).unwrap();
    root
}

/// Where the ids of a running container begin outside.
pub(crate) fn start_of(pid: u32) -> u32 {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    let words: Vec<u32> = map.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!((words[0], words[2], words.len()), (0, 65_536, 3), "{map}");
    words[1]
}

/// CMD of a container that says "up".
pub(crate) fn cmd_of(parent: &std::process::Child) -> u32 {
    children_of(children_of(parent.id())[0])[0]
}

#[test]
fn two_containers_of_root_have_different_ids_outside_and_none_is_0() {
    need!(root);
    let up = || own_ids().sh("echo up; read end").started_until("up");
    let (one, other) = (up(), up());
    let starts = [&one, &other].map(|container| {
        let cmd = cmd_of(container);
        let start = start_of(cmd);
        let owner = fs::metadata(format!("/proc/{cmd}")).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (start, start));
        assert!(
            (524_288..1_878_982_656).contains(&start) && start.is_multiple_of(65_536),
            "{start}"
        );
        assert!(Path::new("/run/rustic/ids").join((start / 65_536).to_string()).exists());
        start
    });
    assert_ne!(starts[0], starts[1]);
    for container in [one, other] {
        end(container);
    }
    for start in starts {
        let lock = Path::new("/run/rustic/ids").join((start / 65_536).to_string());
        eventually("its lock is gone", || !lock.exists());
    }
    // The control: without the wall root inside is root.
    let open = Rustic::run().sh("echo up; read end").started_until("up");
    assert_eq!(fs::metadata(format!("/proc/{}", cmd_of(&open))).unwrap().uid(), 0);
    end(open);
}

#[test]
fn root_inside_reads_nothing_that_is_roots_alone() {
    need!(root);
    let dir = scratch("alone");
    fs::write(dir.join("key"), "SECRET").unwrap();
    fs::set_permissions(dir.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let bind = format!("{}:/mnt", dir.display());
    let cat = |run: Rustic| run.opt(["--bind", &bind]).sh("ls -n /mnt/key; cat /mnt/key").ran();
    let shut = cat(own_ids());
    assert!(!shut.stdout.contains("SECRET") && shut.stdout.contains(" 65534 "), "{shut:?}");
    assert!(shut.stderr.contains("Permission denied"), "{shut:?}");
    assert!(cat(Rustic::run()).stdout.contains("SECRET"));
}

#[test]
fn what_can_be_undone_in_dev_proc_and_sys_is_refused() {
    need!(root);
    let dir = closed("undone");
    let bind = |rest: &str| format!("{}:{rest}", dir.display());
    let run = || own_ids().opt(["--caps", "all"]);
    for order in [bind("/dev/data:ro"), bind("/dev/data:idmap"), bind("/proc/tty:ro")] {
        let ran = run().opt(["--bind", &order, "true"]).ran();
        ran.fails(125, &["CMD has CAP_SYS_ADMIN, and can undo it"]);
    }
    run().opt(["--hide", "/proc/cpuinfo", "true"]).ran().fails(125, &["--hide /proc/cpuinfo"]);
    // The control: without the right nobody inside can.
    let look = "touch /dev/data/x; mount -o remount,rw,bind /dev/data";
    let kept = own_ids().opt(["--bind", &bind("/dev/data:ro")]).sh(look).ran();
    assert!(kept.code != 0 && !dir.join("x").exists(), "{kept:?}");
}

#[test]
fn streams_can_be_opened_by_their_names() {
    need!(root);
    let dir = scratch("streams");
    let (out, err) = (dir.join("out"), dir.join("err"));
    for run in ["--user yes", "--user no", "--uid 1000", "--user yes --uid 1000"] {
        let script = format!(
            "exec \"$RUSTIC\" run {run} sh -c 'echo o >/dev/stdout; echo e >/dev/stderr' >{} 2>{}",
            out.display(),
            err.display()
        );
        let ran = ended(&mut shell(&["sh"], &script));
        let said = [&out, &err].map(|file| fs::read_to_string(file).unwrap());
        assert_eq!((ran.code, said), (0, ["o\n".to_owned(), "e\n".to_owned()]), "{run}");
    }
    let ready = "echo READY=1 >/dev/fd/3";
    own_ids().opt(["--ready", "app"]).sh(ready).ran().ok();
}

#[test]
fn a_node_in_an_image_or_a_directory_cannot_be_opened_and_one_that_is_bound_can() {
    need!(root);
    let root = closed_tree("node");
    // /dev/zero by another name, and a disk of this machine, for reading.
    let disks = fs::read_to_string("/proc/partitions").unwrap();
    let disk: Vec<&str> = disks.lines().nth(2).unwrap().split_whitespace().take(2).collect();
    let image = root.with_file_name("image.tar");
    let script = format!(
        "cd {root} && mknod -m 666 zero c 1 5 && mknod -m 666 disk b {} && tar -cf {image} .",
        disk.join(" "),
        root = root.display(),
        image = image.display()
    );
    let made = ended(&mut shell(&["sh"], &script));
    assert_eq!(made.code, 0, "{made:?}");
    for (from, run) in
        [&root, &image].into_iter().flat_map(|from| [(from, own_ids()), (from, Rustic::run())])
    {
        let run = run.opt(["--rootfs", from.to_str().unwrap()]);
        let open =
            |path: &str, run: &Rustic| run.clone().opt(["payload", "open", path]).ran().stdout;
        for node in ["zero", "disk"] {
            let path = format!("/{node}");
            let shut = open(&path, &run);
            assert!(shut.contains("Permission denied"), "{from:?} {node}: {shut}");
            let bind = format!("{}:/bound", root.join(node).display());
            let bound = open("/bound", &run.clone().opt(["--bind", &bind]));
            // The machine itself may not let root open its disk: that is another answer.
            let own = fs::File::open(root.join(node)).map_err(|error| error.to_string());
            let expected = own.map_or_else(|error| error, |_| "opened".into());
            let expected = expected.split(" (").next().unwrap();
            assert!(bound.contains(expected), "{from:?} {node}: {bound}");
        }
    }
}

#[test]
fn what_is_mounted_before_the_user_namespace_cannot_be_undone_in_it() {
    need!(root);
    let script = "mount -o remount,rw,bind / && echo REMOUNTED; umount /mnt && echo UNMOUNTED; \
                  touch /x && echo WRITTEN; cat /etc/passwd && echo SHOWN; true";
    let orders =
        ["--caps", "all", "--read-only", "--bind", "/etc:/mnt:ro", "--hide", "/etc/passwd"];
    let locked = own_ids().opt(orders).sh(script).ran();
    assert_eq!(locked.stdout, "", "{locked:?}");
    // The control: root of the host can undo every one of them.
    let open = Rustic::run().opt(orders).sh(script).ran();
    for word in ["REMOUNTED", "UNMOUNTED", "WRITTEN"] {
        assert!(open.stdout.contains(word), "{open:?}");
    }
}

/// The start of a range that no other run of these tests has ordered, so many ranges further.
fn start(further: u32) -> u32 {
    1_200_000_000 + (std::process::id() % 10_000 * 4 + further) * 65_536
}

#[test]
fn a_range_can_be_ordered_and_belongs_to_nobody_else() {
    need!(root);
    let ids = |ids: &str| own_ids().opt(["--ids", ids]);
    let (one, other) = (start(0).to_string(), start(1).to_string());
    let map = ids(&format!("{one}:60000")).opt(["cat", "/proc/self/uid_map"]).ran().ok();
    assert!(map.split_whitespace().eq(["0", &one, "60000"]), "{map}");
    for wrong in ["0", "0:5", "x", "5:0", "4294967295", "4294900000:100000"] {
        assert_eq!(ids(wrong).opt(["true"]).ran().code, 125, "{wrong}");
    }
    ids("65534:1").opt(["true"]).ran().fails(125, &["--ids 65534", "/etc/passwd"]);
    Rustic::run().opt(["--ids", &one, "true"]).ran().fails(125, &["--ids", "--user yes"]);
    let few = ids(&format!("{other}:10")).opt(["--uid", "10", "true"]).ran();
    few.fails(125, &["--uid 10", "--ids START:COUNT"]);
    // What another container has, it keeps.
    let up = ids(&other).sh("echo up; read end").started_until("up");
    let last = (start(1) + 65_535).to_string();
    ids(&last).opt(["true"]).ran().fails(125, &["--ids", &last]);
    end(up);
}

#[test]
fn ids_that_a_namespace_maps_to_themselves_are_somebodys_too() {
    need!(root);
    let mut other =
        piped(shell(&["unshare", "--user", "sh"], "echo up; read end").stdin(Stdio::piped()));
    let map = format!("/proc/{}/uid_map", other.id());
    eventually("it has a user namespace", || {
        let file = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).ok();
        file(&other.id().to_string()) != file("self")
    });
    let start = start(3);
    fs::write(map, format!("{start} {start} 65536")).unwrap();
    let taken = Rustic::run().ns("user", "yes").opt(["--ids", &start.to_string(), "true"]);
    taken.ran().fails(125, &["somebody has some of these ids", "uid_map"]);
    other.kill().unwrap();
    other.wait().unwrap();
    // The control: when it is gone they are free.
    taken.ran().ok();
}
