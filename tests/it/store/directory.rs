//! The directory that is unpacked into: empty, missing, a mount point, one of a plain user, one
//! with things to pass on.

use super::{in_a_mount_namespace, names_in};
use crate::corpus::bytes::{dir, file, symlink, tar};
use crate::need;
use crate::support::{Rustic, host, scratch};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[test]
fn unpack_fills_an_empty_directory_makes_a_missing_one_and_refuses_the_rest() {
    need!(root);
    let folder = scratch("into");
    let packed = folder.join("a.tar");
    fs::write(&packed, tar([file("sub/a", "x"), symlink("s", "a")])).unwrap();
    let unpack = |to: &str| {
        let mut command =
            Rustic::command("rootfs").opt(["unpack", packed.to_str().unwrap(), to]).std();
        let output = command.current_dir(&folder).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    fs::create_dir(folder.join("empty")).unwrap();
    host("chmod", ["2751".as_ref(), folder.join("empty").as_os_str()]);
    let inode = || {
        fs::metadata(folder.join("empty")).map(|stat| (stat.ino(), stat.mode() & 0o7777)).unwrap()
    };
    let before = inode();
    assert_eq!(unpack("empty").0, 0);
    assert_eq!(inode(), before, "it is the directory that it was");
    assert_eq!(unpack("new").0, 0);
    assert_eq!(
        (names_in(&folder.join("empty")), names_in(&folder.join("new"))),
        (vec!["s".into(), "sub".into()], vec!["s".into(), "sub".into()])
    );
    for (to, words) in [
        ("empty", "is not empty"),
        ("a.tar", "ENOTDIR"),
        ("no/such", "ENOENT"),
        ("a.tar/x", "ENOTDIR"),
    ] {
        let (code, text) = unpack(to);
        assert!(code == 125 && text.contains(words) && text.contains(to), "{to}: {text}");
    }
    assert_eq!(names_in(&folder), ["a.tar", "empty", "new"]);
    // What a killed one has left is not in the way of the next.
    for place in [".", "empty"] {
        let _ = fs::remove_dir_all(folder.join("empty"));
        fs::create_dir(folder.join("empty")).unwrap();
        let left = folder.join(place).join(".rustic-unpack-0123");
        fs::create_dir_all(left.join("half")).unwrap();
        host("chmod", ["700".as_ref(), left.as_os_str()]);
        let (code, text) = unpack(if place == "." { "third" } else { "empty" });
        assert_eq!((code, text.as_str()), (0, ""));
        assert!(!left.exists(), "{place}");
    }
    let _ = fs::remove_dir_all(folder.join("third"));
    let out = folder.join("third");
    let words = ["unpack", packed.to_str().unwrap(), out.to_str().unwrap()];
    let killed = Rustic::command("rootfs").inject("renameat2:signal=KILL:when=1").opt(words).ran();
    assert!(killed.code != 0 && !out.exists());
    assert_eq!(unpack("third").0, 0);
    assert!(!names_in(&folder).iter().any(|name| name.starts_with('.')), "{:?}", names_in(&folder));
}

#[test]
fn unpack_fills_a_mount_point() {
    need!(root);
    let folder = scratch("mount-point");
    let packed = folder.join("a.tar");
    fs::write(&packed, tar([dir("./").mode(0o711).mtime(5), file("a", "x")])).unwrap();
    fs::create_dir(folder.join("mnt")).unwrap();
    let script = format!(
        "M={0}/mnt; mount -t tmpfs none $M; $RUSTIC rootfs unpack {1} $M >/dev/null; echo $?; ls \
            -A $M; stat -c '%a %Y' $M",
        folder.display(),
        packed.display()
    );
    assert_eq!(in_a_mount_namespace(&script), ("0\na\n711 5\n".into(), String::new()));
}

#[test]
fn a_plain_user_fills_a_directory_of_their_own_and_no_other() {
    need!(root);
    let folder = scratch("own");
    let packed = folder.join("a.tar");
    // Fedora's and Docker's roots have such a proc: to be moved it must be writable for a moment.
    fs::write(
        &packed,
        tar([dir("./").mode(0o555).mtime(5), dir("proc").mode(0o555).mtime(6), file("proc/x", "")]),
    )
    .unwrap();
    let unpack = |to: &Path| {
        Rustic::command("rootfs")
            .nobody()
            .opt(["unpack", packed.to_str().unwrap(), to.to_str().unwrap()])
            .ran()
    };
    let theirs = folder.join("theirs");
    fs::create_dir(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).unwrap();
    let state =
        |path: &Path| fs::metadata(path).map(|stat| (stat.mode() & 0o7777, stat.mtime())).unwrap();
    for to in [theirs.join("new"), theirs.join("empty")] {
        if to.ends_with("empty") {
            host("install", ["-d", "-o", "65534", "-g", "65534", to.to_str().unwrap()]);
        }
        unpack(&to).ok();
        assert_eq!((state(&to), state(&to.join("proc"))), ((0o555, 5), (0o555, 6)), "{to:?}");
    }
    let roots = folder.join("roots");
    fs::create_dir(&roots).unwrap();
    host("chmod", ["777", roots.to_str().unwrap()]);
    unpack(&roots).fails(125, &["cannot unpack into", "EPERM", "it belongs to uid 0"]);
    assert_eq!(names_in(&roots), Vec::<String>::new());
}

#[test]
fn what_a_directory_would_pass_on_is_not_inherited_and_what_it_is_stays() {
    need!(root);
    let folder = scratch("inherit");
    let (packed, rooted) = (folder.join("a.tar"), folder.join("b.tar"));
    fs::write(&packed, tar([dir("d"), file("d/a", "x")])).unwrap();
    fs::write(&rooted, tar([dir("./").mode(0o750), dir("d"), file("d/a", "x")])).unwrap();
    let list = [
        2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 7, 0, 255, 255, 255, 255, 32, 0, 7, 0,
        255, 255, 255, 255,
    ];
    let into = |name: &str| {
        let into = folder.join(name);
        fs::create_dir(&into).unwrap();
        rustix::fs::setxattr(
            &into,
            "system.posix_acl_default",
            &list,
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        std::os::unix::fs::chown(&into, None, Some(50)).unwrap();
        host("chmod", ["2775", into.to_str().unwrap()]);
        into
    };
    let unpack = |packed: &Path, to: &Path| {
        Rustic::command("rootfs")
            .opt(["unpack", packed.to_str().unwrap(), to.to_str().unwrap()])
            .ran()
            .ok()
    };
    let (kept, told) = (into("kept"), into("told"));
    unpack(&packed, &kept);
    unpack(&rooted, &told);
    unpack(&packed, &kept.join("below"));
    let state = |path: PathBuf| {
        fs::metadata(&path)
            .map(|stat| {
                (stat.mode() & 0o7777, stat.gid(), crate::manifest::attributes(&path).len())
            })
            .unwrap()
    };
    assert_eq!(
        state(kept.clone()),
        (0o2775, 50, 1),
        "an archive without an entry for its root changes nothing of the directory"
    );
    assert_eq!(state(told.clone()), (0o750, 0, 0), "one with such an entry sets all of it");
    for root in [kept.clone(), told, kept.join("below")] {
        assert_eq!(
            (state(root.join("d")), state(root.join("d/a"))),
            ((0o755, 0, 0), (0o644, 0, 0)),
            "{root:?}"
        );
    }
}
