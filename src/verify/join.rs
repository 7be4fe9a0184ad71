//! A container that runs already: its namespaces, its root and its rights are those of one of its
//! processes, and a probe joins them. What that process has inherited, and its filter of system
//! calls, nobody can join.

use crate::error::{errno_of, errno_text, of_nix, without_number};
use crate::host::{Extent, Host, capability, extents};
use crate::namespace::Namespace;
use crate::self_exe;
use crate::sys;
use crate::verify::child::ended;
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Signal, chroot, fchdir, set_dumpable_behavior,
    set_parent_process_death_signal,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, LinkNameSpaceType, configure_capability_in_ambient_set,
    move_into_link_name_space, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs,
};
use std::fs;
use std::path::Path;
use std::rc::Rc;

/// A process of a container, as it was when it was looked at.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its namespaces that are not this process's, in the order in which they are entered.
    links: Rc<Vec<OwnedFd>>,
    root: Rc<OwnedFd>,
    /// Its ids, as its own user namespace has them.
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    permitted: u64,
    bounding: u64,
    no_new_privs: bool,
    /// Whether a filter of system calls is on it, seccomp(2).
    pub filtered: bool,
    /// Whether it is in other cgroups than this process: their rules for devices are not the probe's.
    pub in_other_cgroups: bool,
}

/// That of time first: it cannot be entered from below. That of users last: the rights over the
/// others are those of the caller, where he has any.
const ORDER: [Namespace; 8] = [
    Namespace::Time,
    Namespace::Cgroup,
    Namespace::Uts,
    Namespace::Ipc,
    Namespace::Net,
    Namespace::Pid,
    Namespace::Mount,
    Namespace::User,
];

impl Process {
    /// Looks at a process.
    ///
    /// # Errors
    /// Which of its files cannot be read and why, for a reader.
    pub fn look(pid: i32, host: &Host) -> Result<Self, String> {
        let read = |file: &str| read(pid, file);
        let status = read("status")?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        if value("State:").starts_with(['Z', 'X']) {
            return Err(format!("process {pid} has ended, and waits for its parent to see it"));
        }
        if value("Kthread:") == "1" || read("cmdline")?.is_empty() && read("maps")?.is_empty() {
            return Err(format!("process {pid} is a thread of the kernel"));
        }
        let mask = |name: &str| u64::from_str_radix(&value(name), 16).unwrap_or(0);
        let inside = |outside: u32, map: &str| {
            let has = |extent: &Extent| {
                outside >= extent.outside && outside - extent.outside < extent.count
            };
            let of = extents(map)?.into_iter().find(has)?;
            Some(of.inside + (outside - of.outside))
        };
        let numbers = |name: &str| -> Vec<u32> {
            value(name).split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        // Real, effective, saved, of files: execve of the probe leaves one of them.
        let id = |name: &str, map: &str| match numbers(name).as_slice() {
            [first, others @ ..] if others.iter().all(|other| other == first) => {
                inside(*first, map).ok_or_else(|| format!("{name} {first} of {pid} is not mapped"))
            }
            _ => Err(format!(
                "process {pid} has several ids at once, which no probe can have ({name} {})",
                value(name).replace('\t', " ")
            )),
        };
        let gid_map = read("gid_map")?;
        Ok(Self {
            pid,
            links: links(pid, host)?.into(),
            root: opened(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::DIRECTORY)?.into(),
            uid: id("Uid:", &read("uid_map")?)?,
            gid: id("Gid:", &gid_map)?,
            groups: numbers("Groups:")
                .into_iter()
                .filter_map(|gid| inside(gid, &gid_map))
                .collect(),
            permitted: mask("CapPrm:"),
            bounding: mask("CapBnd:"),
            no_new_privs: value("NoNewPrivs:") == "1",
            filtered: value("Seccomp:") == "2",
            in_other_cgroups: read("cgroup").ok() != fs::read_to_string("/proc/self/cgroup").ok(),
        })
    }

    /// Enters all of it in this process, and goes on in a child where the pid namespace takes
    /// effect; this process ends with it.
    ///
    /// # Errors
    /// Those of setns(2), chroot(2) and of what takes rights away.
    pub(super) fn enter(&self) -> Result<(), Errno> {
        // Whoever is inside would reach the program of the host by /proc/PID/exe (CVE-2019-5736).
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        for link in self.links.iter() {
            move_into_link_name_space(link.as_fd(), None::<LinkNameSpaceType>)?;
        }
        let place = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        let own = rustix::fs::stat("/").map(place);
        if own != fstat(self.root.as_fd()).map(place) {
            fchdir(self.root.as_fd())?;
            chroot(".")?;
        }
        // SAFETY: the verifier's processes have one thread each.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        if let Some(child) = forked? {
            let code = ended(child).and_then(|status| status.exit_status()).unwrap_or(125);
            sys::exit_now(code as u8)
        }
        self.take_rights()?;
        set_parent_process_death_signal(Some(Signal::KILL))
    }

