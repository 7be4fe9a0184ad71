//! Kinds of entries, ends of streams, compression, and files that are no tar archive at all.

use super::bytes::{dir, file, open_ended, raw, symlink, tar};
use super::{Case, Damaged, Refused, case, tree};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::process::{Command, Stdio};

const A: &[&str] = &["a file 644 0:0 1000 'x'"];

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8], options: &[&str]) -> Vec<u8> {
    let mut child = Command::new("xz")
        .args(options)
        .args(["--stdout", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

fn flipped(mut bytes: Vec<u8>, from_end: usize) -> Vec<u8> {
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    bytes
}

fn cut(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() * 2 / 3].to_vec()
}

/// A file of 300 MiB of zeros.
fn bomb(into: &mut impl Write) {
    into.write_all(&raw(b'0', "a").size(300 << 20).bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..300 {
        into.write_all(&zeros).unwrap();
    }
    into.write_all(&zeros[..1024]).unwrap();
}

/// A flat table, an entry a case.
#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    let a = || tar([file("a", "x")]);
    // What does not compress, so that a cut is felt.
    let noise: Vec<u8> = (0_u32..40_000).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let noisy = || tar([file("a", &noise)]);
    let whole = a();
    let (front, back) = whole.split_at(700);
    let mut gzip_bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb(&mut gzip_bomb);
    let gzip_bomb = gzip_bomb.finish().unwrap();
    let mut zstd_bomb = zstd::Encoder::new(Vec::new(), 3).unwrap();
    bomb(&mut zstd_bomb);
    let zstd_bomb = zstd_bomb.finish().unwrap();
    // RFC 8878: no checksum, no single segment, a window of 2^31 bytes, and a block that need not
    // come.
    let zstd_window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3][..], &[1, 0, 0]].concat();
    let damaged = "damaged or cut short";
    vec![
        case("a plain archive", a(), tree(A)),
        case("an archive with more zeros behind it", [a(), vec![0; 9216]].concat(), tree(A)),
        case("a contiguous file", tar([raw(b'7', "a").content("x")]), tree(A)),
        case("the oldest format", tar([raw(b'\0', "a").v7().content("x"), symlink("s", "a").v7()]), tree(&["a file 644 0:0 1000 'x'", "s symlink 777 0:0 1000 -> a"])),
        case("an entry of an unknown kind", tar([raw(b'Q', "a")]), Refused("a", "a kind of entry that is not known ('Q')")),
        case("an entry of an unknown kind with content", tar([raw(b'Z', "a").content("x")]), Refused("a", "a kind of entry that is not known ('Z')")),
        case("a file that continues on another volume", tar([raw(b'M', "a").gnu().content("x")]), Refused("a", "('M')")),
        case("a directory of an incremental backup", tar([raw(b'D', "a").gnu().mode(0o755).content("Yb\0\0"), file("a/b", "x")]), tree(&["a dir 755 0:0 1000", "a/b file 644 0:0 1000 'x'"])),
        case("a directory of a later incremental backup", tar([raw(b'D', "a").gnu().content("Nb\0Yc\0\0"), file("a/c", "x")]), Refused("a", "that needs those before it")),
        case("a directory of an incremental backup that renames", tar([raw(b'D', "a").gnu().content("Rb\0Tc\0\0")]), Refused("a", "that needs those before it")),
        case("a directory of an incremental backup without GNU's magic", tar([raw(b'D', "a").content("Yb\0\0")]), Refused("a", "('D')")),
        case("a volume's label", tar([raw(b'V', "label").gnu(), file("a", "x")]), tree(A)),
        case("a volume's label by pax", tar([super::bytes::global(&[("GNU.volume.label", b"label")]), file("a", "x")]), tree(A)),
        case("a volume's label with content", tar([raw(b'V', "label").gnu().content("x"), file("a", "x")]), Refused("label", "('V')")),
        case("a name in the way of the oldest GNU", tar([raw(b'N', "a").gnu().content("x")]), Refused("a", "('N')")),
        case("an extended header of Solaris", tar([raw(b'X', "a").content("x")]), Refused("a", "('X')")),
        case("a wrong checksum at the start", tar([file("a", "x").wrong_checksum()]), Damaged("a tar archive whose first header is damaged")),
        case("a wrong checksum later", tar([file("a", "x"), file("b", "x").wrong_checksum()]), Damaged("a header's checksum is wrong")),
        case("half a header", a()[..300].to_vec(), Damaged("of an unknown kind")),
        case("half a second header", open_ended([file("a", "x"), dir("d")])[..1300].to_vec(), Damaged("ends without the two blocks")),
        case("a short body", tar([file("a", &noise)])[..20_000].to_vec(), Damaged("it ends within a file")),
        case("a body without its padding", open_ended([file("a", "x")])[..600].to_vec(), Damaged("it ends within a file")),
        case("no end", open_ended([file("a", "x")]), Damaged("ends without the two blocks")),
        case("half an end", [open_ended([file("a", "x")]), vec![0; 512]].concat(), Damaged("ends without the two blocks")),
        case("a lone block of zeros", [open_ended([file("a", "x")]), vec![0; 512], tar([file("b", "x")])].concat(), Damaged("a lone block of zeros")),
        case("garbage behind the end", [a(), b"garbage".to_vec()].concat(), Damaged("something stands behind its end")),
        case("garbage far behind the end", [a(), vec![0; 300_000], vec![1]].concat(), Damaged("something stands behind its end")),
        case("two archives in one file", [a(), tar([file("b", "y")])].concat(), Damaged("something stands behind its end")),
        case("garbage in the padding of a file", { let mut bytes = a(); bytes[600] = 1; bytes }, tree(A)),

        case("gzip", gzip(&a()), tree(A)),
        case("gzip in two members", [gzip(front), gzip(back)].concat(), tree(A)),
        case("gzip in two members, one of them empty", [gzip(&a()), gzip(b"")].concat(), tree(A)),
        case("gzip with the zeros of a tape", [gzip(&a()), vec![0; 5000]].concat(), tree(A)),
        case("gzip that is cut", cut(&gzip(&noisy())), Damaged(damaged)),
        case("gzip that is cut in its last byte", { let mut bytes = gzip(&a()); bytes.pop(); bytes }, Damaged(damaged)),
        case("gzip with a wrong checksum", flipped(gzip(&a()), 8), Damaged(damaged)),
        case("gzip with a wrong length", flipped(gzip(&a()), 4), Damaged(damaged)),
        case("gzip with garbage behind it", [gzip(&a()), b"garbage".to_vec()].concat(), Damaged(damaged)),
        case("gzip with zeros and garbage behind it", [gzip(&a()), vec![0; 9], b"garbage".to_vec()].concat(), Damaged("behind the end of the compressed stream")),
        case("gzip with a second archive behind it", [gzip(&a()), gzip(&tar([file("b", "y")]))].concat(), Damaged("something stands behind its end")),
        case("gzip of a bomb", gzip_bomb, Damaged("more than 1000-fold")),
        case("gzip of gzip", gzip(&gzip(&a())), Damaged("is compressed twice inside gz")),
        case("gzip of nothing", gzip(b""), Damaged("is empty inside gz")),
        case("gzip of a text", gzip(&b"a text ".repeat(200)), Damaged("is of an unknown kind inside gz")),
        case("gzip's magic and nothing else", vec![0x1f, 0x8b], Damaged(damaged)),
        case("zstd", zstd(&a()), tree(A)),
        case("zstd behind a frame to be skipped, as pzstd has it", [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..], &zstd(&a())].concat(), tree(A)),
        case("zstd in two frames", [zstd(front), zstd(back)].concat(), tree(A)),
        case("zstd that is cut", cut(&zstd(&noisy())), Damaged(damaged)),
        case("zstd with a wrong checksum", flipped(zstd(&a()), 1), Damaged(damaged)),
        case("zstd with garbage behind it", [zstd(&a()), b"garbage".to_vec()].concat(), Damaged(damaged)),
        case("zstd with a second archive behind it", [zstd(&a()), zstd(&a())].concat(), Damaged("something stands behind its end")),
        case("zstd of a bomb", zstd_bomb, Damaged("more than 1000-fold")),
        case("zstd with a window of 2 GiB", zstd_window, Damaged("a window of more than 128 MiB")),
        case("xz", xz(&a(), &[]), tree(A)),
        case("xz in two streams", [xz(front, &[]), xz(back, &[])].concat(), tree(A)),
        case("xz with a sum of its own kind", xz(&a(), &["--check=sha256"]), tree(A)),
        case("xz with the largest window of its levels", xz(&a(), &["-9"]), tree(A)),
        case("xz with a window of 1 GiB", xz(&a(), &["--lzma2=dict=1GiB"]), Damaged("a window of more than 128 MiB")),
        case("xz that is cut", cut(&xz(&noisy(), &[])), Damaged(damaged)),
        case("xz with a wrong byte", { let bytes = xz(&noisy(), &[]); let middle = bytes.len() / 2; flipped(bytes, middle) }, Damaged(damaged)),
        case("xz with garbage behind it", [xz(&a(), &[]), b"garbage!".to_vec()].concat(), Damaged(damaged)),
        case("bzip2", bzip2(&a()), tree(A)),
        case("bzip2 in two streams", [bzip2(front), bzip2(back)].concat(), tree(A)),
        case("bzip2 that is cut", cut(&bzip2(&noisy())), Damaged(damaged)),
        case("bzip2 with a wrong sum", flipped(bzip2(&noisy()), 3), Damaged(damaged)),
        case("bzip2 with the zeros of a tape", [bzip2(&a()), vec![0; 5000]].concat(), tree(A)),
        case("bzip2 with zeros and garbage behind it", [bzip2(&a()), vec![0; 9], b"garbage".to_vec()].concat(), Damaged("behind the end of the compressed stream")),
        case("gzip without the end of its archive", gzip(&open_ended([file("a", "x")])), tree(A)),
        case("xz without the end of its archive", xz(&open_ended([file("a", "x")]), &[]), tree(A)),
        case("gzip with half an end", gzip(&[open_ended([file("a", "x")]), vec![0; 512]].concat()), tree(A)),
        case("gzip that ends within a file", gzip(&open_ended([file("a", &noise)])[..20_000]), Damaged("it ends within a file")),
        case("gzip that ends within a header", gzip(&open_ended([file("a", "x"), dir("d")])[..1300]), Damaged(damaged)),
        case("bzip2 with garbage behind it", [bzip2(&a()), b"garbage".to_vec()].concat(), Damaged(damaged)),

        case("nothing", vec![], Damaged("is empty, not a root file system")),
        case("nothing but zeros", vec![0; 10_240], Damaged("a tar archive without an entry")),
        case("a zip archive", b"PK\x03\x04 and more".to_vec(), Damaged("is a zip archive")),
        case("a cpio archive", b"070701 and more".to_vec(), Damaged("is a cpio archive")),
        case("a Debian package", b"!<arch>\ndebian-binary".to_vec(), Damaged("is a Debian package")),
        case("a text", b"root file systems, and how to ".repeat(40), Damaged("is of an unknown kind")),
        case("an OCI layout without its index", tar([dir("blobs"), file("oci-layout", "{}"), file("index.json", "{}")]), Damaged("index.json cannot be understood")),
        case("what docker save writes, without the config", tar([dir("abc"), file("abc/layer.tar", "x"), file("manifest.json", r#"[{"Config":"x","Layers":["abc/layer.tar"]}]"#)]), Damaged("the image has no 'x'")),
        case("a manifest alone is a file", tar([file("manifest.json", "[]")]), tree(&["manifest.json file 644 0:0 1000 '[]'"])),
    ]
}
