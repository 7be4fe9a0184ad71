//! Any bytes are entries or a refusal, and what is not refused another reader sees alike.
#![no_main]

use futures_executor::block_on;
use futures_util::StreamExt;
use libfuzzer_sys::fuzz_target;
use rustic::Failure;
use rustic::parts::entry::{Entry, EntryKind};
use rustic::parts::reader::{Ending, Reader};
use rustic::parts::writer::Content;
use tokio::io::AsyncReadExt;

/// Checksums made right, or nothing would come past the first header: of each block that has a
/// magic, and of the first.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (number, block) in bytes.chunks_exact_mut(512).enumerate() {
        if number == 0 || block[257..262] == *b"ustar" {
            let mut header = tar::Header::from_byte_slice(block).clone();
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
    }
    bytes
}

/// Whether a block is the header of a hard link or a directory with a length: to rustic, GNU tar and
/// bsdtar no content follows, where the other reader skips so much.
fn has_a_length_of_nothing(bytes: &[u8]) -> bool {
    bytes.chunks_exact(512).any(|block| {
        let header = tar::Header::from_byte_slice(block);
        matches!(block[156], b'1' | b'5') && header.entry_size().is_ok_and(|size| size > 0)
    })
}

/// Lengths and contents of files; `None` where holes are told, which the tar crate fills in by
/// other rules.
fn ours(bytes: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    let mut reader = Reader::new(bytes, Ending::Marked);
    let (mut files, mut plain) = (Vec::new(), true);
    while let Some(Entry { kind, .. }) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.each(&mut |at, bytes| {
            assert_eq!(at, content.len() as u64, "pieces follow each other");
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        if let EntryKind::File { size, data } = kind {
            plain &= data.is_none();
            let stored = data.map_or(size, |data| data.iter().map(|stretch| stretch.length).sum());
            assert_eq!(stored, content.len() as u64);
            files.push(content);
        }
    }
    Ok(plain.then_some(files))
}

/// The same by a reader that gives a PAX record for the length precedence over the header, as GNU tar
/// and bsdtar do; the tar crate takes the header's.
async fn theirs(bytes: &[u8]) -> std::io::Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    let mut entries = tokio_tar::Archive::new(bytes).entries()?;
    while let Some(entry) = entries.next().await {
        let mut entry = entry?;
        let is_directory = entry
            .path_bytes()?
            .split(|&byte| byte == 0)
            .next()
            .is_some_and(|name| name.ends_with(b"/"));
        if matches!(entry.header().entry_type().as_byte(), b'0' | b'\0' | b'7') && !is_directory {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).await?;
            files.push(content);
        }
    }
    Ok(files)
}

fuzz_target!(|bytes: &[u8]| {
    let bytes = summed(bytes);
    let comparable = !has_a_length_of_nothing(&bytes);
    if let (true, Ok(Some(ours)), Ok(theirs)) = (comparable, ours(&bytes), block_on(theirs(&bytes)))
    {
        assert_eq!(ours, theirs);
    }
});
