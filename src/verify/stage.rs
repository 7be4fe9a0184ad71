//! The stage: a throw-away host. The verifier gives itself new uts, ipc, net, mount and time
//! namespaces, and plays the outside in them: host names, listeners, queues, mounts and clocks of
//! the real host are never touched, also where a container shares everything.

use crate::error::{Failure, errno_of, errno_text, of_nix, without_number};
use crate::host::{Host, UserNamespace};
use crate::mountinfo;
use crate::mounts;
use crate::namespace::Namespace;
use crate::random;
use crate::spec::{Bind, Spec};
use crate::verify::cleanup::{Cleanup, Traces};
use crate::verify::host_mounts::HostMounts;
use crate::verify::place::Place;
use crate::verify::report::Caller;
use crate::verify::rtnetlink;
use crate::walls::{hostname, loopback};
use caps::Capability;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Access, CWD, Mode, OFlags, access, mkdirat, open};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What the stage's clocks are ahead of the host's, in seconds: what no machine has been up for.
pub const CLOCK_OFFSET: i64 = 5_000_000;

/// Whose rights the verifier has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Those of root over the machine.
    Machine,
    /// Those of root in a user namespace of the stage's own: a plain user has no others.
    Stage,
}

/// The throw-away host.
pub struct Stage {
    /// Stands in the name of whatever the verifier makes.
    pub nonce: String,
    /// What only the outside knows.
    pub secret: String,
    /// A tmpfs of the stage's own, mounted where the host has an empty directory.
    pub directory: PathBuf,
    /// What was made new.
    pub namespaces: Vec<Namespace>,
    /// Whether its clocks were set ahead, and why not.
    pub clocks: Result<(), String>,
    /// What the verifier may do here.
    pub rights: Rights,
    /// The capabilities of the caller, a bit each.
    pub held: u64,
    /// Who the caller is, and what the host was called.
    pub caller: Caller,
    /// The file systems of the host, as they were before.
    pub host: HostMounts,
    /// The uid inside, where it is another one of the host's.
    pub other_uid: Option<u32>,
    /// Why /sys shows another network than the stage's, where it does.
    pub no_sysfs: Option<String>,
    /// Where in the cgroup tree the outside is.
    pub cgroup: Result<Place, String>,
    /// What is removed last, when everything above is gone.
    _janitor: Cleanup,
}

impl Stage {
    /// Builds it around this process, which stays in it.
    ///
    /// # Errors
    /// What the caller may not do; nothing is left then.
    pub fn build(host: &Host, spec: &Spec) -> Result<Self, Failure> {
        let failed = |what: &'static str| move |errno: Errno| Failure::new(what).errno(errno);
        let caller = Caller::here();
        let nonce = random::letters(8).map_err(failed("cannot get random bytes"))?;
        let secret = random::letters(16).map_err(failed("cannot get random bytes"))?;
        // Whoever has that uid inside has its keyring too.
        let other_uid =
            (spec.uid != host.uid && !spec.namespaces.is_new(Namespace::User)).then_some(spec.uid);
        let directories: Vec<PathBuf> = folders(&spec.binds)
            .into_iter()
            .map(|folder| folder.join(format!("rustic.{nonce}")))
            .collect();
        let cgroup = Place::choose(&nonce);
        let key = CString::new(key_name(&nonce)).unwrap_or_default();
        let cleanup = Cleanup::start(Traces {
            directories: directories.clone(),
            cgroup: made(&cgroup),
            key,
            other_uid,
        })?;
        let directory = first_made(directories)?;
        let at = |what: &str, errno: Errno| {
            Failure::new(format!("{what} {}", directory.display())).errno(errno)
        };
        let cgroup = cgroup.and_then(Place::make);
        let mut host_mounts = HostMounts::here();
        let rights = enter_mount_namespace(host)?;
        stage_mounts(&directory).map_err(|errno| at("cannot mount a tmpfs on", errno))?;
        for kind in ["mqueue", "sysfs"] {
            // Where the caller may not, there is nothing of the host's to be found, and its control
            // says so.
            let _ = show_of_the_host(kind, &directory, &mut host_mounts);
        }
        let namespaces = enter()?;
        let clocks = set_clocks(&namespaces);
        let queues = directory.join(QUEUES);
        // Without it the way to a queue by its file cannot be shown; its control says so.
        let _ = mkdirat(CWD, &queues, Mode::RWXU)
            .and_then(|()| mount("mqueue", &queues, "mqueue", PLAIN, None));
        let _ = hostname::set(&format!("stage-{nonce}"));
        let _ = loopback::up();
        // A sysfs shows the network of who mounted it.
        let no_sysfs = rtnetlink::set_alias(&secret).and_then(|()| own_sysfs()).err();
        let no_sysfs = no_sysfs
            .map(|errno| format!("the stage has no sysfs of its own: {}", errno_text(errno)));
        Ok(Self {
            nonce,
            secret,
            directory,
            namespaces,
            clocks,
            rights,
            held: host.held,
            caller,
            host: host_mounts,
            other_uid,
            no_sysfs,
            cgroup,
            _janitor: cleanup,
        })
    }

