//! Names that climb, names that lead through a symlink, names that are too long, and a root that is
//! no directory.

use super::bytes::{Raw, dir, file, hard, long, node, pax, raw, symlink, tar};
use super::{Case, Refused, case, tree};
use std::path::Path;

const CLIMBS: &str = "'..' in a name would lead outside";
const BENEATH: &str = "is a symlink or no directory";
const ROOT: &str = "the root itself can only be a directory";

/// A flat table, an entry a case.
#[rustfmt::skip]
pub(super) fn cases(victim: &Path) -> Vec<Case> {
    let host = victim.to_str().unwrap();
    let chain: Vec<u8> = (0..45).flat_map(|hop| symlink(format!("hop{hop}"), format!("hop{}", hop + 1)).bytes()).collect();
    // CVE-2025-4517: a path that is longer than PATH_MAX when its symlinks are resolved.
    let long_way: Vec<Raw> = (0..16).flat_map(|level| {
        let at = format!("{}{}", "d/".repeat(level), char::from(b'A' + level as u8));
        [dir(format!("{}d", "d/".repeat(level))), symlink(at, "d")]
    }).collect();
    let long_way: Vec<u8> = long_way.iter().flat_map(Raw::bytes).collect();
    vec![
        case("climbs", tar([file("../out", "x")]), Refused("../out", CLIMBS)),
        case("climbs from within", tar([file("a/../../out", "x")]), Refused("a/../../out", CLIMBS)),
        case("climbs and stays inside", tar([dir("a"), file("a/../b", "x")]), Refused("a/../b", CLIMBS)),
        case("climbs by slashes", tar([file("//..//out", "x")]), Refused("//..//out", CLIMBS)),
        case("climbs absolutely", tar([file("/../out", "x")]), Refused("/../out", CLIMBS)),
        case("the parent as a directory", tar([dir("..").mode(0o777)]), Refused("..", CLIMBS)),
        case("the parent by way of a directory", tar([dir("a"), dir("a/..").mode(0o777)]), Refused("a/..", CLIMBS)),
        case("climbs in the prefix", tar([file("out", "x").field(345, "..")]), Refused("../out", CLIMBS)),
        case("climbs in pax", tar([pax(&[("path", b"../out")]), file("ok", "x")]), Refused("../out", CLIMBS)),
        case("climbs in a GNU long name", tar([long(b'L', "../out"), file("ok", "x").gnu()]), Refused("../out", CLIMBS)),
        case("climbs as a directory's name", tar([dir("a/b/../../../out")]), Refused("a/b/../../../out", CLIMBS)),
        case("climbs as a symlink's name", tar([symlink("../out", "x")]), Refused("../out", CLIMBS)),
        case("an absolute name is the root's", tar([file("/a", "x")]), tree(&["a file 644 0:0 1000 'x'"])),
        case("dots and slashes are nothing", tar([dir("./"), file(".//./a//b", "x")]),
             tree(&[". dir 755 0:0 1000", "a dir 755 0:0 now", "a/b file 644 0:0 1000 'x'"])),
        case("more dots are a name", tar([file("...", "x"), file("..a", "y")]),
             tree(&["... file 644 0:0 1000 'x'", "..a file 644 0:0 1000 'y'"])),
        case("a backslash is a letter", tar([file("a\\..\\b", "x")]), tree(&["a\\\\..\\\\b file 644 0:0 1000 'x'"])),
        case("control characters and bytes that are no text", tar([file(b"\x1b[2J\n\xff", "x")]), tree(&["\\x1b[2J\\n\\xff file 644 0:0 1000 'x'"])),
        case("a whiteout is a file", tar([file("a/.wh.b", ""), file("a/b", "x")]),
             tree(&["a dir 755 0:0 now", "a/.wh.b file 644 0:0 1000 ''", "a/b file 644 0:0 1000 'x'"])),
        case("no name", tar([file("", "x")]), Refused("", "no name")),
        case("a prefix and a name", tar([file("b", "x").field(345, "a")]), tree(&["a dir 755 0:0 now", "a/b file 644 0:0 1000 'x'"])),
        case("a prefix under a version that is none", tar([file("b", "x").field(345, "a").field(263, [0; 2])]), tree(&["a dir 755 0:0 now", "a/b file 644 0:0 1000 'x'"])),
        case("GNU has no prefix there", tar([file("b", "x").gnu().field(345, "00000000000\0")]), tree(&["b file 644 0:0 1000 'x'"])),
        case("a name that fills its field", tar([file("n".repeat(100), "")]),
             tree(&["nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn file 644 0:0 1000 ''"])),
        case("a component of 256 bytes", tar([pax(&[("path", &[b'n'; 256])]), file("x", "")]), Refused(LONG_SHOWN, "more than 255 bytes")),
        case("a path of more than 4095 bytes", tar([pax(&[("path", &b"p/".repeat(2100))]), dir("x")]), Refused(DEEP_SHOWN, "more than 4095 bytes")),
        case("deeper than 256", tar([pax(&[("path", &b"p/".repeat(257))]), dir("x")]), Refused(DEEP_SHOWN, "deeper than 256")),
        case("a way longer than PATH_MAX through symlinks", [long_way, tar([symlink("out", "A/B/C"), file("out/x", "")])].concat(), Refused("out/x", BENEATH)),

        case("a file through a symlink", tar([symlink("a", host), file("a/new", "x")]), Refused("a/new", BENEATH)),
        case("a directory through a symlink", tar([symlink("a", host), dir("a/new")]), Refused("a/new", BENEATH)),
        case("an existing directory through a symlink", tar([symlink("a", host), dir("a/sub").mode(0)]), Refused("a/sub", BENEATH)),
        case("a symlink through a symlink", tar([symlink("a", host), symlink("a/new", "x")]), Refused("a/new", BENEATH)),
        case("a fifo through a symlink", tar([symlink("a", host), raw(b'6', "a/new")]), Refused("a/new", BENEATH)),
        case("an implied directory through a symlink", tar([symlink("a", host), file("a/b/c/d", "x")]), Refused("a/b/c/d", BENEATH)),
        case("two hops", tar([symlink("a", "b"), symlink("b", host), file("a/new", "x")]), Refused("a/new", BENEATH)),
        case("forty-five hops", [chain, tar([symlink("hop45", host), file("hop0/new", "x")])].concat(), Refused("hop0/new", BENEATH)),
        case("through a symlink to the root itself", tar([symlink("a", "."), file("a/new", "x")]), Refused("a/new", BENEATH)),
        case("through a symlink that stays inside", tar([dir("usr"), symlink("lib", "usr"), file("lib/x", "x")]), Refused("lib/x", BENEATH)),
        case("through /proc/self/cwd", tar([symlink("a", "/proc/self/cwd"), file("a/new", "x")]), Refused("a/new", BENEATH)),
        case("through a dangling symlink", tar([symlink("a", "nowhere"), file("a/new", "x")]), Refused("a/new", BENEATH)),
        case("through a looping symlink", tar([symlink("a", "a"), file("a/new", "x")]), Refused("a/new", BENEATH)),
        case("through a symlink deep inside", tar([dir("a"), dir("a/b"), symlink("a/b/c", host), file("a/b/c/new", "x")]), Refused("a/b/c/new", BENEATH)),
        case("a directory takes a symlink's place", tar([symlink("a", host), dir("a"), file("a/file", "mine")]),
             tree(&["a dir 755 0:0 1000", "a/file file 644 0:0 1000 'mine'"])),
        case("a directory with a slash takes a symlink's place", tar([symlink("a", host), dir("a/").mode(0o700)]), tree(&["a dir 700 0:0 1000"])),
        case("a file takes a symlink's place", tar([symlink("a", format!("{host}/file")), file("a", "mine")]), tree(&["a file 644 0:0 1000 'mine'"])),
        case("a fifo takes a symlink's place", tar([symlink("a", format!("{host}/file")), raw(b'6', "a")]), tree(&["a fifo 644 0:0 1000"])),
        case("a symlink takes a file's place", tar([file("a", "x"), symlink("a", "b")]), tree(&["a symlink 777 0:0 1000 -> b"])),
        case("a symlink takes a directory's place", tar([dir("a"), symlink("a", host), file("a/new", "x")]), Refused("a/new", "is a symlink or no directory")),
        case("a symlink takes the place of a directory that is not empty", tar([dir("a"), file("a/b", "x"), symlink("a", host)]), Refused("a", "the place of a directory that is not empty")),
        case("a symlink takes the place of a closed directory", tar([dir("a").mode(0o500), symlink("a", "b")]), tree(&["a symlink 777 0:0 1000 -> b"])),
        case("a symlink takes the place of a directory that is named again", tar([dir("b"), dir("a"), symlink("a", "b"), dir("a"), file("a/c", "x")]), tree(&["a dir 755 0:0 1000", "a/c file 644 0:0 1000 'x'", "b dir 755 0:0 1000"])),
        case("a file takes a directory's place", tar([dir("a"), file("a", "x")]), tree(&["a file 644 0:0 1000 'x'"])),
        case("a device takes an implied directory's place", tar([file("a/b", "x"), raw(b'6', "a")]), Refused("a", "the place of a directory")),
        case("a directory takes a file's place", tar([file("a", "x"), dir("a")]), tree(&["a dir 755 0:0 1000"])),
        case("in a file", tar([file("a", "x"), file("a/b", "y")]), Refused("a/b", BENEATH)),
        case("in a fifo", tar([raw(b'6', "a"), file("a/b", "y")]), Refused("a/b", BENEATH)),
        case("in what is a device for root and nothing for nobody, under its own name", tar([node(b'3', "null", 1, 3), file("other", "y")]),
             tree(&["null char 644 0:0 1000 1:3", "other file 644 0:0 1000 'y'"])),

        case("the root as a symlink", tar([symlink(".", host), file("new", "x")]), Refused(".", ROOT)),
        case("the root as a symlink with a slash", tar([symlink("./", host), file("new", "x")]), Refused("./", ROOT)),
        case("the absolute root as a symlink", tar([symlink("/", host)]), Refused("/", ROOT)),
        case("the root as a file", tar([file(".", "x")]), Refused(".", ROOT)),
        case("the root as a hard link", tar([file("a", "x"), hard("./", "a")]), Refused("./", ROOT)),
        case("the root as a fifo", tar([raw(b'6', ".")]), Refused(".", ROOT)),
        case("the root as a device", tar([node(b'3', ".", 1, 3)]), Refused(".", ROOT)),
        case("the root closed to others", tar([dir(".").mode(0o700).mtime(5), file("a", "x")]), tree(&[". dir 700 0:0 5", "a file 644 0:0 1000 'x'"])),
        case("the root named last and without a right", tar([file("a", "x"), dir("./").mode(0o700).mtime(7)]), tree(&[". dir 700 0:0 7", "a file 644 0:0 1000 'x'"])),
    ]
}

/// Names are shown up to 200 characters.
const LONG_SHOWN: &str = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";
const DEEP_SHOWN: &str = "p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/p/";
