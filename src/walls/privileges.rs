//! Ids, capabilities and no_new_privs, and the proof that they are what was ordered,
//! capabilities(7).

use crate::error::SysError;
use crate::host::capability;
use crate::namespace::Switch;
use rustix::io::{Errno, Result};
use rustix::process::{Gid, Uid};
use rustix::thread::{self, CapabilitySet, CapabilitySets};

/// What CMD's credentials must be after the last step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// The supplementary groups; a user namespace of one id forbids setgroups(2).
    pub groups: Groups,
    /// The bounding set.
    pub bounding: u64,
    /// Permitted and effective sets.
    pub permitted: u64,
    /// Inheritable and ambient sets: how a uid other than 0 keeps capabilities through execve.
    pub ambient: u64,
    /// Whether execve(2) may give more.
    pub new_privs: Switch,
    /// The kernel's last capability.
    pub last_cap: u8,
}

/// The supplementary groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// These, in ascending order, and none of the caller's.
    Set(Vec<u32>),
    /// They stay as they are, because setgroups(2) is denied in the namespace.
    Kept,
}

impl Credentials {
    /// What `--uid`, `--gid` and `--caps` come to.
    pub fn ordered(
        uid: u32,
        gid: u32,
        caps: u64,
        kept: u64,
        groups: Groups,
        new_privs: Switch,
        last_cap: u8,
    ) -> Self {
        // The default set bounds what another uid than 0 could gain, as podman has it; what was
        // ordered by name it holds, through the ambient set.
        let (permitted, ambient) = if uid == 0 { (caps, 0) } else { (kept, kept) };
        Self { uid, gid, groups, bounding: caps, permitted, ambient, new_privs, last_cap }
    }
}

fn set(mask: u64) -> CapabilitySet {
    CapabilitySet::from_bits_retain(mask)
}

/// Takes capabilities out of the bounding set. Done while CAP_SETPCAP is held, that is before the
/// uid changes.
///
/// # Errors
/// EPERM without CAP_SETPCAP.
pub fn bound(unwanted: u64) -> Result<()> {
    (0..64)
        .filter(|cap| unwanted & 1 << cap != 0)
        .try_for_each(|cap| thread::remove_capability_from_bounding_set(capability(cap)))
}

/// The supplementary groups; the caller's are given up.
///
/// # Errors
/// EPERM without CAP_SETGID, or where setgroups is denied; EINVAL for an id that the user namespace
/// does not map, and for more than 65,536.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    thread::set_thread_groups(&groups)
}

/// Real, effective and saved group id.
///
/// # Errors
/// EINVAL for an id that the user namespace does not map.
pub fn set_gid(gid: u32) -> Result<()> {
    let gid = Gid::from_raw(gid);
    thread::set_thread_res_gid(gid, gid, gid)
}

/// Real, effective and saved user id. Permitted capabilities are kept, so that [`set_capabilities`]
/// can choose among them.
///
/// # Errors
/// EINVAL for an id that the user namespace does not map.
pub fn set_uid(uid: u32) -> Result<()> {
    let keep = |keep| if uid == 0 { Ok(()) } else { thread::set_keep_capabilities(keep) };
    keep(true)?;
    let uid = Uid::from_raw(uid);
    thread::set_thread_res_uid(uid, uid, uid)?;
    keep(false)
}

/// Permitted, effective and inheritable sets in one capset(2), then the ambient set.
///
/// # Errors
/// EPERM for a capability that is not held.
pub fn set_capabilities(permitted: u64, ambient: u64, last_cap: u8) -> Result<()> {
    thread::clear_ambient_capability_set()?;
    thread::set_capabilities(
        None,
        CapabilitySets {
            effective: set(permitted),
            permitted: set(permitted),
            inheritable: set(ambient),
        },
    )?;
    for cap in (0..=last_cap).filter(|cap| ambient & 1 << cap != 0) {
        thread::configure_capability_in_ambient_set(capability(cap), true)?;
    }
    Ok(())
}

/// Compares what the kernel says of this process with what was ordered: the start fails where they
/// differ.
///
/// # Errors
/// EPERM, with the first field of /proc/self/status that differs.
pub fn check(ordered: &Credentials) -> std::result::Result<(), SysError> {
    let sets = thread::capabilities(None)?;
    let mask = |present: fn(CapabilitySet) -> Result<bool>| -> Result<u64> {
        (0..=ordered.last_cap)
            .try_fold(0, |mask, cap| Ok(mask | u64::from(present(capability(cap))?) << cap))
    };
    let bounding = mask(thread::capability_is_in_bounding_set)?;
    // What is not inheritable cannot be ambient, capabilities(7): the kernel keeps that true.
    let ambient = match sets.inheritable.is_empty() {
        true => 0,
        false => mask(thread::capability_is_in_ambient_set)?,
    };
    let uid = nix::unistd::getresuid().map_err(SysError::from)?;
    let gid = nix::unistd::getresgid().map_err(SysError::from)?;
    let numbers = [
        (
            "Uid",
            u64::from(ordered.uid),
            vec![
                uid.real.as_raw().into(),
                uid.effective.as_raw().into(),
                uid.saved.as_raw().into(),
            ],
        ),
        (
            "Gid",
            u64::from(ordered.gid),
            vec![
                gid.real.as_raw().into(),
                gid.effective.as_raw().into(),
                gid.saved.as_raw().into(),
            ],
        ),
        ("CapBnd", ordered.bounding, vec![bounding]),
        ("CapPrm", ordered.permitted, vec![sets.permitted.bits()]),
        ("CapEff", ordered.permitted, vec![sets.effective.bits()]),
        ("CapInh", ordered.ambient, vec![sets.inheritable.bits()]),
        ("CapAmb", ordered.ambient, vec![ambient]),
        (
            "NoNewPrivs",
            u64::from(ordered.new_privs == Switch::No),
            vec![thread::no_new_privs()?.into()],
        ),
    ];
    for (field, wanted, found) in numbers {
        if let Some(other) = found.iter().find(|&&value: &&u64| value != wanted) {
            return Err(SysError::new(
                Errno::PERM,
                format!("{field} is {other:#x} and was ordered as {wanted:#x}"),
            ));
        }
    }
    match &ordered.groups {
        Groups::Set(wanted) => groups_are(wanted),
        Groups::Kept => Ok(()),
    }
}

fn groups_are(wanted: &[u32]) -> std::result::Result<(), SysError> {
    let groups = nix::unistd::getgroups().map_err(SysError::from)?;
    let mut found: Vec<u32> = groups.into_iter().map(nix::unistd::Gid::as_raw).collect();
    found.sort_unstable();
    if found == wanted {
        return Ok(());
    }
    Err(SysError::new(Errno::PERM, format!("Groups is {found:?} and was ordered as {wanted:?}")))
}