    /// Whether the caller holds a right over the machine.
    pub fn holds(&self, capability: Capability) -> bool {
        self.rights == Rights::Machine && self.held & capability.bitmask() != 0
    }

    /// Whether the verifier holds a right in the stage, whatever it is over.
    pub fn may(&self, capability: Capability) -> bool {
        let mine = rustix::thread::capabilities(None).map_or(0, |sets| sets.effective.bits());
        mine & capability.bitmask() != 0
    }

    /// The description of the keys that are planted.
    pub fn key_name(&self) -> CString {
        CString::new(key_name(&self.nonce)).unwrap_or_default()
    }

    /// Where the stage's message queues are files.
    pub fn queues(&self) -> PathBuf {
        self.directory.join(QUEUES)
    }

    /// Whether a mount of the inside is there because the stage has it: what stands for the host's
    /// in a control, and what no real host has. It is found inside where the whole tree is bound.
    pub fn is_own(&self, point: &Path) -> bool {
        let own = self.directory.strip_prefix("/").unwrap_or(&self.directory);
        [QUEUES, "host-mqueue", "host-sysfs"].iter().any(|name| point.ends_with(own.join(name)))
    }
}

fn key_name(nonce: &str) -> String {
    format!("rustic.{nonce}")
}

fn made(cgroup: &Result<Place, String>) -> Option<PathBuf> {
    cgroup.as_ref().ok().and_then(|place| place.made.clone())
}

/// Where the stage's directory can be made: rather outside of what is shown inside on purpose, and
/// where every uid may look. Its path goes into orders and into addresses of sockets, which have
/// little room, unix(7).
fn folders(binds: &[Bind]) -> Vec<PathBuf> {
    const LONGEST: usize = 64;
    let folders =
        [std::env::temp_dir(), "/tmp".into(), "/dev/shm".into(), "/run".into(), "/var/tmp".into()];
    let usable = folders.iter().filter_map(|folder| folder.canonicalize().ok());
    let usable = usable.filter(|folder| folder.to_str().is_some_and(|path| path.len() <= LONGEST));
    let mut usable: Vec<PathBuf> = usable
        .filter(|folder| access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok())
        .collect();
    usable.sort_by_key(|folder| {
        (binds.iter().any(|bind| folder.starts_with(&bind.source)), !open_to_all(folder))
    });
    usable
}

fn open_to_all(folder: &Path) -> bool {
    folder
        .ancestors()
        .all(|folder| fs::metadata(folder).is_ok_and(|stat| stat.permissions().mode() & 0o001 != 0))
}

fn first_made(directories: Vec<PathBuf>) -> Result<PathBuf, Failure> {
    let mut failure = Failure::new("there is no folder to make a directory in").remedy("TMPDIR=…");
    for directory in directories {
        match mkdirat(CWD, &directory, Mode::RWXU) {
            Ok(()) => return Ok(directory),
            Err(errno) => {
                failure = Failure::new(format!("cannot make {}", directory.display()))
                    .errno(errno)
                    .remedy("TMPDIR=…")
            }
        }
    }
    Err(failure)
}

/// The mount namespace, before the others, so that what shows the host's can be mounted in it. Who
/// holds no CAP_SYS_ADMIN makes a user namespace of one id first, his own, and has every right in
/// it.
fn enter_mount_namespace(host: &Host) -> Result<Rights, Failure> {
    let rights =
        if host.holds(Capability::CAP_SYS_ADMIN) { Rights::Machine } else { Rights::Stage };
    if rights == Rights::Stage {
        unshare_all(&[Namespace::User])?;
        map_own_id(host)?;
    }
    unshare_all(&[Namespace::Mount])?;
    Ok(if host.user_namespace == UserNamespace::Initial { rights } else { Rights::Stage })
}

/// The other namespaces. Returns all of them.
fn enter() -> Result<Vec<Namespace>, Failure> {
    let mut wanted = vec![Namespace::Uts, Namespace::Ipc, Namespace::Net, Namespace::Time];
    if unshare_all(&wanted).is_err() {
        // Time namespaces came with Linux 5.6, and can be limited to none.
        wanted.pop();
        unshare_all(&wanted)?;
    }
    wanted.insert(3, Namespace::Mount);
    Ok(wanted)
}

