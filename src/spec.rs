//! What is wanted, checked: every rule that spans several options stands here, in one place.

use crate::exit::Exit;
use crate::failure::{Failure, printable};
use crate::host::Host;
use crate::namespace::{Namespace, Namespaces, Switch};
use caps::Capability;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// How the root is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootSwitch {
    /// pivot_root(2): the old root is taken out of the mount namespace.
    Pivot,
    /// chroot(2), the article's step: the old root stays reachable for who may call chroot again.
    Chroot,
}

/// What becomes of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// They reach the directory (an image never: its overlay takes them).
    Allowed,
    /// EROFS.
    Refused,
    /// They go to a layer that vanishes with the container.
    Ephemeral,
}

/// How the container says that its walls stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A message on the POSIX queue that the parent made, when its walls stand.
    Queue,
    /// READY=1 from the program inside: on the queue, on descriptor 3, or on the socket of sd_notify(3).
    App,
    /// Not at all.
    None,
}

/// What is told besides what CMD says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Nothing.
    Quiet,
    /// The story, in the article's voice: `-v`.
    Story,
    /// Each step as it happens, with its call and its reason: `--explain`.
    Steps,
    /// The steps alone, none of them taken: `--dry-run`.
    DryRun,
}

/// The seccomp filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// keyctl, add_key and request_key answer EPERM.
    Default,
    /// No filter.
    None,
}

/// The capabilities of CMD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capabilities {
    /// Podman's eleven, as far as rustic holds them, less CAP_SYS_CHROOT where the root is entered by chroot.
    Default,
    /// None.
    None,
    /// All that rustic holds.
    All,
    /// These; one that rustic does not hold is an error.
    Named(Vec<Capability>),
}

/// A host path shown inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// Inside, absolute.
    pub target: PathBuf,
    /// [`Writing::Refused`] for `:ro`.
    pub writing: Writing,
}

/// A variable of CMD's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `--env K=V`.
    Set(OsString, OsString),
    /// `--env NAME`: the caller's value.
    PassOn(OsString),
}

/// The root file system that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rootfs {
    /// The one inside the binary.
    Builtin,
    /// A tar archive, absolute path.
    Archive(PathBuf),
    /// A directory, absolute path.
    Directory(PathBuf),
}

/// The options as they were given.
#[allow(missing_docs, reason = "each field is the option of that name, documented in cli.rs and in --help")]
pub struct Wanted {
    pub namespaces: Vec<(Namespace, Option<Switch>)>,
    pub rootfs: Option<PathBuf>,
    pub root: Option<RootSwitch>,
    pub writing: Writing,
    pub scratch_size: u64,
    pub binds: Vec<Bind>,
    pub tmpfs: Vec<PathBuf>,
    pub store: Option<PathBuf>,
    pub hostname: Option<String>,
    pub workdir: Option<PathBuf>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub env: Vec<Variable>,
    pub caps: Capabilities,
    pub seccomp: Seccomp,
    pub init: Switch,
    pub ready: Ready,
    pub ready_timeout: Duration,
    pub info_fd: Option<i32>,
    pub talk: Talk,
    pub cmd: Vec<OsString>,
}

/// What is wanted, checked against itself and against the host.
#[derive(Debug)]
pub struct Spec {
    /// New or shared, for each of the eight.
    pub namespaces: Namespaces,
    /// The root file system.
    pub rootfs: Rootfs,
    /// How it is entered.
    pub root: RootSwitch,
    /// What becomes of writes to it.
    pub writing: Writing,
    /// Size of the scratch tmpfs, in bytes.
    pub scratch_size: u64,
    /// Host paths shown inside, sources absolute.
    pub binds: Vec<Bind>,
    /// Where an empty tmpfs is mounted inside.
    pub tmpfs: Vec<PathBuf>,
    /// The store directory, absolute; `None` where the caller has no home.
    pub store: Option<PathBuf>,
    /// Whether the store was asked for by name, and so must be usable.
    pub store_by_name: Switch,
    /// Host name inside; `None` with `--uts no`.
    pub hostname: Option<String>,
    /// Working directory inside.
    pub workdir: CString,
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// CMD's environment but for HOME, which the image's passwd decides unless it was given: `K=V` strings.
    pub env: Vec<CString>,
    /// The capabilities that were asked for.
    pub caps: Capabilities,
    /// Those of CMD, a bit each.
    pub cap_mask: u64,
    /// The seccomp filter.
    pub seccomp: Seccomp,
    /// Whether a reaper stands in front of CMD.
    pub init: Switch,
    /// How readiness is told.
    pub ready: Ready,
    /// How long to wait for it.
    pub ready_timeout: Duration,
    /// The descriptor of rustic's own that events are written to.
    pub info_fd: Option<i32>,
    /// What is told on stderr.
    pub talk: Talk,
    /// CMD and its arguments; never empty.
    pub cmd: Vec<CString>,
}

