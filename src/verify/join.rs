//! A container that runs already: its namespaces, its root and its rights are those of one of its
//! processes, and a probe joins them. What that process has inherited, and its filter of system
//! calls, nobody can join.

use crate::error::{errno_of, errno_text, of_nix, without_number};
use crate::host::{Host, capability, extents};
use crate::namespace::Namespace;
use crate::self_exe;
use crate::sys;
use crate::verify::child::ended;
use caps::Capability;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
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
    permitted: u64,
    bounding: u64,
    no_new_privs: bool,
    /// Whether a filter of system calls is on it, seccomp(2).
    pub filtered: bool,
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
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).map_err(|error| match errno_of(&error) {
                Errno::NOENT | Errno::SRCH => format!("there is no process {pid}"),
                _ => format!("{path}: {}", without_number(&error)),
            })
        };
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
        let id = |name: &str, map: &str| {
            let effective = value(name).split_whitespace().nth(1)?.parse::<u32>().ok()?;
            let of = extents(map)?.into_iter().find(|extent| {
                effective >= extent.outside && effective - extent.outside < extent.count
            })?;
            Some(of.inside + (effective - of.outside))
        };
        let opened = |path: String, flags: OFlags| {
            open(path.as_str(), flags | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| format!("{path}: {}", errno_text(errno)))
        };
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
            let same = |path: &str| fs::read_link(path).ok();
            if same(&theirs) != same(&format!("/proc/self/ns/{entry}")) {
                links.push(opened(theirs, OFlags::RDONLY)?);
            }
        }
        Ok(Self {
            pid,
            links: links.into(),
            root: opened(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::DIRECTORY)?.into(),
            uid: id("Uid:", &read("uid_map")?).unwrap_or(0),
            gid: id("Gid:", &read("gid_map")?).unwrap_or(0),
            permitted: mask("CapPrm:"),
            bounding: mask("CapBnd:"),
            no_new_privs: value("NoNewPrivs:") == "1",
            filtered: value("Seccomp:") == "2",
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
        fchdir(self.root.as_fd())?;
        chroot(".")?;
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
        for number in (0..64).filter(|number| self.bounding & 1 << number == 0) {
            match remove_capability_from_bounding_set(capability(number)) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            }
        }
        set_keep_capabilities(true)?;
        // A user namespace may have given up this right, user_namespaces(7).
        let _ = nix::unistd::setgroups(&[]);
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

/// The program of the probe, to be executed where no root has it.
///
/// # Errors
/// Those of [`self_exe::binary`], for a reader.
pub(super) fn program() -> Result<OwnedFd, String> {
    self_exe::binary().map_err(|error| format!("a copy of rustic: {}", without_number(&error)))
}
