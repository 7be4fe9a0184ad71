//! Files with holes, in each of GNU tar's four ways, and maps that contradict themselves.

use super::bytes::{Raw, base256, file, open_ended, pax, raw, tar};
use super::{Case, Damaged, Refused, case, tree};

const MAP: &str = "a map of holes that contradicts itself";

/// A file in GNU's own format.
fn gnu(stretches: &[(u64, u64)], real: u64, content: &str) -> Raw {
    let raw = raw(b'S', "a").gnu().content(content).real_size(real);
    stretches
        .iter()
        .enumerate()
        .fold(raw, |raw, (which, &(offset, length))| raw.stretch(which, offset, length))
}

/// A file in the format 1.0: the map stands before the content.
fn one_0(map: &str, real: &[u8], content: &str) -> Vec<u8> {
    let mut stored = map.as_bytes().to_vec();
    stored.resize(stored.len().next_multiple_of(512), 0);
    stored.extend(content.as_bytes());
    tar([
        pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"a"),
            ("GNU.sparse.realsize", real),
        ]),
        file("GNUSparseFile.1/a", stored),
    ])
}

/// A block that continues a GNU map, with 21 stretches and whether another follows.
fn continued(stretches: &[(u64, u64)], more: u8) -> Vec<u8> {
    let mut block = vec![0; 512];
    for (at, (offset, length)) in stretches.iter().enumerate() {
        block[at * 24..at * 24 + 12].copy_from_slice(format!("{offset:011o}\0").as_bytes());
        block[at * 24 + 12..at * 24 + 24].copy_from_slice(format!("{length:011o}\0").as_bytes());
    }
    block[504] = more;
    block
}

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    let header = |more: u8| raw(b'S', "a").gnu().real_size(20).stretch(0, 0, 1).field(482, [more]);
    let long_map = [header(1).content("xyz").bytes()[..512].to_vec(), continued(&[(4, 2)], 0), b"xyz".to_vec(), vec![0; 509 + 1024]].concat();
    let endless = [header(1).bytes(), continued(&[(4, 0); 21], 1).repeat(3200)].concat();
    let mut many = String::from("70000\n");
    (0..70_000).for_each(|at| many += &format!("{at}\n0\n"));
    let pairs_0_0: Vec<(&str, &[u8])> = vec![("GNU.sparse.size", b"8"), ("GNU.sparse.numblocks", b"2"), ("GNU.sparse.offset", b"1"), ("GNU.sparse.numbytes", b"2"), ("GNU.sparse.offset", b"5"), ("GNU.sparse.numbytes", b"1")];
    let pairs_0_1 = |map: &'static [u8]| pax(&[("GNU.sparse.size", b"8"), ("GNU.sparse.numblocks", b"2"), ("GNU.sparse.name", b"a"), ("GNU.sparse.map", map)]);
    vec![
        case("holes by GNU", tar([gnu(&[(1, 2), (5, 1), (8, 0)], 8, "xyz")]), tree(&[r"a file 644 0:0 1000 '\x00xy\x00\x00z\x00\x00'"])),
        case("holes by GNU, the map continued", long_map, tree(&[r"a file 644 0:0 1000 'x\x00\x00\x00yz\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'"])),
        case("holes by pax 0.0", tar([pax(&pairs_0_0), file("a", "xyz")]), tree(&[r"a file 644 0:0 1000 '\x00xy\x00\x00z\x00\x00'"])),
        case("holes by pax 0.1", tar([pairs_0_1(b"1,2,5,1"), file("GNUSparseFile.1/a", "xyz")]), tree(&[r"a file 644 0:0 1000 '\x00xy\x00\x00z\x00\x00'"])),
        case("holes by pax 1.0", one_0("2\n1\n2\n5\n1\n", b"8", "xyz"), tree(&[r"a file 644 0:0 1000 '\x00xy\x00\x00z\x00\x00'"])),
        case("nothing but a hole by GNU", tar([gnu(&[], 5, "")]), tree(&[r"a file 644 0:0 1000 '\x00\x00\x00\x00\x00'"])),
        case("nothing but a hole by pax 0.0", tar([pax(&[("GNU.sparse.size", b"3"), ("GNU.sparse.numblocks", b"0")]), file("a", "")]), tree(&[r"a file 644 0:0 1000 '\x00\x00\x00'"])),
        case("nothing but a hole by pax 1.0", one_0("0\n", b"3", ""), tree(&[r"a file 644 0:0 1000 '\x00\x00\x00'"])),
        case("an exbibyte of holes by GNU", tar([raw(b'S', "a").gnu().field(483, base256(1 << 60, 12))]), Refused("a", "more than 8589934592 bytes in all")),
        case("an exbibyte of holes by pax", one_0("0\n", b"1152921504606846976", ""), Refused("a", "more than 8589934592 bytes in all")),
        case("overlapping stretches", tar([gnu(&[(0, 2), (1, 1)], 8, "xyz")]), Refused("a", MAP)),
        case("stretches out of order", tar([gnu(&[(5, 1), (0, 2)], 8, "xyz")]), Refused("a", MAP)),
        case("a stretch beyond the end", tar([gnu(&[(7, 3)], 8, "xyz")]), Refused("a", MAP)),
        case("a stretch beyond every number", tar([raw(b'S', "a").gnu().real_size(8).field(386, base256(i64::MAX.into(), 12)).field(398, base256(i64::MAX.into(), 12))]), Refused("a", MAP)),
        case("less content than the map", tar([gnu(&[(0, 4)], 8, "xyz")]), Refused("a", MAP)),
        case("more content than the map", tar([gnu(&[(0, 2)], 8, "xyz")]), Refused("a", MAP)),
        case("a map of letters", tar([gnu(&[], 8, "xyz").field(386, "one")]), Refused("a", "its map of holes is not a number")),
        case("a map that never ends", endless, Refused("a", "more than 65536 stretches")),
        case("a map that is cut", open_ended([header(1)]), Damaged("ends without the two blocks")),
        case("holes under POSIX's magic", tar([raw(b'S', "a").content("x")]), Refused("a", "a kind of entry that is not known ('S')")),
        case("a map of pax 0.1 with an odd number", tar([pairs_0_1(b"1,2,5"), file("a", "xy")]), Refused("a", MAP)),
        case("a map of pax 0.1 with a letter", tar([pairs_0_1(b"1,x"), file("a", "xy")]), Refused("a", "its map of holes is not a number")),
        case("an offset of pax 0.0 without a length", tar([pax(&[("GNU.sparse.size", b"8"), ("GNU.sparse.offset", b"1")]), file("a", "x")]), Refused("a", MAP)),
        case("a length of pax 0.0 without an offset", tar([pax(&[("GNU.sparse.size", b"8"), ("GNU.sparse.numbytes", b"1")]), file("a", "x")]), Refused("a", MAP)),
        case("a map of pax without the length", tar([pax(&[("GNU.sparse.map", b"0,1")]), file("a", "x")]), Refused("a", MAP)),
        case("a record of holes that is not known", tar([pax(&[("GNU.sparse.color", b"red")]), file("a", "x")]), Refused("a", "a record that is not known (GNU.sparse.color)")),
        case("a version of holes that is not known", tar([pax(&[("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"1")]), file("a", "x")]), Refused("a", MAP)),
        case("a map of pax 1.0 that is longer than the content", one_0("3\n0\n", b"8", ""), Refused("a", "its map of holes is not a number")),
        case("a map of pax 1.0 of letters", one_0("x\n", b"8", "xyz"), Refused("a", "its map of holes is not a number")),
        case("a map of pax 1.0 with a number beyond every number", one_0("99999999999999999999999\n", b"8", "xyz"), Refused("a", "its map of holes is not a number")),
        case("a map of pax 1.0 that counts too many", one_0("65537\n", b"8", "xyz"), Refused("a", "more than 65536 stretches")),
        case("a map of pax 1.0 with as many as it says", one_0(&many, b"80000", ""), Refused("a", "more than 65536 stretches")),
        case("a map of pax 1.0 without content at all", tar([pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"8")]), file("a", "")]), Refused("a", MAP)),
    ]
}
