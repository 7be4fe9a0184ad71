//! Hard links that want to reach the host, or what is not there; symlinks as they are.

use super::bytes::{dir, file, hard, long, pax, raw, symlink, tar};
use super::{Case, Refused, case, tree};
use std::path::Path;

#[rustfmt::skip]
pub(super) fn cases(victim: &Path) -> Vec<Case> {
    let host = victim.to_str().unwrap();
    let file_of_host = format!("{host}/file");
    vec![
        case("a hard link to the host, absolute", tar([hard("a", &file_of_host)]), Refused("a", "which the archive has not made")),
        case("a hard link to the host, relative", tar([hard("a", "../victim/file")]), Refused("a", "a hard link that would lead outside")),
        case("a hard link out of a directory", tar([dir("d"), hard("d/a", "d/../../x")]), Refused("d/a", "a hard link that would lead outside")),
        case("a hard link through a symlink", tar([symlink("s", host), hard("a", "s/file")]), Refused("a", "is a symlink or no directory")),
        case("a hard link beside the root's name", tar([hard("a", "../out-evil/file")]), Refused("a", "would lead outside")),
        case("a hard link to a symlink is one, and a file over it cuts nothing", tar([symlink("s", &file_of_host), hard("a", "s"), file("a", "mine")]),
             tree(&[&format!("s symlink 777 0:0 1000 -> {file_of_host}"), "a file 644 0:0 1000 'mine'"])),
        case("a hard link to a deeper symlink", tar([dir("d"), symlink("d/s", &file_of_host), hard("a", "d/s"), hard("b", "a")]),
             tree(&[&format!("a symlink 777 0:0 1000 -> {file_of_host} x3"), &format!("b symlink 777 0:0 1000 -> {file_of_host} x3"),
                    "d dir 755 0:0 1000", &format!("d/s symlink 777 0:0 1000 -> {file_of_host} x3")])),
        case("a hard link to a directory", tar([dir("d"), hard("a", "d")]), Refused("a", "a hard link to 'd', which is a directory")),
        case("a hard link to the root", tar([hard("a", "./")]), Refused("a", "which is a directory")),
        case("a hard link to nothing", tar([hard("a", "")]), Refused("a", "a link to nothing")),
        case("a hard link to what is missing", tar([hard("a", "b")]), Refused("a", "a hard link to 'b', which the archive has not made")),
        case("a hard link into a directory that is missing", tar([hard("a", "d/b")]), Refused("a", "which the archive has not made")),
        case("a hard link to what comes later", tar([hard("a", "b"), file("b", "x")]), Refused("a", "which the archive has not made")),
        case("a hard link to itself", tar([hard("a", "a")]), Refused("a", "which the archive has not made")),
        case("a hard link of a file to itself", tar([file("a", "x"), hard("a", "a")]), tree(&["a file 644 0:0 1000 'x'"])),
        case("hard links in a circle", tar([hard("a", "b"), hard("b", "a")]), Refused("a", "which the archive has not made")),
        case("a hard link with content", tar([file("a", "x"), hard("b", "a").content("more")]), Refused("b", "content, which its kind of entry has not")),
        case("a hard link with a length in pax", tar([file("a", "x"), pax(&[("size", b"512")]), hard("b", "a")]), Refused("b", "content, which")),
        case("a hard link over a file", tar([file("a", "x"), file("b", "y"), hard("b", "a")]), tree(&["a file 644 0:0 1000 'x' x2", "b file 644 0:0 1000 'x' x2"])),
        case("a hard link with a length and no content", tar([file("a", "x"), hard("b", "a").size(700), file("c", "y")]), tree(&["a file 644 0:0 1000 'x' x2", "b file 644 0:0 1000 'x' x2", "c file 644 0:0 1000 'y'"])),
        case("a hard link with a length and no content, the last", tar([file("a", "x"), hard("b", "a").size(1)]), tree(&["a file 644 0:0 1000 'x' x2", "b file 644 0:0 1000 'x' x2"])),
        case("a hard link with a length behind a pax header", tar([pax(&[("comment", b"x")]), file("a", "x"), hard("b", "a").size(512), file("c", "y")]), Refused("b", "content, which")),
        case("a symlink with a length and no content", tar([symlink("a", "b").size(512), file("c", "y")]), Refused("a", "content, which")),
        case("a hard link over an empty directory", tar([file("a", "x"), dir("b"), hard("b", "a")]), tree(&["a file 644 0:0 1000 'x' x2", "b file 644 0:0 1000 'x' x2"])),
        case("a hard link over a directory", tar([file("a", "x"), file("b/c", "y"), hard("b", "a")]), Refused("b", "the place of a directory that is not empty")),
        case("a hard link by an absolute name", tar([file("bin/x", "x"), hard("y", "/bin/x")]),
             tree(&["bin dir 755 0:0 now", "bin/x file 644 0:0 1000 'x' x2", "y file 644 0:0 1000 'x' x2"])),
        case("a hard link to a fifo", tar([raw(b'6', "p"), hard("q", "p")]), tree(&["p fifo 644 0:0 1000 x2", "q fifo 644 0:0 1000 x2"])),
        case("a file over one of two names", tar([file("a", "x"), hard("b", "a"), file("b", "y")]), tree(&["a file 644 0:0 1000 'x'", "b file 644 0:0 1000 'y'"])),
        case("a file over the first of two names", tar([file("a", "x"), hard("b", "a"), file("a", "y")]), tree(&["a file 644 0:0 1000 'y'", "b file 644 0:0 1000 'x'"])),
        case("a hard link changes no directory's time", tar([dir("d").mtime(5), file("d/a", "x"), dir("e").mtime(6), hard("e/b", "d/a")]),
             tree(&["d dir 755 0:0 5", "d/a file 644 0:0 1000 'x' x2", "e dir 755 0:0 6", "e/b file 644 0:0 1000 'x' x2"])),
        case("a long link by GNU", tar([long(b'K', b"t".repeat(150)), symlink("a", "").gnu()]), tree(&[format!("a symlink 777 0:0 1000 -> {}", "t".repeat(150))])),
        case("a long link by pax", tar([pax(&[("linkpath", &b"t".repeat(150))]), symlink("a", "short")]), tree(&[format!("a symlink 777 0:0 1000 -> {}", "t".repeat(150))])),

        case("a symlink keeps its target", tar([symlink("a", "/etc/passwd"), symlink("b", "../../.."), symlink("c", "//x/./y/")]),
             tree(&["a symlink 777 0:0 1000 -> /etc/passwd", "b symlink 777 0:0 1000 -> ../../..", "c symlink 777 0:0 1000 -> //x/./y/"])),
        case("a symlink to nothing", tar([symlink("a", "")]), Refused("a", "a link to nothing")),
        case("a symlink with content", tar([symlink("a", "b").content("more")]), Refused("a", "content, which")),
        case("a symlink with a slash behind it", tar([symlink("a/", "b")]), tree(&["a symlink 777 0:0 1000 -> b"])),
        case("a symlink's target of more than 4095 bytes", tar([pax(&[("linkpath", &b"t".repeat(4096))]), symlink("a", "")]), Refused("a", "a link target of more than 4095")),
        case("a symlink's target with a NUL in pax", tar([pax(&[("linkpath", b"a\0b")]), symlink("a", "")]), Refused("a", "a NUL byte inside a name")),
    ]
}