/// The offsets of a time namespace are set before the first process lives in it.
fn set_clocks(namespaces: &[Namespace]) -> Result<(), String> {
    if !namespaces.contains(&Namespace::Time) {
        return Err("the stage has no time namespace".into());
    }
    let offsets = format!("monotonic {CLOCK_OFFSET} 0\nboottime {CLOCK_OFFSET} 0\n");
    fs::write("/proc/self/timens_offsets", offsets)
        .map_err(|error| format!("the stage's clocks cannot be set: {}", without_number(&error)))
}

fn unshare_all(namespaces: &[Namespace]) -> Result<(), Failure> {
    let flags = namespaces.iter().fold(0, |flags, namespace| flags | namespace.clone_flag() as i32);
    let names: Vec<_> = namespaces.iter().map(|namespace| namespace.flag_name()).collect();
    unshare(CloneFlags::from_bits_retain(flags)).map_err(|errno| {
        let failure = Failure::new(format!("cannot build a stage: unshare({})", names.join("|")))
            .man("unshare(2)");
        let failure = failure.errno(of_nix(errno));
        let none = namespaces
            .iter()
            .find(|namespace| number("/proc/sys/user", namespace.limit()) == Some(0));
        match (none, errno) {
            (Some(namespace), _) => failure.why(format!("user.{} is 0", namespace.limit())),
            (None, nix::errno::Errno::EPERM) if number("/proc/sys/kernel", APPARMOR) == Some(1) => {
                failure.why(format!("kernel.{APPARMOR} is 1"))
            }
            (None, nix::errno::Errno::EPERM) => failure.why(
                "in a chroot, and where a filter denies it, no user namespace can be made; a \
                     container of rustic's allows it with --nest yes",
            ),
            _ => failure,
        }
        .remedy("sudo rustic verify")
    })
}

const APPARMOR: &str = "apparmor_restrict_unprivileged_userns";

fn number(folder: &str, name: &str) -> Option<u64> {
    fs::read_to_string(Path::new(folder).join(name)).ok()?.trim().parse().ok()
}

fn map_own_id(host: &Host) -> Result<(), Failure> {
    let written = fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("{0} {0} 1", host.uid)))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("{0} {0} 1", host.gid)));
    written.map_err(|error| {
        Failure::new(format!("cannot build a stage: the id map: {}", without_number(&error)))
            .man("user_namespaces(7)")
    })
}

/// A tree of mounts that do not reach the host, but that do reach whoever copies them and does not
/// make his copy private: as systemd has it.
fn stage_mounts(directory: &Path) -> Result<(), Errno> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("rustic", directory, "tmpfs", flags, Some(c"mode=0755,size=1m"))
}

/// The name of the folder where the stage's message queues are files.
const QUEUES: &str = "mqueue";

const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Mounts the host's own queues, or its own sysfs, where the control finds them.
fn show_of_the_host(kind: &str, directory: &Path, host: &mut HostMounts) -> Result<(), Errno> {
    let place = directory.join(format!("host-{kind}"));
    mkdirat(CWD, &place, Mode::RWXU)?;
    mount(kind, &place, kind, PLAIN | MountFlags::RDONLY, None)?;
    let fd = open(&place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let table = mountinfo::read().map_err(|error| errno_of(&error))?;
    let mounted = table.into_iter().rev().find(|mount| mount.point == place);
    host.add(mounted.ok_or(Errno::NOENT)?, fd);
    Ok(())
}

/// A sysfs of the stage's network, with what the host has mounted in its own where it was.
fn own_sysfs() -> Result<(), Errno> {
    let sys = Path::new("/sys");
    let mut below: Vec<PathBuf> = mountinfo::read()
        .unwrap_or_default()
        .into_iter()
        .map(|mount| mount.point)
        .filter(|point| point.starts_with(sys) && point != sys)
        .collect();
    below.sort();
    // What lies below another comes with it.
    below.dedup_by(|point, above| point.starts_with(above));
    let copy = |point: &PathBuf| {
        let path = CString::new(point.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
        mounts::copy_tree(CWD, &path, mounts::Attributes::NONE)
    };
    let copies: Vec<_> =
        below.into_iter().filter_map(|point| copy(&point).ok().map(|copy| (point, copy))).collect();
    mount("sysfs", sys, "sysfs", PLAIN, None)?;
    for (point, copy) in copies {
        // A folder that only the host's network has is not there.
        if let Ok(place) = open(&point, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            mounts::attach(copy, place)?;
        }
    }
    Ok(())
}
