//! The mounts that were ordered, parents first, and those that --read-only leaves to be written.

use super::ladder::{Ladder, c_string};
use super::mounts::{below_root, tmpfs_options};
use crate::beneath::{Kind, Missing};
use crate::error::Failure;
use crate::mounts::{Attributes, OverlayMarks};
use crate::namespace::Switch;
use crate::run::step::{Mount, RootfsStep, Source};
use crate::spec::{Bind, FileOrder, Writing, shown};
use crate::walls::idmap::IdMaps;
use std::ffi::CString;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The most that each of the small tmpfs of --read-only holds, in bytes.
const TEMPORARY_SIZE: u64 = 64 << 20;

/// As many sockets below a bind are named.
const MOST_SOCKETS: usize = 3;

impl Ladder<'_> {
    /// What --read-only leaves to be written: an empty tmpfs on each of these that is there, unless
    /// something was ordered on it or above it.
    pub(super) fn plan_temporary_mounts(&mut self) {
        let spec = self.spec;
        if spec.writing != Writing::Refused {
            return;
        }
        let ordered = spec.files.parents_first();
        for (target, mode) in [("/tmp", "1777"), ("/run", "0755"), ("/var/tmp", "1777")] {
            if ordered.iter().any(|order| Path::new(target).starts_with(order.target())) {
                continue;
            }
            let source = self.tmpfs_of_root(mode, TEMPORARY_SIZE);
            let mount = Mount::new(
                source,
                self.restrictions(),
                below_root(Path::new(target)),
                Kind::Directory,
            );
            self.add(Mount { missing: Missing::Skipped, ..mount });
        }
    }

    /// --bind, --tmpfs, --overlay and --hide.
    ///
    /// # Errors
    /// What is hidden and ordered to be seen at once.
    pub(super) fn plan_ordered_mounts(&mut self, image: Option<&Path>) -> Result<(), Failure> {
        let spec = self.spec;
        let mut hides = self.plan_hides(image)?;
        for order in spec.files.parents_first() {
            let target = below_root(order.target());
            let (source, attributes, kind) = match order {
                FileOrder::Bind(bind) => bound(bind, self.restrictions()),
                FileOrder::Tmpfs(ordered) => {
                    let size = ordered.size.unwrap_or(spec.scratch_size);
                    let source = self.tmpfs_of_root("1777", size);
                    (source, self.restrictions(), Kind::Directory)
                }
                FileOrder::Overlay(overlay) => {
                    let (lower, marks) = (c_string(&overlay.lower), self.overlay_marks());
                    (Source::Overlay { lower, marks }, self.restrictions(), Kind::Directory)
                }
                FileOrder::Hide(_) => {
                    // In its place among the others, which may lie below it.
                    let is_this = |step: &RootfsStep| match step {
                        RootfsStep::Hide { path, .. } => *path == target,
                        _ => false,
                    };
                    let step = hides.iter().position(is_this).map(|place| hides.remove(place));
                    self.ordered.extend(step);
                    continue;
                }
            };
            let mount = Mount::new(source, attributes, target, kind);
            let slot = self.add(Mount { ordered: Switch::Yes, ..mount });
            match order {
                FileOrder::Bind(bind) => self.name_sockets(bind),
                FileOrder::Overlay(overlay) => {
                    let path = c_string(&overlay.lower);
                    self.lowers.push(RootfsStep::OpenLower { slot, path });
                }
                // Read-only when everything that is to be seen in it has its place.
                FileOrder::Tmpfs(tmpfs) if tmpfs.writable == Switch::No => self.kept.push(slot),
                FileOrder::Tmpfs(_) | FileOrder::Hide(_) => {}
            }
            let attach = self.mounts.get(slot).cloned().map(RootfsStep::Attach);
            self.ordered.extend(attach);
        }
        // The other names of what is hidden.
        self.ordered.append(&mut hides);
        Ok(())
    }

    /// A tmpfs that belongs to root inside, whoever makes it.
    pub(super) fn tmpfs_of_root(&self, mode: &str, size: u64) -> Source {
        let mut options = tmpfs_options(mode, size);
        if let Some((uid, gid)) = self.maps.and_then(IdMaps::owner) {
            let number = |id: u32| CString::new(id.to_string()).ok();
            options.extend([(c"uid", number(uid)), (c"gid", number(gid))]);
        }
        Source::New { fs: c"tmpfs", options }
    }

    pub(super) fn overlay_marks(&self) -> OverlayMarks {
        if self.has_builder() || self.owns_the_shared() {
            OverlayMarks::Trusted
        } else {
            OverlayMarks::User
        }
    }

    /// Says which sockets a bind shows, as far as that is seen cheaply: the bind itself, and its
    /// first level.
    fn name_sockets(&mut self, bind: &Bind) {
        let is_socket =
            |path: &Path| path.symlink_metadata().is_ok_and(|stat| stat.file_type().is_socket());
        let mut sockets: Vec<PathBuf> = if is_socket(&bind.source) {
            vec![bind.target.clone()]
        } else {
            let entries = std::fs::read_dir(&bind.source).into_iter().flatten().flatten();
            let sockets = entries.filter(|entry| is_socket(&entry.path()));
            sockets.map(|entry| bind.target.join(entry.file_name())).collect()
        };
        sockets.sort_unstable();
        let more = sockets.len().saturating_sub(MOST_SOCKETS);
        sockets.truncate(MOST_SOCKETS);
        for socket in sockets {
            let socket = shown(&socket);
            self.remarks
                .push(format!("a door: {socket} is a socket: who listens can be talked to"));
        }
        if more > 0 {
            self.remarks.push(format!("a door: {more} more sockets in {}", shown(&bind.target)));
        }
    }
}

/// What a bind shows, and how. A device that is ordered by name is meant to be used.
fn bound(bind: &Bind, restrictions: Attributes) -> (Source, Attributes, Kind) {
    let kind = bind.source.metadata().map(|stat| stat.file_type());
    let is = |what: fn(&std::fs::FileType) -> bool| kind.as_ref().is_ok_and(what);
    let device = is(FileTypeExt::is_char_device) || is(FileTypeExt::is_block_device);
    let attributes = if device { Attributes::NO_SUID } else { restrictions };
    let read_only =
        if bind.writable == Switch::No { Attributes::READ_ONLY } else { Attributes::NONE };
    let kind = if is(std::fs::FileType::is_dir) { Kind::Directory } else { Kind::File };
    (Source::Host(c_string(&bind.source)), attributes.union(read_only), kind)
}
