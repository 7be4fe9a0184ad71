//! Users and groups by name, and what the image says of a user.

use super::Ranges;
use crate::need;
use crate::support::{Rustic, ended, scratch, shell, tree};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\ntoor:x:0:9::/toor:/bin/sh\n\
    joe:x:1000:100:Joe,,,:/home/joe:/bin/sh\nfar:x:7:80000::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nusers:x:100:joe\nkvm:x:27:root,joe\nlp:x:7:joes\n\
    dialout:x:20:joe\nbeyond:x:90000:far\n";

/// A root whose passwd and group have these lines.
fn root(name: &str) -> PathBuf {
    let root = tree(name);
    for (file, text) in [("passwd", PASSWD), ("group", GROUP), ("hosts", ""), ("hostname", "")] {
        fs::write(root.join("etc").join(file), text).unwrap();
    }
    fs::write(root.join("etc/resolv.conf"), "").unwrap();
    root
}

fn packed(root: &Path) -> PathBuf {
    let image = root.with_extension("tar");
    // A copy: a file whose other names come and go changes while it is read.
    let script = format!(
        "cp -a {root} {root}.copy && tar -C {root}.copy -cf {image} .",
        root = root.display(),
        image = image.display()
    );
    assert_eq!(ended(&mut shell(&["sh"], &script)).code, 0);
    image
}

/// Who CMD is: uid, gid, groups, HOME and USER.
fn who(run: Rustic) -> String {
    run.opt(["payload", "who"]).ran().ok().trim().to_owned()
}

#[test]
fn the_image_says_who_a_user_is_and_which_groups_he_has() {
    need!(root);
    let directory = root("users");
    let image = packed(&directory);
    let (directory, image) = (directory.to_str().unwrap(), image.to_str().unwrap());
    let joe = "1000:100 20,27 /home/joe joe";
    for options in [
        &["--rootfs", image][..],
        &["--rootfs", directory],
        &["--rootfs", image, "--mount", "no"],
        &["--rootfs", image, "--user", "yes"],
        &["--rootfs", image, "--read-only"],
    ] {
        let run = || Rustic::run().opt(options.iter().copied());
        for (order, expected) in [
            (&["--uid", "joe"][..], joe),
            (&["--uid", "1000"], joe),
            (&["--uid", "1000", "--gid", "1000"], "1000:1000  /home/joe joe"),
            (&["--uid", "joe", "--gid", "kvm"], "1000:27  /home/joe joe"),
            (&["--uid", "4321"], "4321:0  / -"),
            (&["--uid", "0"], "0:0 27 /root root"),
            (&["--uid", "toor"], "0:9  /toor toor"),
            (&["--gid", "users"], "0:100  /root root"),
            (&["--uid", "keep"], "0:0 27 /root root"),
            (&[], "0:0  /root root"),
        ] {
            let seen = who(run().opt(order.iter().copied()));
            assert_eq!(seen, expected, "{options:?} {order:?}");
        }
        let none = run().opt(["--uid", "nobody-here", "payload", "true"]).ran();
        none.fails(125, &["--uid nobody-here", "/etc/passwd has no such name"]);
        let none = run().opt(["--gid", "nobody-here", "payload", "true"]).ran();
        none.fails(125, &["--gid nobody-here", "/etc/group has no such name"]);
    }
    // Where the image is unpacked in the container alone.
    let user = Ranges::new();
    let bare = |order: &str| {
        user.script(&format!(
            "XDG_DATA_HOME=/proc $RUSTIC run --rootfs {image} {order} payload who"
        ))
    };
    assert_eq!(bare("--uid joe").ok().trim(), joe);
    bare("--uid far").fails(125, &["--uid far, of group 80000"]);
    bare("--uid far --gid 5").ok();
}

