//! What is read: a fifo, and what the report of an unpack says.

use super::{many_files, rootfs, trees};
use crate::corpus::bytes::{dir, file, symlink, tar};
use crate::need;
use crate::support::{Rustic, binary, host, scratch};
use std::fs;

#[test]
fn a_report_says_what_was_made_and_what_was_left_out() {
    need!(root);
    let folder = scratch("report");
    let packed = folder.join("a.tar");
    let device = crate::corpus::bytes::node(b'3', "null", 1, 3);
    fs::write(
        &packed,
        tar([dir("d").owner(5, 5), file("d/a", "12345").owner(7, 7), symlink("s", "t"), device]),
    )
    .unwrap();
    let out = |name: &str| folder.join(name).display().to_string();
    let text = Rustic::command("rootfs")
        .opt(["unpack", packed.to_str().unwrap(), &out("root")])
        .ran()
        .ok();
    assert!(
        text.ends_with("\n  1 file, 1 directory, 1 symlink, 1 device, 5 B\n")
            && text.contains("from 3.5 KiB of tar"),
        "{text}"
    );
    std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
    let text = Rustic::command("rootfs")
        .nobody()
        .opt(["unpack", packed.to_str().unwrap(), &out("nobody")])
        .ran()
        .ok();
    assert!(text.contains("left out: 1 device") && text.contains("2 other owners"), "{text}");
    let json = Rustic::command("rootfs")
        .opt(["unpack", "--json", packed.to_str().unwrap(), &out("json")])
        .ran()
        .ok();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&value["format"], &value["archive_bytes"], &value["report"]["bytes"]),
        (&"tar".into(), &3584.into(), &5.into())
    );
}

#[test]
fn a_fifo_is_read_once_and_a_directory_is_none() {
    need!(root);
    let folder = scratch("fifo");
    let packed = many_files(&folder, 10);
    let store = folder.join("store");
    let script = format!(
        "{0} rootfs import --store {1} x <(cat {2}) && {0} rootfs unpack <(cat {2}) {3}",
        binary().display(),
        store.display(),
        packed.display(),
        folder.join("out").display()
    );
    let text = host("bash", ["-c", &script]);
    assert!(text.contains("x: ") && folder.join("out/d0/f9").exists(), "{text}");
    rootfs(&store, &["import", "y", packed.to_str().unwrap()]).ran().ok();
    assert_eq!(trees(&store).len(), 1, "the same bytes are the same image");
    rootfs(&store, &["import", "z", folder.to_str().unwrap()])
        .ran()
        .fails(125, &["is a directory, not an archive"]);
    rootfs(&store, &["import", "z", "/nonexistent"])
        .ran()
        .fails(125, &["cannot read /nonexistent: ENOENT"]);
}
