//! Containers of root with ids of their own.

use crate::need;
use crate::support::{
    NOBODY, Rustic, children_of, end, ended, eventually, payload, scratch, shell, tree,
};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// A run of root with ids of its own.
pub(crate) fn own_ids() -> Rustic {
    Rustic::run().ns("user", "yes")
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
fn owners_are_right_inside_whatever_the_root_is_made_of() {
    need!(root);
    let image = scratch("owners").join("image.tar");
    let script = format!(
        "mkdir -p root/bin root/etc root/var root/proc root/sys root/dev && \
         touch root/etc/hosts root/etc/hostname root/etc/resolv.conf && cp {payload} root/bin/payload && echo x >root/etc/shadow && \
         chown 0:42 root/etc/shadow && echo y >root/var/mail && chown 8:1000 root/var/mail && \
         tar -C root -cf {image} .",
        payload = payload().display(),
        image = image.display()
    );
    let dir = scratch("owners-in");
    let made = ended(shell(&["sh"], &script).current_dir(&dir));
    assert_eq!(made.code, 0, "{made:?}");
    let root = dir.join("root");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    let (image, root) = (image.to_str().unwrap(), root.to_str().unwrap());
    for options in [
        &["--rootfs", image][..],
        &["--rootfs", image, "--store", "/dev/null/none"],
        &["--rootfs", root],
        &["--rootfs", root, "--ephemeral"],
        &["--rootfs", root, "--read-only"],
    ] {
        for run in [own_ids(), Rustic::run()] {
            let run = run.opt(options.iter().copied());
            let ran = run.opt(["payload", "owners", "/etc/shadow", "/var/mail", "/bin"]).ran();
            if options.contains(&"/dev/null/none") && ran.code == 125 {
                continue;
            }
            assert_eq!(
                ran.stdout, "/etc/shadow 0:42\n/var/mail 8:1000\n/bin 0:0\n",
                "{options:?} {ran:?}"
            );
        }
    }
}

#[test]
fn what_root_inside_writes_into_a_directory_is_roots_and_others_must_not_reach_it() {
    need!(root);
    let root = tree("written");
    for file in ["hosts", "hostname", "resolv.conf"] {
        fs::write(root.join("etc").join(file), "").unwrap();
    }
    let run = || own_ids().opt(["--rootfs", root.to_str().unwrap()]);
    // Every directory above it is everybody's.
    let reached = run().opt(["payload", "true"]).ran();
    reached.fails(125, &["others can reach", "chmod 700", "--suid-ok"]);
    for option in ["--read-only", "--ephemeral", "--suid-ok"] {
        run().opt([option, "payload", "true"]).ran().ok();
    }
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    run().opt(["payload", "make", "/etc/new"]).ran().ok();
    let made = fs::metadata(root.join("etc/new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 0));
    // The control: without ids of its own there is nothing that a directory would add to it.
    Rustic::run().opt(["--rootfs", root.to_str().unwrap(), "payload", "true"]).ran().ok();
}

#[test]
fn a_bind_shows_owners_as_they_are_on_disk_where_that_is_ordered() {
    need!(root);
    let dir = scratch("idmapped");
    fs::write(dir.join("key"), "SECRET").unwrap();
    chown(dir.join("key"), Some(33), Some(42)).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let bind = |options: &str| ["--bind".to_owned(), format!("{}:/mnt{options}", dir.display())];
    let look = "ls -n /mnt/key | cut -c14-40; cat /mnt/key; echo new >/mnt/new";
    own_ids().opt(bind(":idmap")).sh(look).ran().fails(125, &["others can reach", "--suid-ok"]);
    let read_only = own_ids().opt(bind(":idmap:ro")).sh(look).ran();
    assert!(read_only.stdout.contains("33") && read_only.stdout.contains("42"), "{read_only:?}");
    assert!(read_only.stderr.contains("Read-only file system"), "{read_only:?}");
    // The control: without it they are nobody's.
    let plain = own_ids().opt(bind("")).sh(look).ran();
    assert!(plain.stdout.contains("65534") && !dir.join("new").exists(), "{plain:?}");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    let written = own_ids().opt(bind(":idmap")).sh(look).ran();
    assert!(written.stdout.contains("SECRET"), "{written:?}");
    let new = fs::metadata(dir.join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (0, 0));
    Rustic::run().opt(bind(":idmap")).opt(["true"]).ran().fails(125, &["idmap", "--user yes"]);
}

#[test]
fn nothing_is_written_over_owners_that_the_container_does_not_have() {
    need!(root);
    let root = tree("owners-over");
    let run = |run: Rustic| {
        let run = run.opt(["--rootfs", root.to_str().unwrap(), "--ephemeral"]);
        run.opt(["payload", "make", "/etc/new"]).ran()
    };
    run(Rustic::run().nobody()).fails(125, &["--ephemeral", "belongs to 0:0"]);
    for path in [root.clone(), root.join("etc"), root.join("bin")] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    assert_eq!(run(Rustic::run().nobody()).ok(), "done\n");
    // Through an idmapped mount owners are as they are on disk.
    assert_eq!(run(own_ids()).ok(), "done\n");
    chown(root.join("etc"), Some(70_000), Some(0)).unwrap();
    run(own_ids()).fails(125, &["/etc belongs to 70000:0"]);
    assert_eq!(run(Rustic::run()).ok(), "done\n");
}

#[test]
fn the_hosts_own_root_is_shown_with_its_owners_and_without_its_views_of_the_kernel() {
    need!(root);
    let script = "stat -c %u:%g /etc/passwd; id -u; ls /sys/kernel/debug | wc -l; touch /etc/x";
    let run = own_ids().opt(["--rootfs", "/", "--read-only", "--hide", "/etc/shadow"]);
    let ran = run.clone().sh(script).ran();
    assert_eq!(ran.stdout, "0:0\n0\n0\n", "{ran:?}");
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    let shadow = run.sh("cat /etc/shadow").ran();
    assert!(shadow.stderr.contains("No such file"), "{shadow:?}");
}

#[test]
fn a_node_in_the_root_cannot_be_opened_and_one_that_is_bound_can() {
    need!(root);
    let root = tree("node");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    // The memory of /dev/zero by another name.
    let node = root.join("zero");
    let made = ended(&mut shell(&["sh"], &format!("mknod -m 666 {} c 1 5", node.display())));
    assert_eq!(made.code, 0, "{made:?}");
    let bind = format!("{}:/bound", node.display());
    for run in [own_ids(), Rustic::run()] {
        let run = run.opt(["--rootfs", root.to_str().unwrap(), "--bind", &bind]);
        let open = |path| run.clone().opt(["payload", "open", path]).ran().stdout;
        assert!(open("/zero").contains("Permission denied"), "{}", open("/zero"));
        assert!(open("/bound").contains("opened"), "{}", open("/bound"));
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

#[test]
fn a_range_can_be_ordered_and_belongs_to_nobody_else() {
    need!(root);
    let ids = |ids: &str| own_ids().opt(["--ids", ids]);
    let map = ids("1200000000:70000").opt(["cat", "/proc/self/uid_map"]).ran().ok();
    assert!(map.split_whitespace().eq(["0", "1200000000", "70000"]), "{map}");
    for wrong in ["0", "0:5", "x", "5:0", "4294967295", "4294900000:100000"] {
        assert_eq!(ids(wrong).opt(["true"]).ran().code, 125, "{wrong}");
    }
    ids("65534:1").opt(["true"]).ran().fails(125, &["--ids 65534", "/etc/passwd"]);
    Rustic::run().opt(["--ids", "1200000000", "true"]).ran().fails(125, &["--ids", "--user yes"]);
    let few = ids("1300000000:10").opt(["--uid", "10", "true"]).ran();
    few.fails(125, &["--uid 10", "--ids START:COUNT"]);
    // What another container has, it keeps.
    let up = ids("1300000000").sh("echo up; read end").started_until("up");
    ids("1300065535").opt(["true"]).ran().fails(125, &["--ids 1300065535"]);
    end(up);
}