impl Spec {
    /// What was ordered and undoes a wall: allowed, and said.
    pub fn warnings(&self) -> Vec<String> {
        let climbs = self.root == RootSwitch::Chroot && self.cap_mask & Capability::CAP_SYS_CHROOT.bitmask() != 0;
        climbs.then(|| "with CAP_SYS_CHROOT a chroot is no wall: CMD can climb out of it, chroot(2)".to_owned()).into_iter().collect()
    }
}

/// Podman's default capabilities.
const PODMANS_ELEVEN: [Capability; 11] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_CHROOT,
];

/// The PATH inside.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Wanted {
    /// Checks the options against each other and against the host.
    ///
    /// # Errors
    /// The first contradiction, named with its way out.
    pub fn check(self, host: &Host) -> Result<Spec, Failure> {
        let namespaces = self.namespaces(host)?;
        let root = self.root_switch(namespaces)?;
        self.no_mounts_without_a_mount_namespace(namespaces)?;
        self.rights(namespaces, host)?;
        let hostname = self.hostname(namespaces)?;
        let rootfs = self.rootfs()?;
        if self.writing == Writing::Ephemeral
            && let Rootfs::Directory(dir) = &rootfs
        {
            no_mounts_below(dir)?;
        }
        let uid = self.uid.unwrap_or(0);
        let env = self.environment()?;
        let cap_mask = self.cap_mask(namespaces, root, host)?;
        let binds = self.binds.iter().map(checked_bind).collect::<Result<_, _>>()?;
        for target in &self.tmpfs {
            inside(target, "--tmpfs")?;
        }
        let workdir = self.workdir.as_deref().unwrap_or(Path::new("/"));
        if !workdir.is_absolute() {
            return Err(Failure::new(format!("--workdir {} is not absolute", shown(workdir))));
        }
        let cmd = if self.cmd.is_empty() { vec![OsString::from("sh")] } else { self.cmd.clone() };
        Ok(Spec {
            namespaces,
            rootfs,
            root,
            writing: self.writing,
            scratch_size: self.scratch_size,
            binds,
            store: store(self.store.as_deref(), host)?,
            store_by_name: if self.store.is_some() { Switch::Yes } else { Switch::No },
            hostname,
            workdir: c_string(workdir.as_os_str(), "--workdir")?,
            uid,
            gid: self.gid.unwrap_or(uid),
            env,
            cap_mask,
            cmd: cmd.iter().map(|word| c_string(word, "CMD")).collect::<Result<_, _>>()?,
            tmpfs: self.tmpfs,
            caps: self.caps,
            seccomp: self.seccomp,
            init: self.init,
            ready: self.ready,
            ready_timeout: self.ready_timeout,
            info_fd: self.info_fd,
            talk: self.talk,
        })
    }

    fn namespaces(&self, host: &Host) -> Result<Namespaces, Failure> {
        let mut namespaces = Namespaces::shared();
        for &(namespace, given) in &self.namespaces {
            let default = match namespace {
                Namespace::User if host.uid == 0 => Switch::No,
                Namespace::Time => Switch::No,
                _ => Switch::Yes,
            };
            if namespace == Namespace::Uts && given == Some(Switch::No) && self.hostname.is_some() {
                return Err(Failure::new("--hostname asks for --uts yes, and --uts no shares the caller's name").exit(Exit::Failed));
            }
            namespaces = namespaces.with(namespace, given.unwrap_or(default));
        }
        Ok(namespaces)
    }

    fn root_switch(&self, namespaces: Namespaces) -> Result<RootSwitch, Failure> {
        match (self.root, namespaces.get(Namespace::Mount)) {
            (Some(RootSwitch::Pivot), Switch::No) => {
                Err(Failure::new("--root pivot needs --mount yes: pivot_root would move the root of everybody in the mount namespace")
                    .man("pivot_root(2)"))
            }
            (None, Switch::No) => Ok(RootSwitch::Chroot),
            (given, _) => Ok(given.unwrap_or(RootSwitch::Pivot)),
        }
    }

    fn no_mounts_without_a_mount_namespace(&self, namespaces: Namespaces) -> Result<(), Failure> {
        if namespaces.is_new(Namespace::Mount) {
            return Ok(());
        }
        let option = match self.writing {
            Writing::Refused => Some("--read-only"),
            Writing::Ephemeral => Some("--ephemeral"),
            Writing::Allowed if !self.binds.is_empty() => Some("--bind"),
            Writing::Allowed if !self.tmpfs.is_empty() => Some("--tmpfs"),
            Writing::Allowed => None,
        };
        match option {
            Some(option) => Err(Failure::new(format!("{option} makes a mount, and --mount no makes none")).remedy("leave out --mount no")),
            None => Ok(()),
        }
    }

    /// The one right that is missing, said before anything is tried.
    fn rights(&self, namespaces: Namespaces, host: &Host) -> Result<(), Failure> {
        if namespaces.is_new(Namespace::User) {
            return Ok(());
        }
        let wanted: Vec<_> = namespaces.new_ones().map(Namespace::name).collect();
        let (what, capability) = if wanted.is_empty() {
            ("entering a root file system by chroot".to_owned(), Capability::CAP_SYS_CHROOT)
        } else {
            (format!("making namespaces ({})", wanted.join(" ")), Capability::CAP_SYS_ADMIN)
        };
        if host.holds(capability) {
            return Ok(());
        }
        Err(Failure::new(format!("{what} with --user no needs {capability}, which uid {} does not hold here", host.uid))
            .remedy("sudo rustic run …, or --user yes")
            .man("capabilities(7)"))
    }

    fn hostname(&self, namespaces: Namespaces) -> Result<Option<String>, Failure> {
        if !namespaces.is_new(Namespace::Uts) {
            return Ok(None);
        }
        let name = self.hostname.as_deref().unwrap_or("rustic");
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        // hostname(7) and HOST_NAME_MAX of limits.h; a newline or a space would forge lines of /etc/hosts.
        if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
            return Err(Failure::new(format!("--hostname '{}' is not a host name", printable(name)))
                .why("a host name has 1 to 64 letters, digits, dots, hyphens or underscores")
                .man("hostname(7)"));
        }
        Ok(Some(name.to_owned()))
    }

    fn rootfs(&self) -> Result<Rootfs, Failure> {
        let Some(given) = &self.rootfs else { return Ok(Rootfs::Builtin) };
        let path =
            std::fs::canonicalize(given).map_err(|error| Failure::new(format!("--rootfs {}: {}", shown(given), without_number(&error))))?;
        let kind = std::fs::metadata(&path)
            .map_err(|error| Failure::new(format!("--rootfs {}: {}", shown(given), without_number(&error))))?
            .file_type();
        if kind.is_dir() {
            Ok(Rootfs::Directory(path))
        } else if kind.is_file() {
            Ok(Rootfs::Archive(path))
        } else {
            Err(Failure::new(format!("--rootfs {} is neither a directory nor a tar archive", shown(given))))
        }
    }

    fn environment(&self) -> Result<Vec<CString>, Failure> {
        let mut variables: BTreeMap<OsString, OsString> =
            [("PATH", PATH), ("container", "rustic")].map(|(name, value)| (name.into(), value.into())).into();
        if let Some(term) = std::env::var_os("TERM") {
            variables.insert("TERM".into(), term);
        }
        for variable in &self.env {
            match variable {
                Variable::Set(name, value) => variables.insert(name.clone(), value.clone()),
                Variable::PassOn(name) => match std::env::var_os(name) {
                    Some(value) => variables.insert(name.clone(), value),
                    None => {
                        return Err(Failure::new(format!("--env {}: the caller has no such variable", printable(&name.to_string_lossy())))
                            .remedy("--env NAME=VALUE"));
                    }
                },
            };
        }
        variables
            .into_iter()
            .map(|(name, value)| {
                let mut line = name.into_vec();
                line.push(b'=');
                line.extend(value.into_vec());
                c_string(OsStr::from_bytes(&line), "--env")
            })
            .collect()
    }

    /// The capabilities of CMD, a bit each. In a new user namespace the kernel grants all of them, user_namespaces(7).
    fn cap_mask(&self, namespaces: Namespaces, root: RootSwitch, host: &Host) -> Result<u64, Failure> {
        let held = if namespaces.is_new(Namespace::User) { host.known_caps() } else { host.held };
        let mask = |caps: &[Capability]| caps.iter().fold(0, |mask, cap| mask | cap.bitmask());
        match &self.caps {
            Capabilities::None => Ok(0),
            Capabilities::All => Ok(held),
            Capabilities::Default => {
                let eleven = mask(&PODMANS_ELEVEN) & held;
                Ok(match root {
                    RootSwitch::Pivot => eleven,
                    RootSwitch::Chroot => eleven & !Capability::CAP_SYS_CHROOT.bitmask(),
                })
            }
            Capabilities::Named(named) => match named.iter().find(|cap| cap.bitmask() & held == 0) {
                Some(missing) => Err(Failure::new(format!("--caps {missing}: rustic does not hold it, so it cannot pass it on"))
                    .why("it is not in the caller's permitted and bounding sets")
                    .man("capabilities(7)")),
                None => Ok(mask(named)),
            },
        }
    }
}

