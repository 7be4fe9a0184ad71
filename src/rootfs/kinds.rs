//! Files that are no tar archive: what they are, and which tool makes one of them.

/// A kind of file that is not unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherKind {
    /// What it is, with its article.
    pub name: &'static str,
    /// How its files become a root file system, where a tool can do that; FILE stands for it.
    pub way: Option<&'static str>,
}

impl OtherKind {
    /// One that no tool helps with.
    pub const fn plain(name: &'static str) -> Self {
        Self { name, way: None }
    }
}

/// Bytes from the start of a file that tell every kind: btrfs has its magic behind 64 KiB.
pub const FARTHEST: usize = (64 << 10) + 72;

/// What a tool writes, read by import.
macro_rules! imported {
    ($tool:literal) => {
        concat!($tool, " | rustic rootfs import NAME -")
    };
}

const BSDTAR: &str = imported!("bsdtar -cf - @FILE");
const MOUNTED: &str = "mount -o loop,ro FILE DIR, and rustic run --ephemeral --rootfs DIR";
const CONVERTED: &str = "qemu-img convert -O raw, and mount what it has";
const PARTITIONED: &str =
    "losetup -P, mount the partition, and rustic run --ephemeral --rootfs DIR";

/// Where a magic number lies, what it is, and what it says. A flat table: the first that fits.
const SIGNATURES: [(usize, &[u8], OtherKind); 33] = [
    (0, b"PK\x03\x04", of("a zip archive", BSDTAR)),
    (0, b"07070", of("a cpio archive", BSDTAR)),
    (0, b"\xc7\x71", of("a cpio archive", BSDTAR)),
    (0, b"\x71\xc7", of("a cpio archive", BSDTAR)),
    (
        0,
        b"!<arch>\ndebian-binary",
        of("a Debian package", imported!("dpkg-deb --fsys-tarfile FILE")),
    ),
    (0, b"!<arch>\n", of("an ar archive", BSDTAR)),
    (0, b"\xed\xab\xee\xdb", of("an RPM package", BSDTAR)),
    (0, b"7z\xbc\xaf\x27\x1c", of("a 7z archive", BSDTAR)),
    (0, b"Rar!\x1a\x07", of("a RAR archive", BSDTAR)),
    (0, b"MSCF", of("a cabinet archive", BSDTAR)),
    (0, b"xar!", of("a xar archive", BSDTAR)),
    (0, b"hsqs", of("a squashfs image", imported!("sqfs2tar FILE"))),
    (0, b"\x04\x22\x4d\x18", of("compressed by lz4", imported!("lz4 -dc FILE"))),
    (0, b"\x02\x21\x4c\x18", of("compressed by lz4", imported!("lz4 -dc FILE"))),
    (0, b"LZIP", of("compressed by lzip", imported!("lzip -dc FILE"))),
    (0, b"\x89LZO", of("compressed by lzop", imported!("lzop -dc FILE"))),
    (0, b"LRZI", of("compressed by lrzip", imported!("lrzcat FILE"))),
    (0, b"\x5d\x00\x00", of("compressed by lzma", imported!("xz -dc --format=lzma FILE"))),
    (0, b"\x1f\x9d", of("compressed by compress", imported!("gzip -dc FILE"))),
    (0, b"BrYk", of("compressed by brotli", imported!("brotli -dc FILE"))),
    (0, b"QFI\xfb", of("a qcow2 disk", CONVERTED)),
    (0, b"KDMV", of("a VMDK disk", CONVERTED)),
    (0, b"vhdxfile", of("a VHDX disk", CONVERTED)),
    (0, b"XFSB", of("an XFS file system", MOUNTED)),
    (0, b"\x45\x3d\xcd\x28", of("a cramfs image", MOUNTED)),
    (1024, b"\xe2\xe1\xf5\xe0", of("an EROFS image", MOUNTED)),
    (1080, b"\x53\xef", of("an ext2, ext3 or ext4 file system", MOUNTED)),
    (32_769, b"CD001", of("an ISO 9660 image", BSDTAR)),
    (65_600, b"_BHRfS_M", of("a btrfs file system", MOUNTED)),
    (512, b"EFI PART", of("a disk with partitions", PARTITIONED)),
    (510, b"\x55\xaa", of("a disk with partitions, or a file system of DOS", PARTITIONED)),
    (0, b"\x7fELF", OtherKind::plain("a program")),
    (0, b"{", OtherKind::plain("a text, JSON perhaps")),
];

const fn of(name: &'static str, way: &'static str) -> OtherKind {
    OtherKind { name, way: Some(way) }
}

/// What a file is by its first bytes.
pub fn of_start(start: &[u8]) -> OtherKind {
    let fits = |(at, magic, _): &&(usize, &[u8], OtherKind)| {
        start.get(*at..).is_some_and(|rest| rest.starts_with(magic))
    };
    match SIGNATURES.iter().find(fits) {
        Some((.., kind)) => *kind,
        None if start.len() > (32 << 10) && start.iter().all(|&byte| byte == 0) => {
            OtherKind::plain("an empty disk, or the end of a tape")
        }
        None if !start.is_empty() && start.iter().all(|&byte| byte == 0) => {
            OtherKind::plain("a tar archive without an entry")
        }
        None => OtherKind::plain("of an unknown kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magic_number_tells_its_kind_and_lies_in_what_is_read() {
        for (at, magic, kind) in SIGNATURES {
            assert!(at + magic.len() <= FARTHEST, "{kind:?}");
            let mut start = vec![0; FARTHEST];
            start[at..at + magic.len()].copy_from_slice(magic);
            assert_eq!(of_start(&start).name, kind.name);
        }
        assert_eq!(of_start(&[0; FARTHEST]).name, "an empty disk, or the end of a tape");
        assert_eq!(of_start(&[0; 1024]).name, "a tar archive without an entry");
        assert_eq!(of_start(b"text").name, "of an unknown kind");
    }
}
