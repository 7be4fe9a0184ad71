//! The archive that an image comes in says nothing of the image's own files.

use super::{Image, listed, packed, sha256, unpacked, with_index};
use crate::corpus::bytes::{Raw, dir, file, pax};
use crate::corpus::gzip;
use crate::manifest::attributes;
use crate::need;
use crate::support::{NOBODY, Rustic, scratch};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

/// The layout of an image as an archive, with its own directories in front.
fn wrapped(image: &Image, directories: &[Raw], mode: u64) -> Vec<u8> {
    let mut entries = directories.to_vec();
    for (name, content) in image.layout() {
        entries.push(file(name, content).mode(mode));
    }
    super::layer(&entries)
}

#[test]
fn the_top_of_the_archive_is_not_the_root_of_the_image() {
    need!(root);
    let image = Image::new(&[&[dir("d"), file("d/a", "1")]]);
    let acl = b"user::rwx\nuser:1001:rwx\ngroup::r-x\nmask::rwx\nother::r-x\n";
    let top = [
        pax(&[("SCHILY.xattr.user.q", b"1"), ("SCHILY.acl.default", acl)]),
        dir("./").owner(1000, 1000).mode(0o2770).mtime(5),
    ];
    let (ran, tree) = unpacked(&wrapped(&image, &top, 0o644), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let stat = fs::metadata(&tree).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid(), stat.mtime()), (0o755, 0, 0, 0));
    for path in [&tree, &tree.join("d"), &tree.join("d/a")] {
        assert!(attributes(path).is_empty(), "{} {:?}", path.display(), attributes(path));
    }
    // The control: of a root file system it is the root.
    let (ran, tree) = unpacked(&super::layer(&[top[0].clone(), top[1].clone(), dir("etc")]), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let found = attributes(&tree);
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["system.posix_acl_default", "user.q"]);
    assert_eq!(fs::metadata(&tree).unwrap().mode() & 0o7777, 0o2770);
}

#[test]
fn the_root_has_the_time_that_the_layers_say() {
    need!(root);
    let image = Image::new(&[&[dir("./").mode(0o711).mtime(1_234_567_890), file("a", "1")]]);
    let (ran, tree) = unpacked(&packed(&image.layout()), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let stat = fs::metadata(&tree).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o711, 1_234_567_890));
}

#[test]
fn a_plain_user_takes_an_image_out_of_closed_directories() {
    need!(root);
    let image = Image::new(&[&[file("a", "1")]]);
    let names = ["./", "blobs/", "blobs/sha256/"];
    for (mode, file_mode, code) in [(0o555, 0o444, 0), (0o000, 0o444, 0), (0o755, 0o000, 125)] {
        let top = names.map(|name| dir(name).mode(mode));
        let folder = scratch("closed");
        chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        let (from, to) = (folder.join("image.tar"), folder.join("tree"));
        fs::write(&from, wrapped(&image, &top, file_mode)).unwrap();
        let words = ["unpack", from.to_str().unwrap(), to.to_str().unwrap()];
        let ran = Rustic::command("rootfs").nobody().opt(words).ran();
        assert_eq!(ran.code, code, "{mode:o} {file_mode:o} {ran:?}");
        match code {
            0 => assert_eq!(listed(&to), ["a=1"], "{mode:o}"),
            // What cannot be read is no reason to take the files for something else.
            _ => assert!(ran.stderr.contains("EACCES") && !to.exists(), "{ran:?}"),
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2 - usize::from(code != 0));
    }
}

/// A layout with one layer, as it is in its blob and as it is not compressed.
fn of_layer(blob: &[u8], plain: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut put = |bytes: Vec<u8>| {
        let digest = sha256(&bytes);
        files.insert(format!("blobs/sha256/{digest}"), bytes);
        json!({ "digest": format!("sha256:{digest}") })
    };
    let ids = json!([format!("sha256:{}", sha256(plain))]);
    let config = put(json!({ "os": "linux", "rootfs": { "diff_ids": ids } }).to_string().into());
    let layer = put(blob.to_vec());
    let manifest = put(json!({ "config": config, "layers": [layer] }).to_string().into());
    with_index(files, &[manifest])
}

#[test]
fn a_layer_ends_as_its_maker_has_ended_it() {
    need!(root);
    let entries: Vec<u8> = file("a", "1").bytes();
    let whole = [&entries[..], &[0; 1024]].concat();
    let behind = [&whole[..], b"and more"].concat();
    let one_block = [&entries[..], &[0; 512]].concat();
    for plain in [&entries, &whole, &behind, &one_block] {
        for blob in [gzip(plain), plain.clone()] {
            let (ran, tree) = unpacked(&packed(&of_layer(&blob, plain)), &[]);
            assert_eq!(ran.code, 0, "{} bytes: {ran:?}", plain.len());
            assert_eq!(listed(&tree), ["a=1"]);
        }
    }
    let (ran, tree) = unpacked(&packed(&of_layer(&gzip(&[]), &[])), &[]);
    assert!(ran.code == 0 && listed(&tree).is_empty(), "{ran:?}");
    // Within an entry it is no end.
    let cut = &entries[..700];
    let (ran, tree) = unpacked(&packed(&of_layer(&gzip(cut), cut)), &[]);
    ran.fails(125, &["layer 1", "cut short"]);
    assert!(!tree.exists());
}

#[test]
fn what_a_layer_says_of_a_directory_is_all_that_is_said_of_it() {
    need!(root);
    let with = |name: &str| pax(&[(&format!("SCHILY.xattr.user.{name}"), b"1")]);
    let image = Image::new(&[&[with("a"), dir("d"), file("d/x", "1")], &[with("b"), dir("d")]]);
    let (ran, tree) = unpacked(&packed(&image.layout()), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let found = attributes(&tree.join("d"));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["user.b"]);
    assert_eq!(listed(&tree), ["d/", "d/x=1"]);
}

#[test]
fn a_list_by_name_stays_with_its_file_through_the_layers() {
    need!(root);
    let list = b"user::rw-,user:lisa:r--,group::r--,mask::r--,other::---";
    let first = [
        dir("d"),
        pax(&[("SCHILY.acl.access", list)]),
        file("d/a", "x"),
        dir("e"),
        file("e/f", ""),
    ];
    let passwd = [dir("etc"), file("etc/passwd", "lisa:x:9:9::/:/bin/sh")];
    let replaced = [crate::corpus::bytes::hard("b", "d/a"), file("d/a", "y")];
    let gone = [file(".wh.d", ""), file("c", "z")];
    let image = Image::new(&[&first, &replaced, &gone, &passwd]);
    let (ran, tree) = unpacked(&packed(&image.layout()), &[]);
    assert!(ran.ok().contains("1 extended attribute"));
    let lists = |name: &str| attributes(&tree.join(name)).len();
    assert_eq!((lists("b"), lists("c"), lists("e/f")), (1, 0, 0));
}

#[test]
fn a_layer_of_another_kind_of_file_is_named() {
    need!(root);
    let mut disk = vec![0; 70_000];
    disk[1080..1082].copy_from_slice(b"\x53\xef");
    for blob in [disk.clone(), gzip(&disk)] {
        let (ran, tree) = unpacked(&packed(&of_layer(&blob, &disk)), &[]);
        ran.fails(125, &["layer 1", "ext4 file system, and no layer"]);
        assert!(!tree.exists());
    }
}
