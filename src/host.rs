//! What the host and the caller are: the facts that are read once, before anything is decided.

use crate::error::{Failure, errno_of};
use crate::namespace::Switch;
use rustix::fs::{PROC_SUPER_MAGIC, statfs};
use rustix::io::Errno;
use rustix::process::{Resource, getegid, geteuid, getpid, getrlimit};
use rustix::thread::{SecureComputingMode, secure_computing_mode};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// A line of `/proc/PID/uid_map`: `count` ids from `inside` on are those from `outside` on,
/// user_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// First id in the namespace.
    pub inside: u32,
    /// First id in the parent namespace.
    pub outside: u32,
    /// How many ids there are from there on.
    pub count: u32,
}

const PROC_USER_INIT_INO: u64 = 0xEFFF_FFFD;

/// Where a user namespace stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserNamespace {
    /// The host's own: there device nodes can be made.
    Initial,
    /// One that was made by unshare(2) or clone(2), below the first.
    Below,
}

/// What the caller may do here, and what the kernel offers.
#[derive(Clone, Debug)]
pub struct Host {
    /// Effective user id of the caller.
    pub uid: u32,
    /// Effective group id of the caller.
    pub gid: u32,
    /// Capabilities in the caller's permitted and bounding sets, a bit each.
    pub held: u64,
    /// The caller's bounding set.
    pub bounding: u64,
    /// The version of the kernel, major and minor, uname(2).
    pub kernel: (u32, u32),
    /// The kernel's last capability.
    pub last_cap: u8,
    /// The caller's own user id map.
    pub uid_map: Vec<Extent>,
    /// The caller's own group id map.
    pub gid_map: Vec<Extent>,
    /// Whether the caller lives in the initial user namespace, which owns the host's other
    /// namespaces: its inode number is a constant of the kernel (PROC_USER_INIT_INO of
    /// linux/proc_ns.h, Linux 3.8).
    pub user_namespace: UserNamespace,
    /// Whether setgroups(2) is allowed there, /proc/self/setgroups.
    pub setgroups: Switch,
    /// Whether the caller may gain no rights by execve(2), PR_SET_NO_NEW_PRIVS, and so nothing below.
    pub no_new_privs: Switch,
    /// Why newuidmap(1) or newgidmap(1) does not map the caller's subordinate ids, once it was
    /// tried.
    pub ranges_refused: Option<String>,
    /// Whether the kernel has refused to show the tree of an image with other owners, once it was
    /// tried.
    pub idmap_refused: Switch,
    /// The soft RLIMIT_MSGQUEUE in bytes, mq_overview(7); `None` is unlimited.
    pub msgqueue_limit: Option<u64>,
    /// Largest mq_maxmsg of a user without CAP_SYS_RESOURCE, /proc/sys/fs/mqueue/msg_max.
    pub msg_max: i64,
}

impl Host {
    /// Reads it all from /proc and by system calls.
    ///
    /// # Errors
    /// Without a readable /proc there is nothing to decide by.
    pub fn read() -> Result<Self, Failure> {
        own_proc()?;
        let sets = rustix::thread::capabilities(None).map_err(|errno| {
            Failure::new("cannot read the capabilities of this process").errno(errno)
        })?;
        let (last_cap, bounding) = bounding_set().map_err(|errno| {
            Failure::new("cannot read the bounding set of this process")
                .errno(errno)
                .man("capabilities(7)")
        })?;
        Ok(Self {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            held: sets.permitted.bits() & bounding,
            bounding,
            kernel: version(&rustix::system::uname().release().to_string_lossy()),
            last_cap,
            uid_map: id_map("/proc/self/uid_map")?,
            gid_map: id_map("/proc/self/gid_map")?,
            user_namespace: user_namespace()?,
            setgroups: match fs::read_to_string("/proc/self/setgroups") {
                Ok(text) if text.trim() == "deny" => Switch::No,
                _ => Switch::Yes,
            },
            no_new_privs: match rustix::thread::no_new_privs() {
                Ok(true) => Switch::Yes,
                Ok(false) | Err(_) => Switch::No,
            },
            ranges_refused: None,
            idmap_refused: Switch::No,
            msgqueue_limit: getrlimit(Resource::Msgqueue).current,
            msg_max: fs::read_to_string("/proc/sys/fs/mqueue/msg_max")
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(10),
        })
    }

