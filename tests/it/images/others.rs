//! What is no image: a root one level down, a layer alone, other kinds of file.

use super::{Image, listed, packed, unpacked};
use crate::corpus::bytes::{dir, file, hard, symlink};
use crate::corpus::gzip;
use crate::need;
use crate::support::{Rustic, scratch};
use std::fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn a_root_one_level_down_and_a_layer_are_told_and_sub_takes_the_one() {
    need!(root);
    let entries = |top: &str| {
        let at = |name: &str| format!("{top}{name}");
        vec![
            file("metadata.yaml", "architecture: x"),
            dir(at("")).mode(0o711),
            dir(at("bin")),
            file(at("bin/x"), "1"),
            hard(at("bin/y"), at("bin/x")),
            symlink(at("bin/s"), "/bin/x"),
        ]
    };
    for top in ["rootfs/", "./rootfs/", "/rootfs/"] {
        let archive = super::layer(&entries(top));
        let said = unpacked(&archive, &[]).0.ok();
        assert!(said.contains("seems to lie in 'rootfs': --sub rootfs takes it"), "{said}");
        for sub in ["rootfs", "./rootfs/", "/rootfs"] {
            let (ran, tree) = unpacked(&archive, &["--sub", sub]);
            assert_eq!(listed(&tree), ["bin/", "bin/s->/bin/x", "bin/x=1 x2", "bin/y=1 x2"]);
            let said = ran.ok();
            assert!(
                said.contains("left out: 1 entry outside") && !said.contains("seems"),
                "{said}"
            );
            assert_eq!(fs::metadata(&tree).unwrap().mode() & 0o7777, 0o711);
        }
        let (ran, tree) = unpacked(&archive, &["--sub", "root"]);
        ran.fails(125, &["there is no directory 'root' in it"]);
        assert!(!tree.exists());
    }
    let outside = [file("a", "1"), dir("r"), hard("r/b", "a")];
    unpacked(&super::layer(&outside), &["--sub", "r"])
        .0
        .fails(125, &["'r/b'", "a hard link to 'a', which lies outside"]);
    for (name, what) in [("f", file("f", "1")), ("l", symlink("l", "r"))] {
        unpacked(&super::layer(&[dir("r"), what]), &["--sub", name])
            .0
            .fails(125, &[&format!("'{name}' in it is no directory")]);
    }
    for wrong in ["", "/", ".", "../x"] {
        unpacked(&super::layer(&outside), &["--sub", wrong]).0.fails(125, &["--sub"]);
    }
    // The control: a whole root says nothing.
    let whole = [dir("bin"), dir("rootfs"), file("bin/x", "1")];
    assert!(!unpacked(&super::layer(&whole), &[]).0.ok().contains("seems"));
    let layer = [dir("etc"), file("etc/.wh.hosts", ""), file("etc/.wh..wh..opq", "")];
    let said = unpacked(&super::layer(&layer), &[]).0.ok();
    assert!(said.contains("names of whiteouts: 2; it seems to be a layer"), "{said}");
    // And of an image in layers they are none.
    assert!(
        !unpacked(&packed(&Image::new(&[&[file("a", "1")], &[file(".wh.a", "")]]).layout()), &[])
            .0
            .ok()
            .contains("seems")
    );
}

#[test]
fn sub_is_the_root_of_a_run_too() {
    need!(root);
    let busybox = fs::read("/bin/busybox").unwrap();
    let entries = [
        dir("r/bin"),
        file("r/bin/busybox", busybox).mode(0o755),
        file("r/mark", "here"),
        dir("r/etc"),
        file("r/etc/passwd", "joe:x:7:8::/:/bin/sh\n"),
    ];
    let folder = scratch("sub");
    let archive = folder.join("root.tar");
    fs::write(&archive, super::layer(&entries)).unwrap();
    let archive = archive.to_str().unwrap();
    let run = |words: &[&str]| {
        let store = folder.join("store");
        let options = ["--store", store.to_str().unwrap(), "--rootfs", archive];
        Rustic::run().opt(options).opt(words.iter().copied()).ran()
    };
    let whole = run(&["/r/bin/busybox", "cat", "/r/mark"]);
    assert!(whole.stderr.contains("--sub r takes it") && whole.stdout == "here", "{whole:?}");
    for more in [&[][..], &["--mount", "no"], &["--uid", "joe"]] {
        let words = [&["--sub", "r"], more, &["busybox", "cat", "/mark"]].concat();
        let ran = run(&words);
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("here", ""), "{more:?}");
    }
    // What is read once is known, and what makes nothing asks the archive.
    assert_eq!(fs::read_dir(folder.join("store/seen")).unwrap().count(), 1);
    let new = folder.join("new");
    let dry = ["--store", new.to_str().unwrap(), "--rootfs", archive, "--sub", "r", "--uid", "joe"];
    let steps = Rustic::run().opt(dry).opt(["--dry-run", "busybox"]).ran().ok();
    assert!(steps.contains("setresuid(7") && !new.join("roots").exists(), "{steps}");
    // In the container's own tmpfs, where there is no store.
    let ran = Rustic::run()
        .nobody()
        .opt(["--rootfs", archive, "--sub", "r", "--uid", "0", "busybox", "cat", "/mark"])
        .ran();
    assert_eq!(ran.stdout, "here", "{ran:?}");
    Rustic::run().opt(["--sub", "r", "true"]).ran().fails(125, &["--sub", "no archive"]);
}

#[test]
fn another_kind_of_file_is_named_with_what_makes_a_root_of_it() {
    need!(root);
    let at = |at: usize, magic: &[u8]| {
        let mut bytes = vec![0; 70_000];
        bytes[at..at + magic.len()].copy_from_slice(magic);
        bytes
    };
    let folder = scratch("kinds");
    let file = folder.join("other");
    for (bytes, words) in [
        (at(0, b"hsqs"), ["a squashfs image", "sqfs2tar"]),
        (at(1080, b"\x53\xef"), ["an ext2, ext3 or ext4 file system", "mount -o loop,ro"]),
        (at(32_769, b"CD001"), ["an ISO 9660 image", "bsdtar"]),
        (at(0, b"PK\x03\x04"), ["a zip archive", "bsdtar"]),
        (at(0, b"070701"), ["a cpio archive", "bsdtar"]),
        (at(0, b"\x04\x22\x4d\x18"), ["compressed by lz4", "lz4 -dc"]),
        (gzip(&at(0, b"070701")), ["a cpio archive inside gz", "bsdtar"]),
        (at(0, b""), ["an empty disk", "a tar archive"]),
        (b"!<arch>\ndebian-binary   ".to_vec(), ["a Debian package", "dpkg-deb"]),
    ] {
        fs::write(&file, bytes).unwrap();
        let words_of_it = ["import", "x", file.to_str().unwrap()];
        let store = folder.join("store");
        let options = ["--store", store.to_str().unwrap()];
        Rustic::command("rootfs").opt(words_of_it).opt(options).ran().fails(125, &words);
        Rustic::run()
            .opt(options)
            .opt(["--rootfs", file.to_str().unwrap(), "true"])
            .ran()
            .fails(125, &words);
    }
}
