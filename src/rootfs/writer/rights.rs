//! What the one who unpacks may give to files.

use crate::host::{Extent, Host, UserNamespace};
use caps::Capability;

/// What becomes of owners other than the one who unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Each entry gets the ids that the archive has.
    Kept,
    /// Each entry gets them where the user namespace has them. The others belong to who unpacks,
    /// without the set-ID bits that would be somebody else's then, and are counted.
    KeptWhereMapped,
    /// Everything belongs to who unpacks, and is counted.
    Squashed,
}

/// What becomes of the set-ID bits of files that belong to who unpacks in place of their owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetIds {
    /// They stay: nobody but who unpacks reaches the files.
    Kept,
    /// They go, and are counted: whoever has made the archive would give others a program with the
    /// rights of who unpacks.
    Dropped,
}

/// What becomes of device nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// They are made as the archive has them.
    Made,
    /// They are left out, and counted.
    Skipped,
}

/// What the one who unpacks may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackRights {
    /// What becomes of owners.
    pub owners: Owners,
    /// What becomes of device nodes.
    pub devices: Devices,
    /// What becomes of set-ID bits where owners are not kept.
    pub set_ids: SetIds,
}

impl Owners {
    /// What root of a user namespace can give, by its map of user ids.
    pub fn of_root(uid_map: &[Extent]) -> Self {
        match uid_map {
            map if is_whole(map) => Self::Kept,
            [Extent { count: 1, .. }] => Self::Squashed,
            _ => Self::KeptWhereMapped,
        }
    }
}

/// Whether a map has every id there is.
pub fn is_whole(map: &[Extent]) -> bool {
    matches!(map, [Extent { inside: 0, count: u32::MAX, .. }])
}

impl UnpackRights {
    /// Those of root in a user namespace with this map of user ids.
    pub fn in_user_namespace(uid_map: &[Extent]) -> Self {
        let (owners, devices) = (Owners::of_root(uid_map), Devices::Skipped);
        Self { owners, devices, set_ids: SetIds::Kept }
    }

    /// Those of the caller: root keeps owners, and outside a user namespace makes device nodes.
    pub fn of(host: &Host) -> Self {
        let nodes =
            host.user_namespace == UserNamespace::Initial && host.holds(Capability::CAP_MKNOD);
        Self {
            owners: if host.uid == 0 { Owners::of_root(&host.uid_map) } else { Owners::Squashed },
            devices: if nodes && host.uid == 0 { Devices::Made } else { Devices::Skipped },
            set_ids: SetIds::Kept,
        }
    }
}