/// Where unpacked images are kept; `None` for a user whose home is unknown.
fn store(given: Option<&Path>, host: &Host) -> Result<Option<PathBuf>, Failure> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| Failure::new(format!("--store {}: {}", shown(path), without_number(&error))))
    };
    if let Some(given) = given {
        return absolute(given).map(Some);
    }
    if host.uid == 0 {
        return Ok(Some("/var/lib/rustic".into()));
    }
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    Ok(set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share"))).map(|data| data.join("rustic")))
}

/// An overlay shows its lower directory without the mounts below it: files would be missing in silence, so it is refused.
fn no_mounts_below(dir: &Path) -> Result<(), Failure> {
    let table =
        std::fs::read("/proc/self/mountinfo").map_err(|error| Failure::new(format!("cannot read /proc/self/mountinfo: {error}")))?;
    let below = table
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.split(|&byte| byte == b' ').nth(4))
        .map(|point| PathBuf::from(OsString::from_vec(unescaped(point))))
        .find(|point| point.starts_with(dir) && point != dir);
    match below {
        Some(point) => Err(Failure::new(format!("--ephemeral {}: {} is a mount of its own", shown(dir), shown(&point)))
            .why("an overlay does not show the mounts below its lower directory")
            .remedy("unmount it, or leave out --ephemeral")),
        None => Ok(()),
    }
}

