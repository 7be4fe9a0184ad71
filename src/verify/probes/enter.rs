//! Entering: whoever can name a process outside, by its number or in a /proc that shows it, and has
//! the right to, joins its namespaces, setns(2). Each of these probes is one of the wall that it
//! would be beyond.

use crate::error::errno_of;
use crate::namespace::Namespace;
use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::pid::canary::PidCanary;
use crate::verify::probes::receipt::arrived;
use crate::verify::probes::root::canary::RootCanary;
use crate::verify::probes::uncover::uncovered;
use crate::verify::protocol::{Crossing, Ground, Reply, Topic};
use crate::verify::stage::Scene;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use caps::Capability;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open, stat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces,
};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The probes. A user namespace is entered by nobody who is in one below it.
pub const PROBES: [Probe; 8] = [
    entering("RV-PID-09", Wall::Pid, "enter the pid namespace of a process outside", pid),
    entering("RV-MNT-04", Wall::Mnt, "enter the mount namespace of a process outside", mnt),
    entering("RV-UTS-04", Wall::Uts, "enter the uts namespace of a process outside", uts),
    entering("RV-NET-12", Wall::Net, "enter the network namespace of a process outside", net),
    entering("RV-IPC-09", Wall::Ipc, "enter the ipc namespace of a process outside", ipc),
    entering("RV-CGR-04", Wall::Cgroup, "enter the cgroup namespace of a process outside", cgroup),
    entering("RV-TIM-03", Wall::Time, "enter the time namespace of a process outside", time),
    entering("RV-ROOT-09", Wall::Root, "the same with its mounts, and open a file there", root),
];

const fn entering(
    id: &'static str,
    wall: Wall,
    title: &'static str,
    attempt: fn(&Outside<'_>, &Target) -> Try,
) -> Probe {
    Probe { id, wall, title, direction: Direction::Out, effect: Effect::None, attempt }
}

/// No process, no such entry, no right.
const WALLED: [Errno; 6] =
    [Errno::SRCH, Errno::NOENT, Errno::PERM, Errno::ACCESS, Errno::INVAL, Errno::NOSYS];

const MAY_NOT: &str = "the caller may not enter it anew itself";

fn enter(namespace: Namespace, outside: &Outside<'_>, subject: &Target) -> Try {
    let identity = subject.identity(namespace);
    let contained = !subject.role.is_open();
    if contained && identity == Identity::Same && outside.stage.scene == Scene::Host {
        // Hardly anything is tried there: that it is in it already says enough.
        let link = format!("/proc/{}/ns/{}", subject.pid, namespace.proc_entry());
        let reply = Reply::plain("readlink", link, Ok(()));
        return Try::marking(reply, identity, arrived(true), "it is the outside's own", &[]);
    }
    if contained && identity == Identity::Same {
        return Try::untried("setns", "both sides are in it anyway");
    }
    let owned_by_the_stage = !matches!(namespace, Namespace::Pid | Namespace::Cgroup);
    if !owned_by_the_stage && !outside.stage.holds(Capability::CAP_SYS_ADMIN) {
        return Try::untried("setns", MAY_NOT);
    }
    outside.planted("setns", |canary: &PidCanary| {
        let reply = subject.ask(&crossing(namespace, canary.number(), subject, None));
        let entered = reply.data() == ENTERED && is_outside(namespace, outside, subject);
        let seen = if entered { "it has got there" } else { "it has stayed where it was" };
        Try::marking(reply, identity, arrived(entered), seen, &WALLED)
            .or_stayed()
            .through(door(namespace, canary.number(), subject))
            .or_nothing_to_find(subject, MAY_NOT)
    })
}

fn root(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("setns", |canary: &PidCanary| {
        outside.planted("setns", |root: &RootCanary| {
            let read = Some(root.file.clone());
            let reply = subject.ask(&crossing(Namespace::Mount, canary.number(), subject, read));
            let secret = &outside.stage.secret;
            Try::reading(reply, Identity::NoNamespace, secret, &WALLED)
                .through(door(Namespace::Mount, canary.number(), subject))
                .or_nothing_to_find(subject, MAY_NOT)
        })
    })
}

fn crossing(
    namespace: Namespace,
    pid: i32,
    subject: &Target,
    read: Option<PathBuf>,
) -> EnterCrossing {
    EnterCrossing {
        entry: namespace.proc_entry().into(),
        flag: namespace.clone_flag() as u32,
        links: links(namespace, pid, subject),
        covered: subject.covered("proc"),
        pid,
        read,
    }
}

/// Where a link to a namespace of the outside may be: below every proc, in a directory of a process
/// that is mounted alone, and mounted itself, nsfs(5).
fn links(namespace: Namespace, pid: i32, subject: &Target) -> Vec<PathBuf> {
    let entry = namespace.proc_entry();
    let whole = subject.points("proc");
    let whole = whole.iter().map(|proc| proc.join(format!("{pid}/ns/{entry}")));
    let alone = subject.parts_of_processes().filter_map(|(shown, part)| {
        let link = Path::new("ns").join(entry);
        Some(shown.mount.point.join(link.strip_prefix(part).ok()?))
    });
    let itself = subject.mounts().iter().filter(|shown| {
        let root = shown.mount.root.to_string_lossy();
        shown.mount.kind == "nsfs" && root.trim_start_matches('/').starts_with(&format!("{entry}:"))
    });
    whole.chain(alone).chain(itself.map(|shown| shown.mount.point.clone())).collect()
}

/// Whether the process that has answered is where the outside is, as the kernel tells it outside:
/// on the stage, or on the host that this has been made of.
fn is_outside(namespace: Namespace, outside: &Outside<'_>, subject: &Target) -> bool {
    let own = namespace == Namespace::Pid;
    let entry = if own { "pid_for_children" } else { namespace.proc_entry() };
    let path = format!("/proc/{}/ns/{entry}", subject.crosser());
    let Ok(theirs) = stat(path.as_str()).map(|stat| (stat.st_dev, stat.st_ino)) else {
        return false;
    };
    let ours = subject.sides(namespace).ok().and_then(|sides| sides.files().ok());
    ours.map(|[ours, _]| ours) == Some(theirs)
        || outside.stage.host.namespace(namespace) == Some(theirs)
}

/// What was ordered and lets it through: a way to name the process or its namespace, and the right
/// to enter.
fn door(namespace: Namespace, pid: i32, subject: &Target) -> Option<String> {
    let right = subject.role.right(Capability::CAP_SYS_ADMIN)?;
    let shown = || links(namespace, pid, subject).iter().find_map(|link| subject.door_at(link));
    let way = subject.role.shares(Namespace::Pid).or_else(shown)?;
    Some(format!("{way} with {right}"))
}

fn pid(outside: &Outside<'_>, subject: &Target) -> Try {
    enter(Namespace::Pid, outside, subject)
}

fn mnt(outside: &Outside<'_>, subject: &Target) -> Try {
    enter(Namespace::Mount, outside, subject)
}

fn uts(outside: &Outside<'_>, subject: &Target) -> Try {
    enter(Namespace::Uts, outside, subject)
}

fn net(outside: &Outside<'_>, subject: &Target) -> Try {
    enter(Namespace::Net, outside, subject)
}

fn ipc(outside: &Outside<'_>, subject: &Target) -> Try {
    enter(Namespace::Ipc, outside, subject)
}

fn cgroup(outside: &Outside<'_>, subject: &Target) -> Try {
    enter(Namespace::Cgroup, outside, subject)
}

fn time(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Err(reason) = &outside.stage.clocks {
        return Try::untried("setns", reason);
    }
    enter(Namespace::Time, outside, subject)
}

/// What is tried inside: setns(2) by each of these /proc, and by the process's number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnterCrossing {
    /// The entry below /proc/PID/ns.
    entry: String,
    /// The namespace's flag.
    flag: u32,
    /// Links to it.
    #[serde(with = "crate::verify::escaped::all")]
    links: Vec<PathBuf>,
    /// Places where something lies over a /proc.
    #[serde(with = "crate::verify::escaped::all")]
    covered: Vec<PathBuf>,
    /// The process.
    pid: i32,
    /// What to read there.
    #[serde(with = "crate::verify::escaped::some")]
    read: Option<PathBuf>,
}

