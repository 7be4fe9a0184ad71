//! What looks like a tar archive of files and is one of images.

use crate::rootfs::entry::{Entry, EntryKind};

/// Archives of images that are no root file system: they hold one, layer by layer, and unpacked as
/// they are they would make nonsense.
#[derive(Default)]
pub(super) struct Marks {
    manifest: Option<()>,
    layer: Option<()>,
}

impl Marks {
    /// What the archive is, once that is plain.
    pub(super) fn look(&mut self, entry: &Entry) -> Option<&'static str> {
        let name = entry.place.bytes();
        match &entry.kind {
            EntryKind::File { .. } if name == b"oci-layout" => return Some("an OCI image layout"),
            EntryKind::File { .. } if name == b"manifest.json" => self.manifest = Some(()),
            EntryKind::File { .. } | EntryKind::Symlink(_)
                if name.ends_with(b"/layer.tar")
                    && name.iter().filter(|&&byte| byte == b'/').count() == 1 =>
            {
                self.layer = Some(());
            }
            EntryKind::Directory
            | EntryKind::File { .. }
            | EntryKind::Symlink(_)
            | EntryKind::HardLink(_)
            | EntryKind::Character(..)
            | EntryKind::Block(..)
            | EntryKind::Fifo => {}
        }
        self.manifest.and(self.layer).map(|()| "an archive of docker save")
    }
}