/// A path of mountinfo as it is: proc_pid_mountinfo(5) writes space, tab, newline and backslash in octal.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\')
            .then(|| tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    plain
}

fn checked_bind(bind: &Bind) -> Result<Bind, Failure> {
    inside(&bind.target, "--bind")?;
    let source = std::fs::canonicalize(&bind.source)
        .map_err(|error| Failure::new(format!("--bind {}: {}", shown(&bind.source), without_number(&error))))?;
    Ok(Bind { source, ..bind.clone() })
}

/// A mount target: absolute, not the root itself, and without `..`, which no step would follow.
fn inside(target: &Path, option: &str) -> Result<(), Failure> {
    let plain = target.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if target.is_absolute() && plain && target.file_name().is_some() {
        return Ok(());
    }
    Err(Failure::new(format!("{option}: {} is not an absolute path below / without '..'", shown(target))))
}

fn c_string(word: &OsStr, what: &str) -> Result<CString, Failure> {
    CString::new(word.as_bytes()).map_err(|_| Failure::new(format!("{what}: a NUL byte inside a word")))
}

/// A path for an error line.
pub fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// An io error without std's "(os error N)".
pub fn without_number(error: &std::io::Error) -> String {
    rustix::io::Errno::from_io_error(error).map_or_else(|| error.to_string(), crate::failure::errno_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_octal_is_undone_and_nothing_else() {
        assert_eq!(unescaped(br"/a\040b\134"), b"/a b\\");
        assert_eq!(unescaped(br"/a\9"), br"/a\9");
    }

    #[test]
    fn a_mount_target_cannot_climb() {
        for wrong in ["/", "a", "/a/../b", "", "/..", "../a"] {
            assert!(inside(Path::new(wrong), "--bind").is_err(), "{wrong}");
        }
        assert!(inside(Path::new("/mnt/x"), "--bind").is_ok());
    }
}