    /// Whether the caller has ids in its own user namespace: who has none can make neither a file nor
    /// another namespace there, user_namespaces(7).
    ///
    /// # Errors
    /// One that it lacks.
    pub fn is_mapped(&self) -> Result<(), Failure> {
        let missing = match (contains(&self.uid_map, self.uid), contains(&self.gid_map, self.gid)) {
            (true, true) => return Ok(()),
            (false, _) => "user",
            (true, false) => "group",
        };
        Err(Failure::new(format!("the caller's {missing} id has no place in its user namespace"))
            .why("the namespace maps it to nothing, and so the kernel lets nobody make a file")
            .remedy("unshare --map-root-user, or another map: newuidmap(1)")
            .man("user_namespaces(7)"))
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

/// The kernel's last capability, and the bounding set, a bit each, prctl(2).
fn bounding_set() -> rustix::io::Result<(u8, u64)> {
    let mut found = (0, 0);
    for cap in 0..64 {
        match rustix::thread::capability_is_in_bounding_set(capability(cap)) {
            Ok(is_in_it) => found = (cap, found.1 | u64::from(is_in_it) << cap),
            // The kernel does not know it.
            Err(Errno::INVAL) if cap > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

fn user_namespace() -> Result<UserNamespace, Failure> {
    const OWN: &str = "/proc/self/ns/user";
    match fs::metadata(OWN).map(|stat| stat.ino()) {
        Ok(PROC_USER_INIT_INO) => Ok(UserNamespace::Initial),
        Ok(_) => Ok(UserNamespace::Below),
        // A kernel that has none: then this is the first.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(UserNamespace::Initial),
        Err(error) => Err(Failure::new(format!("cannot look at {OWN}")).errno(errno_of(&error))),
    }
}

/// Whether a seccomp filter is in force around this process, prctl(2).
pub fn is_filtered() -> bool {
    matches!(secure_computing_mode(), Ok(SecureComputingMode::Filter))
}

/// The profile of AppArmor, or the context of SELinux, that confines this process: proc_pid_attr(5).
pub fn security_profile() -> Option<String> {
    confining(&fs::read_to_string("/proc/self/attr/current").ok()?)
}

fn confining(text: &str) -> Option<String> {
    let text = text.trim_matches(['\0', '\n', ' ']);
    // A profile with the flag of that name confines nobody; SELinux has a type of that name.
    let free = ["unconfined", "(unconfined)"].into_iter().any(|end| text.ends_with(end));
    (!text.is_empty() && !free && !text.contains(":unconfined_t")).then(|| text.to_owned())
}

/// Whether an id map has an id, seen from inside.
pub fn contains(map: &[Extent], id: u32) -> bool {
    map.iter().any(|extent| id >= extent.inside && id - extent.inside < extent.count)
}

/// One capability by number, also one that rustix has no name for.
pub fn capability(number: u8) -> rustix::thread::CapabilitySet {
    rustix::thread::CapabilitySet::from_bits_retain(1 << number)
}

/// A /proc of another PID namespace shows other processes under the numbers of ours: signals and
/// maps would hit strangers.
fn own_proc() -> Result<(), Failure> {
    let shown = fs::read_link("/proc/self").map_err(|error| unread("/proc/self", &error))?;
    if shown.to_str().and_then(|pid| pid.parse().ok()) == Some(getpid().as_raw_nonzero().get()) {
        return Ok(());
    }
    Err(Failure::new("/proc shows another PID namespace than the one that rustic runs in")
        .why("the numbers there are those of other processes")
        .remedy("mount a proc of this namespace first, as unshare --mount-proc does")
        .man("pid_namespaces(7)"))
}

/// The first two numbers of a release. A kernel that does not say them is taken for a new one: what
/// it cannot do its calls tell.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let first = numbers.next().and_then(Result::ok).unwrap_or(u32::MAX);
    (first, numbers.next().and_then(Result::ok).unwrap_or(0))
}

/// Without a file of /proc there is nothing to decide by.
fn unread(path: &str, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("cannot read {path}")).errno(errno_of(error));
    match statfs("/proc").map(|stat| stat.f_type) {
        Ok(PROC_SUPER_MAGIC) => failure.why("something is mounted over it, or it is forbidden"),
        Ok(_) | Err(_) => failure.why("no proc is mounted on /proc"),
    }
    .remedy("mount -t proc proc /proc")
    .man("proc(5)")
}

fn id_map(path: &str) -> Result<Vec<Extent>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| unread(path, &error))?;
    extents(&text).ok_or_else(|| Failure::new(format!("{path} is not an id map")))
}

/// The text of an id map; `None` where a line is none.
pub fn extents(text: &str) -> Option<Vec<Extent>> {
    text.lines().map(extent).collect()
}

fn extent(line: &str) -> Option<Extent> {
    let mut numbers = line.split_whitespace().map(|word| word.parse::<u32>().ok());
    Some(Extent { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_a_version() {
        assert_eq!(version("6.18.44-fc-v657"), (6, 18));
        assert_eq!(version("5.4"), (5, 4));
        assert_eq!(version("7.0-rc1"), (7, 0));
        assert_eq!(version("odd"), (u32::MAX, 0));
    }

    #[test]
    fn an_id_is_inside_its_extent_and_not_one_past_it() {
        let map = [
            Extent { inside: 0, outside: 1000, count: 1 },
            Extent { inside: 1, outside: 100_000, count: 65_536 },
        ];
        assert!(contains(&map, 0) && contains(&map, 65_536));
        assert!(!contains(&map, 65_537));
        assert!(!contains(&map, u32::MAX));
    }

    #[test]
    fn who_is_unconfined_has_no_profile() {
        assert_eq!(confining("unconfined\n"), None);
        assert_eq!(confining("\0"), None);
        assert_eq!(confining("rustic (unconfined)\n"), None);
        assert_eq!(confining("unconfined_u:unconfined_r:unconfined_t:s0"), None);
        assert_eq!(confining("docker-default (enforce)\n").unwrap(), "docker-default (enforce)");
    }
}
