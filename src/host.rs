//! What the host and the caller are: the facts that are read once, before anything is decided.

use crate::failure::Failure;
use rustix::process::{Resource, getegid, geteuid, getrlimit};
use std::fs;
use std::str::FromStr;

/// A line of `/proc/PID/uid_map`: `count` ids from `inside` on are those from `outside` on, user_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First id in the namespace.
    pub inside: u32,
    /// First id in the parent namespace.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The facts.
#[derive(Debug)]
pub struct Host {
    /// Effective user id of the caller.
    pub uid: u32,
    /// Effective group id of the caller.
    pub gid: u32,
    /// Capabilities in the caller's permitted and bounding sets, a bit each.
    pub held: u64,
    /// The caller's bounding set.
    pub bounding: u64,
    /// The kernel's last capability, /proc/sys/kernel/cap_last_cap.
    pub last_cap: u8,
    /// The caller's own user id map.
    pub uid_map: Vec<Extent>,
    /// The caller's own group id map.
    pub gid_map: Vec<Extent>,
    /// The soft RLIMIT_MSGQUEUE in bytes, mq_overview(7); `None` is unlimited.
    pub msgqueue_limit: Option<u64>,
    /// Largest mq_maxmsg of a user without CAP_SYS_RESOURCE, /proc/sys/fs/mqueue/msg_max.
    pub msg_max: i64,
}

impl Host {
    /// Reads them.
    ///
    /// # Errors
    /// Without a readable /proc there is nothing to decide by.
    pub fn read() -> Result<Self, Failure> {
        let last_cap: u8 = number("/proc/sys/kernel/cap_last_cap")?;
        let sets = rustix::thread::capabilities(None)
            .map_err(|errno| Failure::new("cannot read the capabilities of this process").errno(errno))?;
        let bounding = (0..=last_cap)
            .filter(|&cap| rustix::thread::capability_is_in_bounding_set(capability(cap)).unwrap_or(false))
            .fold(0, |mask, cap| mask | 1 << cap);
        Ok(Self {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            held: sets.permitted.bits() & bounding,
            bounding,
            last_cap,
            uid_map: id_map("/proc/self/uid_map")?,
            gid_map: id_map("/proc/self/gid_map")?,
            msgqueue_limit: getrlimit(Resource::Msgqueue).current,
            msg_max: number("/proc/sys/fs/mqueue/msg_max").unwrap_or(10),
        })
    }

    /// Whether the caller lives in a user namespace that maps every id, as the initial one does: there device nodes can be made.
    pub fn maps_every_id(&self) -> bool {
        self.uid_map == [Extent { inside: 0, outside: 0, count: u32::MAX }]
    }

    /// Whether the caller holds one capability.
    pub fn holds(&self, capability: caps::Capability) -> bool {
        self.held & capability.bitmask() != 0
    }

    /// Every capability that this kernel knows, a bit each.
    pub fn known_caps(&self) -> u64 {
        u64::MAX >> (63 - u32::from(self.last_cap).min(63))
    }
}

/// Whether an id map has an id, seen from inside.
pub fn contains(map: &[Extent], id: u32) -> bool {
    map.iter().any(|extent| id >= extent.inside && id - extent.inside < extent.count)
}

/// One capability by number, also one that rustix has no name for.
pub fn capability(number: u8) -> rustix::thread::CapabilitySet {
    rustix::thread::CapabilitySet::from_bits_retain(1 << number)
}

fn number<T: FromStr>(path: &str) -> Result<T, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::new(format!("cannot read {path}: {error}")))?;
    text.trim().parse().map_err(|_| Failure::new(format!("{path} is not a number")))
}

fn id_map(path: &str) -> Result<Vec<Extent>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::new(format!("cannot read {path}: {error}")))?;
    text.lines().map(extent).collect::<Option<_>>().ok_or_else(|| Failure::new(format!("{path} is not an id map")))
}

fn extent(line: &str) -> Option<Extent> {
    let mut numbers = line.split_whitespace().map(|word| word.parse::<u32>().ok());
    Some(Extent { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_inside_its_extent_and_not_one_past_it() {
        let map = [Extent { inside: 0, outside: 1000, count: 1 }, Extent { inside: 1, outside: 100_000, count: 65_536 }];
        assert!(contains(&map, 0) && contains(&map, 65_536));
        assert!(!contains(&map, 65_537));
        assert!(!contains(&map, u32::MAX));
    }
}