    /// The ids and the capabilities that it has, and no others.
    fn take_rights(&self) -> Result<(), Errno> {
        hold_no_more_than(self.bounding)?;
        set_keep_capabilities(true)?;
        // A user namespace may have given up this right, user_namespaces(7).
        let groups: Vec<_> = self.groups.iter().map(|group| (*group).into()).collect();
        let _ = nix::unistd::setgroups(&groups);
        let (uid, gid) = (self.uid.into(), self.gid.into());
        nix::unistd::setresgid(gid, gid, gid).map_err(of_nix)?;
        nix::unistd::setresuid(uid, uid, uid).map_err(of_nix)?;
        let set = CapabilitySet::from_bits_retain(self.permitted);
        set_capabilities(
            None,
            CapabilitySets { effective: set, permitted: set, inheritable: set },
        )?;
        if self.uid != 0 {
            for number in (0..64).filter(|number| self.permitted & 1 << number != 0) {
                configure_capability_in_ambient_set(capability(number), true)?;
            }
        }
        if self.no_new_privs { set_no_new_privs(true) } else { Ok(()) }
    }

    /// What keeps it from crossing a wall and is not on the probe.
    pub fn not_on(&self, wall: Wall) -> Option<&'static str> {
        let by_cgroup = matches!(wall, Wall::Devices | Wall::Cgroup | Wall::Root);
        match (self.filtered, self.in_other_cgroups && by_cgroup) {
            (true, _) => Some("the filter"),
            (false, true) => Some("the cgroup"),
            (false, false) => None,
        }
    }

    /// What it holds that has come from outside, as far as that can be read: descriptors of files
    /// on mounts that are none of its own, proc_pid_fdinfo(5).
    pub fn came_along(&self) -> Vec<String> {
        let folder = format!("/proc/{}", self.pid);
        let table = fs::read_to_string(format!("{folder}/mountinfo")).unwrap_or_default();
        let own: Vec<&str> = table.lines().filter_map(|line| line.split(' ').next()).collect();
        let numbers = fs::read_dir(format!("{folder}/fd")).into_iter().flatten().flatten();
        let mut found: Vec<String> = numbers
            .filter_map(|entry| {
                let number = entry.file_name().to_str()?.to_owned();
                let link = fs::read_link(entry.path()).ok()?;
                let info = fs::read_to_string(format!("{folder}/fdinfo/{number}")).ok()?;
                let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
                let is_file = link.starts_with("/") && link != Path::new("/dev/null");
                (is_file && !own.contains(&mount)).then(|| format!("{number}: {}", link.display()))
            })
            .collect();
        found.sort();
        found
    }
}

/// Takes every capability out of the bounding set but these, a bit each.
///
/// # Errors
/// EPERM without CAP_SETPCAP.
pub(super) fn hold_no_more_than(held: u64) -> Result<(), Errno> {
    for number in (0..64).filter(|number| held & 1 << number == 0) {
        match remove_capability_from_bounding_set(capability(number)) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn read(pid: i32, file: &str) -> Result<String, String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(|error| match errno_of(&error) {
        Errno::NOENT | Errno::SRCH => format!("there is no process {pid}"),
        _ => format!("{path}: {}", without_number(&error)),
    })
}

fn opened(path: String, flags: OFlags) -> Result<OwnedFd, String> {
    open(path.as_str(), flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| format!("{path}: {}", errno_text(errno)))
}

/// Its namespaces that are not this process's, in the order in which they are entered.
fn links(pid: i32, host: &Host) -> Result<Vec<OwnedFd>, String> {
    // Who has no right over the machine has one over the user namespace that he has made, and in
    // it over the others.
    let mut order = ORDER;
    if !host.holds(Capability::CAP_SYS_ADMIN) {
        order.rotate_right(1);
    }
    let mut links = Vec::new();
    for namespace in order {
        let entry = namespace.proc_entry();
        let theirs = format!("/proc/{pid}/ns/{entry}");
        if fs::read_link(&theirs).is_err_and(|error| errno_of(&error) == Errno::ACCESS) {
            return Err(format!(
                "process {pid} is not this caller's: it has rights that the caller has not, or \
                        other ids"
            ));
        }
        let same = |path: &str| fs::read_link(path).ok();
        if same(&theirs) != same(&format!("/proc/self/ns/{entry}")) {
            links.push(opened(theirs, OFlags::RDONLY)?);
        }
    }
    Ok(links)
}

/// The program of the probe, to be executed where no root has it.
///
/// # Errors
/// Those of [`self_exe::binary`], for a reader.
pub(super) fn program() -> Result<OwnedFd, String> {
    self_exe::binary().map_err(|error| format!("a copy of rustic: {}", without_number(&error)))
}
