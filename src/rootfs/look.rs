//! One file of an archive, without unpacking the others.

use crate::error::Failure;
use crate::rootfs::archive::Archive;
use crate::rootfs::entry::EntryKind;
use crate::rootfs::image::ImageChoice;
use crate::rootfs::meter::Hashing;
use crate::rootfs::reader::{Ending, Reader};
use crate::rootfs::writer::Content;

/// The content of a file by its place, which the last entry of that name has; empty where the
/// archive has none.
///
/// # Errors
/// An archive that cannot be read; what is no regular file, or has more than so many bytes.
pub fn file(
    archive: &Archive,
    choice: &ImageChoice,
    place: &str,
    most: u64,
) -> Result<Vec<u8>, Failure> {
    let plain = archive.open(Hashing::Unwanted)?.plain;
    let mut reader = Reader::new(plain.stream, Ending::of(plain.compression));
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(|failure| archive.blame(failure))? {
        let below = choice.below(entry).map_err(|failure| archive.blame(failure))?;
        let Some(entry) = below else { continue };
        if entry.place.bytes() != place.as_bytes() {
            continue;
        }
        found.clear();
        match entry.kind {
            EntryKind::File { size, data: None } if size <= most => {
                reader.each(&mut |_, bytes| {
                    found.extend_from_slice(bytes);
                    Ok(())
                })?;
            }
            _ => {
                let what = format!("its /{place} is no regular file of at most {most} bytes");
                return Err(archive.blame(Failure::new(what)));
            }
        }
    }
    Ok(found)
}