#[test]
fn names_are_those_of_the_tree_as_it_will_be() {
    need!(root);
    let root = root("as-it-will-be");
    let word = root.to_str().unwrap();
    let run = || Rustic::run().opt(["--rootfs", word]);
    let other = scratch("other-passwd").join("passwd");
    fs::write(&other, "joe:x:55:66::/there:\n").unwrap();
    let bind = format!("{}:/etc/passwd", other.display());
    assert_eq!(who(run().opt(["--bind", &bind, "--uid", "joe"])), "55:66 20,27,100 /there joe");
    let hidden = run().opt(["--hide", "/etc/passwd", "--uid", "joe", "payload", "who"]).ran();
    hidden.fails(125, &["has no such name"]);
    // A link is followed inside of the root, and never out of it.
    let passwd = root.join("etc/passwd");
    let replaced = |make: &dyn Fn(&Path)| {
        fs::remove_file(&passwd).unwrap();
        make(&passwd);
    };
    fs::write(root.join("users"), PASSWD).unwrap();
    replaced(&|passwd| symlink("/../../users", passwd).unwrap());
    let joe = "1000:100 20,27 /home/joe joe";
    assert_eq!(who(run().opt(["--uid", "joe"])), joe);
    let refused = |reason: &str| {
        for order in ["joe", "1000"] {
            let ran = run().opt(["--uid", order, "payload", "true"]).ran();
            ran.fails(125, &["cannot read the image's /etc/passwd", reason]);
        }
        run().opt(["--uid", "1000", "--gid", "5", "payload", "true"]).ran().ok();
    };
    replaced(&|passwd| symlink(passwd.file_name().unwrap(), passwd).unwrap());
    refused("ELOOP");
    replaced(&|passwd| {
        assert_eq!(ended(&mut shell(&["sh"], &format!("mkfifo {}", passwd.display()))).code, 0)
    });
    refused("it is no regular file");
    replaced(&|passwd| fs::write(passwd, vec![b'x'; (1 << 20) + 1]).unwrap());
    refused("it has more than 1 MiB");
    replaced(&|passwd| fs::write(passwd, PASSWD).unwrap());
    assert_eq!(who(run().opt(["--uid", "joe"])), joe);
}

#[test]
fn a_plain_user_keeps_his_own_number_with_the_ranges_around_it() {
    need!(root);
    let (user, image) = (Ranges::new(), packed(&root("kept-number")));
    user.script(&format!("$RUSTIC rootfs import box {}", image.display())).ok();
    let keep = "--uid keep --gid keep";
    for root in ["box".to_owned(), image.display().to_string()] {
        let script = format!(
            "mkdir -p $HOME/mine && chmod 700 $HOME/mine && $RUSTIC run --rootfs {root} {keep} \
             --bind $HOME/mine:/mnt payload who && $RUSTIC run --rootfs {root} {keep} --bind \
             $HOME/mine:/mnt payload make /mnt/new && $RUSTIC run --rootfs {root} {keep} payload \
             owners /etc/passwd && $RUSTIC run --rootfs {root} {keep} payload print \
             /proc/self/uid_map"
        );
        let seen = user.script(&script).ok();
        let mut lines = seen.lines();
        assert_eq!(lines.next(), Some("65534:65534  / -"));
        assert_eq!((lines.next(), lines.next()), (Some("done"), Some("/etc/passwd 0:0")));
        let map: Vec<_> = lines.flat_map(str::split_whitespace).collect();
        let words = "0 200000 65534 65534 65534 1 65535 265534 2";
        assert_eq!(map, words.split(' ').collect::<Vec<_>>());
        let made = fs::metadata(user.temporary.join("mine/new")).unwrap();
        assert_eq!((made.uid(), made.gid()), (65_534, 65_534));
        fs::remove_file(user.temporary.join("mine/new")).unwrap();
    }
    // The control: without it root inside is the user.
    let plain = user.script(&format!(
        "$RUSTIC run --rootfs box payload owners /etc/passwd; $RUSTIC run --rootfs {} payload who",
        image.display()
    ));
    assert_eq!(plain.ok(), "/etc/passwd 0:0\n0:0  /root root\n");
    // And with one id there is no other.
    let one = user.script(&format!("setpriv --no-new-privs $RUSTIC run {keep} id -u"));
    assert_eq!(one.ok(), "65534\n");
}
