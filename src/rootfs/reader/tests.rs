//! The reader beside the tar crate's own.

use super::header::text;
use super::{Ending, Reader};
use crate::error::Failure;
use crate::rootfs::entry::{Entry, EntryKind, EntryPath, Metadata};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::Read;
use tar::Header;

/// What one reader makes of an entry: name, kind, length, mode, owner, time, link target, content.
type EntrySummary = (Vec<u8>, u8, u64, u32, u64, u64, i64, Vec<u8>, Vec<u8>);

fn ours(bytes: &[u8]) -> Result<Vec<EntrySummary>, Failure> {
    let mut reader = Reader::new(bytes, Ending::Marked);
    let mut seen = Vec::new();
    while let Some(Entry { place, kind, metadata }) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.content(|_, bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        let (flag, size, link) = match kind {
            EntryKind::File { size, .. } => (b'0', size, vec![]),
            EntryKind::Directory => (b'5', 0, vec![]),
            EntryKind::Symlink(target) => (b'2', 0, target),
            EntryKind::HardLink(target) => (b'1', 0, target.bytes().to_vec()),
            EntryKind::Character(..) => (b'3', 0, vec![]),
            EntryKind::Block(..) => (b'4', 0, vec![]),
            EntryKind::Fifo => (b'6', 0, vec![]),
        };
        let Metadata { uid, gid, mode, mtime, .. } = metadata;
        seen.push((
            place.bytes().to_vec(),
            flag,
            size,
            mode,
            uid.into(),
            gid.into(),
            mtime.seconds,
            link,
            content,
        ));
    }
    Ok(seen)
}

/// The same by the tar crate's own iterator.
fn theirs(bytes: &[u8]) -> std::io::Result<Vec<EntrySummary>> {
    // GNU's long names are C strings; the tar crate cuts off one NUL.
    let plain = |name: &[u8]| {
        EntryPath::of(text(name)).map(|place| place.bytes().to_vec()).unwrap_or_default()
    };
    let mut archive = tar::Archive::new(bytes);
    let mut seen = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let header = entry.header().clone();
        // A volume's label is no file.
        if header.entry_type().as_byte() == b'V' {
            continue;
        }
        let flag = match header.entry_type().as_byte() {
            b'\0' | b'7' => b'0',
            flag => flag,
        };
        let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
        let link = match flag {
            b'1' => plain(&link),
            b'2' => text(&link).to_vec(),
            _ => vec![],
        };
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let name = plain(&entry.path_bytes());
        let mode = header.mode()? & 0o7777;
        seen.push((
            name,
            flag,
            entry.size(),
            mode,
            header.uid()?,
            header.gid()?,
            header.mtime()? as i64,
            link,
            content,
        ));
    }
    Ok(seen)
}

/// An archive of any entries, in POSIX's or GNU's format, with names that may need an extended
/// header.
fn archives() -> impl Strategy<Value = Vec<u8>> {
    let name = vec("[a-z\u{e4}. \\\\]{1,60}", 1..6)
        .prop_map(|parts| parts.join("/"))
        .prop_filter("a plain name", |name| {
            name.split('/').all(|part| !matches!(part, "." | "..")) && name.len() < 250
        });
    let entry = (
        name,
        0..7_u8,
        vec(any::<u8>(), 0..1500),
        0..0o7777_u32,
        0..2_000_000_u64,
        0..u64::from(u32::MAX),
        any::<bool>(),
    );
    vec(entry, 1..8).prop_map(|entries| {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content, mode, id, mtime, posix) in entries {
            let mut header = if posix { Header::new_ustar() } else { Header::new_gnu() };
            header.set_entry_type(tar::EntryType::new(b'0' + kind));
            header.set_mode(mode);
            header.set_uid(id);
            header.set_gid(id / 3);
            header.set_mtime(mtime);
            header.set_size(0);
            let added = match kind {
                0 => {
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, &name, content.as_slice())
                }
                1 | 2 => builder.append_link(&mut header, &name, name.replace('a', "bb")),
                _ => builder.append_data(&mut header, &name, std::io::empty()),
            };
            // What POSIX's fields cannot hold is left out.
            let _ = added;
        }
        builder.into_inner().unwrap()
    })
}

proptest! {
    #[test]
    fn what_the_tar_crate_writes_is_read_as_the_tar_crate_reads_it(bytes in archives()) {
        let ours = ours(&bytes).map_err(|failure| failure.to_string());
        prop_assert_eq!(ours, Ok(theirs(&bytes).unwrap()));
    }

    /// Whatever is changed in a header whose checksum is then made to fit: it is refused, or both
    /// see the same.
    #[test]
    fn what_is_not_refused_is_read_as_the_tar_crate_reads_it(
        bytes in archives(),
        changes in vec((0..512_usize, any::<u8>()), 1..4),
        which in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes;
        let block = which.index(bytes.len() / 512) * 512;
        for (at, byte) in changes {
            // The tar crate takes the version for a part of the magic; POSIX and GNU tar do not.
            if (263..265).contains(&at) {
                continue;
            }
            bytes[block + at] = byte;
        }
        let mut header = Header::from_byte_slice(&bytes[block..block + 512]).clone();
        header.set_cksum();
        bytes[block..block + 512].copy_from_slice(header.as_bytes());
        if let (Ok(ours), Ok(theirs)) = (ours(&bytes), theirs(&bytes)) {
            let differing = ours.iter().zip(&theirs).find(|(a, b)| a != b);
            prop_assert!(ours == theirs, "{} and {} entries: \
                {differing:?}", ours.len(), theirs.len());
        }
    }

    #[test]
    fn any_bytes_end_in_entries_or_a_refusal(bytes in vec(any::<u8>(), 0..4000)) {
        let _ = ours(&bytes);
    }
}
