//! Extended headers: those that contradict the header, each other, or their own length. What two
//! readers could take in two ways is refused.

use super::bytes::{
    dir, file, global, long, open_ended, pax, pax_bytes, raw, record, symlink, tar,
};
use super::{Case, Damaged, Refused, case, tree};

const X: &str = "PaxHeaders/x";
const RECORD: &str = "a damaged record in its extended header";

/// A flat table, an entry a case.
#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    vec![
        case("pax tells all", tar([pax(&[("path", b"real"), ("uid", b"70000"), ("gid", b"70001"), ("mtime", b"12.75"), ("atime", b"1"), ("ctime", b"2"), ("uname", b"u"), ("gname", b"g"), ("comment", b"c")]), file("header", "x")]),
             tree(&["real file 644 70000:70001 12 'x'"])),
        case("a length in pax above the header's", tar([pax(&[("size", b"3")]), file("a", "").content("abc").size(0), file("b", "y")]), tree(&["a file 644 0:0 1000 'abc'", "b file 644 0:0 1000 'y'"])),
        // A reader that believes the header takes the second block for an entry of its own.
        case("a length in pax that hides an entry", tar([pax(&[("size", b"512")]), file("a", file("hidden", "").bytes()).size(0)]), tree(&["a file 644 0:0 1000 512 bytes"])),
        case("a length in pax that shows an entry", tar([pax(&[("size", b"0")]), file("a", file("shown", "").bytes())]), tree(&["a file 644 0:0 1000 ''", "shown file 644 0:0 1000 ''"])),
        case("a length in pax below zero", tar([pax(&[("size", b"-1")]), file("a", "")]), Refused("a", "its size is not a number")),
        case("a length in pax with a sign", tar([pax(&[("size", b"+1")]), file("a", "x")]), Refused("a", "its size is not a number")),
        case("a length in pax with a space", tar([pax(&[("size", b" 1")]), file("a", "x")]), Refused("a", "its size is not a number")),
        case("a length in pax in hexadecimal", tar([pax(&[("size", b"0x1")]), file("a", "x")]), Refused("a", "its size is not a number")),
        case("a length in pax of 2^64", tar([pax(&[("size", b"18446744073709551616")]), file("a", "x")]), Refused("a", "its size is not a number")),
        case("a length in pax of 2^64-1", tar([pax(&[("size", b"18446744073709551615")]), file("a", "x")]), Refused("a", "its size is not a number")),
        case("a length in pax twice", tar([pax(&[("size", b"1"), ("size", b"0")]), file("a", "x")]), Refused("a", "the record size twice")),
        case("a name in pax twice", tar([pax(&[("path", b"b"), ("path", b"c")]), file("a", "x")]), Refused("a", "the record path twice")),
        case("a name in pax with a NUL", tar([pax(&[("path", b"b\0c")]), file("a", "x")]), Refused("a", "a NUL byte inside a name")),
        case("a name in pax that is empty", tar([pax(&[("path", b"")]), file("a", "x")]), Refused("a", "it has no name")),
        case("a name in pax with a newline", tar([pax(&[("path", b"b\nc")]), file("a", "x")]), tree(&["b\\nc file 644 0:0 1000 'x'"])),
        case("a name in pax with an equals sign", tar([pax(&[("path", b"b=c=d")]), file("a", "x")]), tree(&["b=c=d file 644 0:0 1000 'x'"])),
        case("an owner in pax of 2^32", tar([pax(&[("uid", b"4294967296")]), file("a", "x")]), Refused("a", "4294967296 is no user or group id")),
        case("an owner in pax of 2^32-1", tar([pax(&[("gid", b"4294967295")]), file("a", "x")]), Refused("a", "4294967295 is no user or group id")),
        case("an owner in pax below zero", tar([pax(&[("uid", b"-1")]), file("a", "x")]), Refused("a", "its owner is not a number")),
        case("a time in pax before 1970", tar([pax(&[("mtime", b"-2.5")]), file("a", "x")]), tree(&["a file 644 0:0 -3 'x'"])),
        case("a time in pax that is none", tar([pax(&[("mtime", b"nan")]), file("a", "x")]), Refused("a", "its modification time is not a number")),
        case("a time in pax with an exponent", tar([pax(&[("mtime", b"1e3")]), file("a", "x")]), Refused("a", "its modification time is not a number")),
        case("a time in pax of 2^60", tar([pax(&[("mtime", b"1152921504606846976")]), file("a", "x")]), Refused("a", "a modification time that this file system cannot hold")),

        case("a record that is not known", tar([pax(&[("VENDOR.magic", b"1")]), file("a", "x")]), Refused("a", "a record that is not known (VENDOR.magic)")),
        case("records of star and of Go, which say nothing of the entry", tar([super::bytes::global(&[("SCHILY.release", b"star 1.5"), ("SCHILY.archtype", b"xustar"), ("SCHILY.volhdr.dumpdate", b"0")]), pax(&[("GOLANG.pkg", b"tar"), ("comment", b"x")]), file("a", "x")]), tree(&["a file 644 0:0 1000 'x'"])),
        case("a list of NFSv4's, and what Windows keeps", tar([pax(&[("SCHILY.acl.ace", b"owner@:r::allow"), ("MSWINDOWS.rawsd", b"x")]), file("a", "x")]), tree(&["a file 644 0:0 1000 'x'"])),
        case("a record in capitals", tar([pax(&[("PATH", b"b")]), file("a", "x")]), Refused("a", "a record that is not known (PATH)")),
        case("a character set that is known", tar([pax(&[("hdrcharset", b"BINARY"), ("path", b"\xff")]), file("a", "x")]), tree(&["\\xff file 644 0:0 1000 'x'"])),
        case("a character set that is not", tar([pax(&[("hdrcharset", b"EBCDIC")]), file("a", "x")]), Refused("a", "a record that is not known (hdrcharset=EBCDIC)")),
        case("a record that is cut", tar([pax_bytes("20 path=b\n"), file("a", "x")]), Refused("a", RECORD)),
        case("a record that is too short", tar([pax_bytes("9 path=b\n\n"), file("a", "x")]), Refused("a", RECORD)),
        case("a record of length 0", tar([pax_bytes("0 path=b\n"), file("a", "x")]), Refused("a", RECORD)),
        case("a record of length 1", tar([pax_bytes("1"), file("a", "x")]), Refused("a", RECORD)),
        case("a record without an equals sign", tar([pax_bytes("8 pathb\n"), file("a", "x")]), Refused("a", RECORD)),
        case("a record without a key", tar([pax_bytes("5 =b\n"), file("a", "x")]), Refused("a", RECORD)),
        case("a record without its newline", tar([pax_bytes("9 path=b "), file("a", "x")]), Refused("a", RECORD)),
        case("a record with a sign", tar([pax_bytes("+10 path=b\n"), file("a", "x")]), Refused("a", RECORD)),
        case("a record behind a space", tar([pax_bytes(" 10 path=b\n"), file("a", "x")]), Refused("a", RECORD)),
        case("a record of a length beyond every number", tar([pax_bytes("99999999999999999999999 path=b\n"), file("a", "x")]), Refused("a", RECORD)),
        case("zeros behind the records", tar([pax_bytes([&record("path", b"b")[..], &[0; 9]].concat()), file("a", "x")]), Refused("a", RECORD)),
        case("a header without records", tar([pax_bytes(""), file("a", "x")]), tree(&["a file 644 0:0 1000 'x'"])),
        case("a pax header under GNU's magic", tar([pax(&[("path", b"b")]).gnu(), file("a", "x").gnu()]), tree(&["b file 644 0:0 1000 'x'"])),
        case("two pax headers", tar([pax(&[("path", b"b")]), pax(&[("path", b"c")]), file("a", "x")]), Refused(X, "two extended headers of one kind")),
        case("a pax header before nothing", tar([file("a", "x"), pax(&[("path", b"b")])]), Damaged("an extended header that no entry follows")),
        case("a pax header before the end of the stream", open_ended([file("a", "x"), pax(&[("path", b"b")])]), Damaged("ends without the two blocks")),
        case("a pax header of more than 1 MiB", tar([pax(&[("comment", &vec![b'c'; 1 << 20])]), file("a", "x")]), Refused(X, "an extended header of more than 1 MiB")),
        case("a pax header of 8 GiB", tar([pax(&[]).size(8 << 30), file("a", "x")]), Refused(X, "an extended header of more than 1 MiB")),

        case("a global header", tar([global(&[("comment", b"0123456789abcdef"), ("uid", b"7")]), file("a", "x"), pax(&[("uid", b"8")]), file("b", "x"), file("c", "x")]),
             tree(&["a file 644 7:0 1000 'x'", "b file 644 8:0 1000 'x'", "c file 644 7:0 1000 'x'"])),
        case("a global name", tar([global(&[("path", b"b")]), file("a", "x")]), Refused("pax_global_header", "the record path in a global header")),
        case("a global link", tar([global(&[("linkpath", b"b")]), symlink("a", "x")]), Refused("pax_global_header", "the record linkpath in a global header")),
        case("a global length", tar([global(&[("size", b"0")]), file("a", "x")]), Refused("pax_global_header", "the record size in a global header")),
        case("a global attribute", tar([global(&[("SCHILY.xattr.user.a", b"v")]), file("a", "x")]), Refused("pax_global_header", "in a global header")),
        case("global holes", tar([global(&[("GNU.sparse.major", b"1")]), file("a", "x")]), Refused("pax_global_header", "in a global header")),
        case("a global header and nothing else", tar([global(&[("comment", b"c")])]), tree::<&str>(&[])),

        case("a GNU long name", tar([long(b'L', b"n".repeat(120)), file("short", "x").gnu()]),
             tree(&["nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn file 644 0:0 1000 'x'"])),
        case("a GNU long name without its NUL", tar([raw(b'L', "././@LongLink").gnu().content("b"), file("a", "x").gnu()]), tree(&["b file 644 0:0 1000 'x'"])),
        case("a GNU long name that goes on behind its NUL", tar([raw(b'L', "././@LongLink").gnu().content("b\0c"), file("a", "x").gnu()]), Refused("././@LongLink", "a NUL byte inside a name")),
        case("a GNU long name that is empty", tar([raw(b'L', "././@LongLink").gnu().content("\0"), file("a", "x").gnu()]), Refused("././@LongLink", "it has no name")),
        case("a GNU long name under no magic", tar([long(b'L', "b").v7(), file("a", "x")]), Refused("././@LongLink", "a kind of entry that is not known ('L')")),
        case("a pax header under no magic", tar([pax(&[("path", b"b")]).v7(), file("a", "x")]), Refused(X, "a kind of entry that is not known ('x')")),
        case("two GNU long names", tar([long(b'L', "b"), long(b'L', "c"), file("a", "x").gnu()]), Refused("././@LongLink", "two extended headers of one kind")),
        case("a GNU long name before nothing", tar([long(b'L', "b")]), Damaged("an extended header that no entry follows")),
        case("a GNU long name of 8 GiB", tar([long(b'L', "b").size(8 << 30)]), Refused("././@LongLink", "an extended header of more than 1 MiB")),
        case("a GNU long name of a length that is none", tar([long(b'L', "b").field(124, "size")]), Refused("././@LongLink", "its size is not a number")),
        case("a name by GNU and by pax", tar([long(b'L', "b"), pax(&[("path", b"c")]), file("a", "x")]), Refused("c", "a name both in the GNU and in the PAX way")),
        case("a link by pax and by GNU", tar([pax(&[("linkpath", b"c")]), long(b'K', "b"), symlink("a", "x")]), Refused("a", "a name both in the GNU and in the PAX way")),
        case("a name by GNU and a time by pax", tar([long(b'L', "b"), pax(&[("mtime", b"5")]), file("a", "x").gnu()]), tree(&["b file 644 0:0 5 'x'"])),
        case("an old directory by its slash", tar([raw(b'\0', "d/").v7().mode(0o755), file("d/a", "x").v7()]), tree(&["d dir 755 0:0 1000", "d/a file 644 0:0 1000 'x'"])),
        case("an old directory by its slash in a long name", tar([long(b'L', "d/"), raw(b'0', "d").gnu().mode(0o755)]), tree(&["d dir 755 0:0 1000"])),
        case("an old directory by its slash, with a length and no content", tar([file("d/", "").size(512), file("a", "x")]), Refused("d/", "content, which")),
        case("an old directory by its slash, with content", tar([long(b'L', "d/"), file("d", "hidden").gnu()]), Refused("d/", "content, which")),
        case("a directory with a length in pax", tar([pax(&[("size", b"512")]), dir("d")]), Refused("d", "content, which")),
    ]
}
