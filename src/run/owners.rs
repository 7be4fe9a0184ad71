//! Whose the files of an image are to the container: kept, shown under other ids, or lost.

use super::plan::maps;
use crate::host::Host;
use crate::namespace::Switch;
use crate::rootfs::keeper::FileIds;
use crate::rootfs::renumber::Renumber;
use crate::rootfs::store::{LeasedTree, OwnersSeen, Store};
use crate::run::refusal::Unsuccessful;
use crate::spec::{Spec, has_other_ids};
use crate::walls::idmap::{IdMaps, Writer};
use rustix::fs::statfs;
use std::path::Path;

/// Whether the owners of a tree can be shown by an idmapped mount below an overlay, where root has
/// ids of its own: overlayfs has none below it, and none on it before Linux 5.19. What else refuses
/// it is known when it was tried.
pub(super) fn can_be_shown(tree: &Path, spec: &Spec, host: &Host) -> bool {
    const OVERLAYFS_SUPER_MAGIC: i64 = 0x794c_7630;
    !has_other_ids(&spec.namespaces, host)
        || host.idmap_refused == Switch::No
            && host.kernel >= (5, 19)
            && !statfs(tree).is_ok_and(|stat| stat.f_type == OVERLAYFS_SUPER_MAGIC)
}

/// How owners get their numbers where the caller's own is kept: the same ids, in another order.
pub(super) fn other_numbers(
    held: &LeasedTree,
    store: &Store,
    spec: &Spec,
    host: &Host,
) -> Option<Renumber> {
    let to = held.record.as_ref()?.ids.clone().filter(|ids| Some(ids) == store.ids())?;
    let helped =
        maps(spec, host, None).filter(|maps| matches!(maps.writer, Writer::Helpers { .. }))?;
    let from = FileIds { uids: helped.uids, gids: helped.gids };
    Some(Renumber { from, to, root: (0, 0) })
}

/// How the owners of a tree look to the container.
pub(super) fn owners_seen(held: &LeasedTree, spec: &Spec, host: &Host) -> OwnersSeen {
    let record = held.record.as_ref();
    record
        .map_or(OwnersSeen::Right, |record| record.owners_seen(container_ids(spec, host).as_ref()))
}

/// The warning of owners that were lost, where they could be kept: that is tried before it is said.
pub(super) fn lost(
    held: &LeasedTree,
    store: &Store,
    spec: &Spec,
    host: &Host,
) -> Result<Option<String>, Unsuccessful> {
    if owners_seen(held, spec, host) != OwnersSeen::Lost {
        return Ok(None);
    }
    store.try_ids().map_err(Unsuccessful::no_ranges)?;
    Ok(Some(
        "the image was unpacked with one owner for every file; rustic rootfs rm and import again \
         keep them"
            .into(),
    ))
}

/// The ids of the container, as the owners of files are to it; `None` where it has every id.
fn container_ids(spec: &Spec, host: &Host) -> Option<FileIds> {
    match maps(spec, host, None) {
        // One to one with the caller's.
        None => FileIds::of_root(host),
        // Shown as they are on disk.
        Some(IdMaps { writer: Writer::Privileged | Writer::Outside, .. }) => FileIds::of_root(host),
        Some(maps) => {
            let seen = spec.inside.as_ref().filter(|_| maps.writer != Writer::OneId);
            Some(match seen {
                Some(inside) => FileIds { uids: inside.uids.clone(), gids: inside.gids.clone() },
                None => FileIds { uids: maps.uids, gids: maps.gids },
            })
        }
    }
}