const ENTERED: &str = "entered";

impl Crossing for EnterCrossing {
    const TOPIC: Topic = Topic::Enter;

    fn ground(&self) -> Ground {
        if self.has_a_way() { Ground::Apart } else { Ground::Here }
    }

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        // The first that works decides, else the last that was tried.
        let entered = self.by_links().or_else(|_| self.by_number()).or_else(|answer| {
            if self.covered.is_empty() {
                return Err(answer);
            }
            uncovered(&self.covered, || self.by_links())
        });
        let told = entered.and_then(|()| match &self.read {
            None => Ok((0, ENTERED.to_owned())),
            Some(path) => {
                fs::read_to_string(path).map(|text| (0, text)).map_err(|error| errno_of(&error))
            }
        });
        Reply::of("setns", format!("{} of pid {}", self.entry, self.pid), told)
    }
}

impl EnterCrossing {
    /// Whether there is anything to enter by; else nothing is entered.
    fn has_a_way(&self) -> bool {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let named = Pid::from_raw(self.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        matches!(named, Some(Ok(_)))
            || !self.covered.is_empty()
            || self.links.iter().any(|link| open(link, flags, Mode::empty()).is_ok())
    }

    fn by_links(&self) -> Result<(), Errno> {
        let mut each = self.links.iter().map(|link| enter_link(link));
        each.find(Result::is_ok).unwrap_or(Err(Errno::NOENT))
    }

    fn by_number(&self) -> Result<(), Errno> {
        let pid = Pid::from_raw(self.pid).ok_or(Errno::SRCH)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let kind = ThreadNameSpaceType::from_bits_retain(self.flag);
        move_into_thread_name_spaces(pidfd.as_fd(), kind)
    }
}

fn enter_link(path: &Path) -> Result<(), Errno> {
    let link = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    move_into_link_name_space(link.as_fd(), None::<LinkNameSpaceType>)
}
