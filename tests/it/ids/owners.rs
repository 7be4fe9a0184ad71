//! Whose files are, inside and on the disk, where root's containers have ids of their own.

use super::own::{closed, closed_tree, own_ids};
use crate::need;
use crate::support::{NOBODY, Rustic, ended, payload, scratch, shell, tree};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

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
    let dir = closed("owners-in");
    let made = ended(shell(&["sh"], &script).current_dir(&dir));
    assert_eq!(made.code, 0, "{made:?}");
    let root = dir.join("root");
    let (image, root) = (image.to_str().unwrap(), root.to_str().unwrap());
    for options in [
        &["--rootfs", image][..],
        &["--rootfs", image, "--store", "/dev/null/none"],
        &["--rootfs", root],
        &["--rootfs", root, "--ephemeral"],
        &["--rootfs", root, "--read-only"],
        &["--rootfs", image, "--mount", "no"],
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
    // Every directory above it is everybody's. Its own mode is no wall: root inside may change it.
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    let reached = run().opt(["payload", "true"]).ran();
    reached.fails(125, &["others can reach", "mode 700", "--suid-ok"]);
    for option in ["--read-only", "--ephemeral", "--suid-ok"] {
        run().opt([option, "payload", "true"]).ran().ok();
    }
    let root = closed_tree("written-closed");
    let run = || own_ids().opt(["--rootfs", root.to_str().unwrap()]);
    run().opt(["payload", "make", "/etc/new"]).ran().ok();
    let made = fs::metadata(root.join("etc/new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 0));
    // The control: without ids of its own there is nothing that a directory would add to it.
    Rustic::run().opt(["--rootfs", root.to_str().unwrap(), "payload", "true"]).ran().ok();
}

#[test]
fn a_bind_shows_owners_as_they_are_on_disk_where_that_is_ordered() {
    need!(root);
    let dir = closed("idmapped").join("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("key"), "SECRET").unwrap();
    chown(dir.join("key"), Some(33), Some(42)).unwrap();
    let bind = |options: &str| ["--bind".to_owned(), format!("{}:/mnt{options}", dir.display())];
    let look = "stat -c %u:%g /mnt/key; cat /mnt/key; echo new >/mnt/new";
    let read_only = own_ids().opt(bind(":idmap:ro")).sh(look).ran();
    assert_eq!(read_only.stdout, "33:42\nSECRET", "{read_only:?}");
    assert!(read_only.stderr.contains("Read-only file system"), "{read_only:?}");
    // The control: without it they are nobody's.
    let plain = own_ids().opt(bind("")).sh(look).ran();
    assert!(plain.stdout.contains("65534") && !dir.join("new").exists(), "{plain:?}");
    own_ids().opt(bind(":idmap")).sh(look).ran().ok();
    let new = fs::metadata(dir.join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (0, 0));
    Rustic::run().opt(bind(":idmap")).opt(["true"]).ran().fails(125, &["idmap", "--user yes"]);
}

#[test]
fn nothing_that_others_reach_by_any_way_is_written_as_the_hosts_root() {
    need!(root);
    let open = scratch("reached");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(open.join("file"), "").unwrap();
    let refused = |source: &Path| {
        let bind = format!("{}:/mnt:idmap", source.display());
        let ran = own_ids().opt(["--bind", &bind, "true"]).ran();
        ran.fails(125, &["others can reach", "--suid-ok"]);
    };
    // Itself, which root inside may open to all; through a link; a file.
    refused(&open);
    let dir = closed("reached-closed");
    symlink(&open, dir.join("link")).unwrap();
    refused(&dir.join("link"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    refused(&open.join("file"));
    // Another mount of it, and a mount of something else in it.
    let script = |mount: &str| {
        format!(
            "mkdir -p {closed}/d/sub {open}/alias && mount --bind {mount} && exec \"$RUSTIC\" run \
             --user yes --bind {closed}/d:/mnt:idmap true",
            closed = dir.display(),
            open = open.display()
        )
    };
    let (d, open) = (dir.join("d"), open.display());
    let (alias, sub) =
        (format!("{} {open}/alias", d.display()), format!("{open} {}/sub", d.display()));
    for mount in [alias, sub] {
        let ran = ended(&mut shell(&["unshare", "--mount", "sh"], &script(&mount)));
        assert!(ran.code == 125 && ran.stderr.contains("others can reach"), "{mount}: {ran:?}");
    }
    // The control: without either it starts.
    let bind = format!("{}:/mnt:idmap", d.display());
    own_ids().opt(["--bind", &bind, "true"]).ran().ok();
}

#[test]
fn mounts_below_a_directory_root_have_their_owners_too() {
    need!(root);
    let root = closed_tree("below");
    let script = format!(
        "mkdir -p {root}/data && mount -t tmpfs data {root}/data && echo x >{root}/data/f && chown \
         7:8 {root}/data/f && exec \"$RUSTIC\" run --user yes --rootfs {root} payload owners \
         /data/f /data",
        root = root.display()
    );
    let ran = ended(&mut shell(&["unshare", "--mount", "sh"], &script));
    assert_eq!(ran.stdout, "/data/f 7:8\n/data 0:0\n", "{ran:?}");
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
fn an_image_that_no_idmapped_mount_can_show_has_its_owners_all_the_same() {
    need!(root);
    let image = crate::ids::store::image("overlay-image");
    // The first is told by its kind, the second by a try: the kernel shows no ramfs so.
    for (kind, mount, copied) in [
        ("overlay", "mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m", 1),
        ("ramfs", "mkdir m && mount -t ramfs r m", 1),
        // The control.
        ("tmpfs", "mkdir m && mount -t tmpfs t m", 0),
    ] {
        let dir = closed(&format!("{kind}-store"));
        let script = format!(
            "mount -t tmpfs t {dir} && cd {dir} && {mount} && chmod 700 m && export \
             RUSTIC_STORE={dir}/m && $RUSTIC rootfs import box {image} >/dev/null && for root in \
             box {image}; do for user in yes no; do $RUSTIC run --user $user --rootfs $root \
             payload owners /etc/shadow /var/lib/db/f || exit; done; done && exec $RUSTIC run -v \
             --user yes --rootfs box payload true",
            dir = dir.display(),
            image = image.display()
        );
        let ran = ended(&mut shell(&["unshare", "--mount", "sh"], &script));
        let owners = "/etc/shadow 0:42\n/var/lib/db/f 70:71\n".repeat(4);
        assert_eq!((ran.code, ran.stdout), (0, owners), "{kind}: {}", ran.stderr);
        assert_eq!(ran.stderr.matches("root: copied for this run").count(), copied, "{kind}");
        // A directory of the caller's is not copied, and neither is a bind.
        let here = format!("{}/m", dir.display());
        let script = format!(
            "mount -t tmpfs t {dir} && cd {dir} && {mount} && chmod 700 m && mkdir -p m/bin m/dev \
             m/proc m/sys m/etc && cp $PAYLOAD m/bin/x && $RUSTIC run --suid-ok --user yes \
             --rootfs {here} /bin/x true; echo $?; $RUSTIC run --user yes --bind \
             {here}:/m:ro:idmap true; echo $?",
            dir = dir.display(),
        );
        let mut own = shell(&["unshare", "--mount", "sh"], &script);
        let ran = ended(own.env("PAYLOAD", payload()));
        assert_eq!(ran.stdout, ["0\n0\n", "125\n125\n"][copied], "{kind}: {ran:?}");
        let why = "cannot be shown with other owners: ext4, xfs and btrfs can";
        assert_eq!(ran.stderr.matches(why).count(), 2 * copied, "{kind}: {ran:?}");
        assert_eq!(ran.stderr.matches("leave out :idmap").count(), copied, "{kind}: {ran:?}");
    }
}

#[test]
fn without_mounts_root_has_ids_of_its_own_too() {
    need!(root);
    let root = tree("owners-no-mounts");
    fs::write(root.join("secret"), "SECRET").unwrap();
    fs::set_permissions(root.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let look = |run: Rustic| {
        let run = run.ns("mount", "no").opt(["-v", "--rootfs", root.to_str().unwrap()]);
        run.opt(["payload", "print", "/secret"]).ran()
    };
    let own = look(own_ids());
    assert!(own.stdout.contains("Permission denied"), "{own:?}");
    assert!(own.stderr.contains("root: its files belong to nobody inside"), "{own:?}");
    // The control.
    assert_eq!(look(Rustic::run()).stdout.trim(), "SECRET");
    // What is unpacked for the run is gone after it.
    let store = closed("no-mounts-store");
    let run = own_ids().ns("mount", "no").store(&store);
    assert_eq!(run.sh("touch /new; stat -c %u:%g /new").ran().ok(), "0:0\n");
    assert_eq!(fs::read_dir(store.join("runs")).unwrap().count(), 0);
}

#[test]
fn the_nodes_of_dev_are_the_containers_own_and_belong_to_root_inside() {
    need!(root);
    let host = || {
        let stat = fs::metadata("/dev/zero").unwrap();
        (stat.ino(), stat.mode(), stat.uid())
    };
    let before = host();
    let script = "stat -c '%u:%g %a %t' /dev/zero; head -c 2 /dev/zero | wc -c; chmod 600 /dev/zero \
                  && chown 7 /dev/zero && stat -c '%u %a' /dev/zero; mknod /dev/more c 1 3; echo $?";
    for options in [&[][..], &["--mount", "no"], &["--read-only"], &["--caps", "all"]] {
        let ran = own_ids().opt(options.iter().copied()).sh(script).ran();
        assert_eq!(ran.stdout, "0:0 666 1\n2\n7 600\n1\n", "{options:?} {ran:?}");
    }
    assert_eq!(host(), before);
}
