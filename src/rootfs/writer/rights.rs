//! What the one who unpacks may give to files.

use crate::host::{Host, UserNamespace};
use caps::Capability;

/// What becomes of owners other than the one who unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Each entry gets the ids that the archive has.
    Kept,
    /// Everything belongs to who unpacks, and is counted.
    Squashed,
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
}

impl UnpackRights {
    /// Those of the caller: root keeps owners, and outside a user namespace makes device nodes.
    pub fn of(host: &Host) -> Self {
        let nodes =
            host.user_namespace == UserNamespace::Initial && host.holds(Capability::CAP_MKNOD);
        Self {
            owners: if host.uid == 0 { Owners::Kept } else { Owners::Squashed },
            devices: if nodes && host.uid == 0 { Devices::Made } else { Devices::Skipped },
        }
    }
}
