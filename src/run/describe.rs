//! What is said about a step: its call, why it is there, its manual page. What its errors mean
//! stands in [`crate::run::diagnose`].

use crate::error::printable;
use crate::mounts::Attributes;
use crate::namespace::{Namespace, Namespaces, Switch};
use crate::ready::notify::PATH as NOTIFY_PATH;
use crate::run::step::{Mount, Place, Source, Step};
use crate::run::streams;
use crate::spec::First;
use crate::walls::proc_masks::{self, Hidden};
use crate::walls::seccomp::SelfSignals;
use std::ffi::CStr;
use std::fmt::Write as _;

/// What is said of a step.
pub struct Description {
    /// The call, with its arguments.
    pub call: String,
    /// The end of "rustic: cannot …".
    pub cannot: String,
    /// Why the step is there.
    pub why: &'static str,
    /// The manual page.
    pub man: &'static str,
}

impl Step {
    /// What is said of it.
    pub fn describe(&self) -> Description {
        let described =
            |call: String, cannot: String, why, man| Description { call, cannot, why, man };
        match self {
            Self::MakeQueue(name) => described(
                format!("mq_open(\"{}\", O_CREAT|O_EXCL|O_RDWR|O_NONBLOCK, 0600)", name.shown()),
                format!("make message queue {}", name.shown()),
                "the queue that anybody can watch; whether the child sees it is what the IPC \
                    namespace decides",
                "mq_overview(7)",
            ),
            Self::ReceiveReady(name) => described(
                format!("mq_timedreceive(\"{}\")", name.shown()),
                format!("receive READY from {}", name.shown()),
                "a message that carries the nonce of this run: the walls stand",
                "mq_receive(3)",
            ),
            Self::RemoveQueue(name) => described(
                format!("mq_unlink(\"{}\")", name.shown()),
                format!("remove message queue {}", name.shown()),
                "it has said what it was for, and nothing is left behind",
                "mq_unlink(3)",
            ),
            Self::NotifySocket(_) => described(
                format!("socket(AF_UNIX, SOCK_DGRAM), bind({NOTIFY_PATH})"),
                "make the socket of sd_notify".into(),
                "a program that knows sd_notify(3) says READY=1 here, whatever its namespaces are",
                "sd_notify(3)",
            ),
            Self::BecomeSubreaper => described(
                "setsid(), prctl(PR_SET_CHILD_SUBREAPER, 1)".into(),
                "set up the warden".into(),
                "what the container leaves behind comes to the warden, and a kill of the caller's \
                    process group does not reach it",
                "prctl(2)",
            ),
            Self::Clone(namespaces) => described(
                format!("clone3({})", flags(namespaces)),
                format!("make the namespaces of the container ({})", names(namespaces)),
                "the child starts inside its new namespaces",
                "clone3(2)",
            ),
            Self::WriteIdMaps(_) => described(
                "write uid_map, gid_map".into(),
                "map the ids of the user namespace".into(),
                "without a map every id inside is the overflow id",
                "user_namespaces(7)",
            ),
            Self::WaitForGo => described(
                "prctl(PR_SET_PDEATHSIG, SIGKILL), recvmsg(gate)".into(),
                "wait for the warden".into(),
                "the child goes on when its ids are mapped, and never without a warden",
                "prctl(2)",
            ),
            Self::Session => described(
                "setsid(), signal(…, SIG_DFL), umask(0), personality(0)".into(),
                "start a session".into(),
                "no terminal, no ignored signal, no umask and no personality of the caller gets inside",
                "setsid(2)",
            ),
            Self::OpenBase(path) => described(
                format!("open({}, O_PATH|O_DIRECTORY)", text(path)),
                format!("open the root file system {}", text(path)),
                "one descriptor stands for the root from here on",
                "open(2)",
            ),
            Self::MakePrivate => described(
                "mount_setattr(\"/\", AT_RECURSIVE, MS_PRIVATE)".into(),
                "make the mounts private".into(),
                "a new mount namespace still shares mount events with the host where / is shared",
                "mount_namespaces(7)",
            ),
            Self::MakeScratch { size } => described(
                format!("fsopen(\"tmpfs\"), fsconfig(size={size}), fsmount(), move_mount()"),
                "make the scratch tmpfs".into(),
                "what the container writes lives in its own mount namespace and vanishes with it",
                "tmpfs(5)",
            ),
            Self::WriteScratch(files) => described(
                format!(
                    "write {}",
                    files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
                ),
                "write the files of the container's own".into(),
                "shown over the image's, which stay as they are",
                "hosts(5)",
            ),
            Self::UnpackIntoScratch(origin) => described(
                format!("unpack {origin} into the scratch tmpfs"),
                format!("unpack {origin}"),
                "no store can be written, so the image lives in the container's memory",
                "tar(5)",
            ),
            Self::MakeRunDirectory(path) => described(
                format!("mkdir({}), flock()", printable(&path.to_string_lossy())),
                format!("make the directory {}", printable(&path.to_string_lossy())),
                "without a mount namespace there is no overlay: the image gets a directory, which \
                    the warden removes",
                "mkdir(2)",
            ),
            Self::UnpackIntoRunDirectory { origin, path } => described(
                format!("unpack {origin} into {}", printable(&path.to_string_lossy())),
                format!("unpack {origin} into {}", printable(&path.to_string_lossy())),
                "every path beneath the one directory, no symlink followed",
                "tar(5)",
            ),
            Self::MakeOverlay { attributes, .. } => described(
                format!(
                    "fsopen(\"overlay\"), fsconfig(lowerdir, upperdir, workdir), fsmount({})",
                    attributes.names()
                ),
                "mount an overlay over the root file system".into(),
                "the image is never changed; writes go to the scratch tmpfs",
                "mount(8)",
            ),
            Self::MakeTree { attributes, .. } => described(
                format!(
                    "open_tree(OPEN_TREE_CLONE|AT_RECURSIVE), mount_setattr({})",
                    attributes.names()
                ),
                "bind the root file system".into(),
                "the root must be a mount to be entered by pivot_root",
                "open_tree(2)",
            ),
            Self::MakeMasks => described(
                format!(
                    "open_tree(scratch/masked-file, masked-directory, OPEN_TREE_CLONE), \
                     mount_setattr({})",
                    proc_masks::ATTRIBUTES.names()
                ),
                "make the masks".into(),
                "an empty file and an empty directory, read-only, to be shown over others",
                "open_tree(2)",
            ),
            Self::SetSysctls { sysctls, .. } => described(
                format!(
                    "write {}",
                    sysctls
                        .iter()
                        .map(|sysctl| format!("/proc/sys/{}={}", sysctl.path(), sysctl.value))
                        .collect::<Vec<_>>()
                        .join(" ")
                ),
                "set kernel parameters".into(),
                "those of the container's own namespaces, before /proc/sys becomes read-only",
                "proc_sys(5)",
            ),
            Self::Mask { place, hidden } => described(
                match place {
                    // The first path gets the mask itself.
                    Place::Proc(_) => format!(
                        "move_mount(mask), open_tree(mask, OPEN_TREE_CLONE), move_mount({})",
                        paths(*place, hidden)
                    ),
                    Place::Sys(_) | Place::Root => format!(
                        "open_tree(mask, OPEN_TREE_CLONE), move_mount({})",
                        paths(*place, hidden)
                    ),
                },
                format!("hide {}", paths(*place, hidden)),
                "it belongs to the machine and not to the container; masked, it also keeps a \
                 nested namespace from mounting a whole one",
                "mount_namespaces(7)",
            ),
            Self::ProtectProc { .. } => described(
                format!(
                    "open_tree(OPEN_TREE_CLONE|AT_RECURSIVE), move_mount() for /proc/sys and whatever \
                     else is global, mount_setattr({}), mount_setattr(/proc)",
                    proc_masks::ATTRIBUTES.names()
                ),
                "make the global files of /proc read-only".into(),
                "root inside is the kernel's uid 0, which /proc/sys asks for, not a capability",
                "proc_sys(5)",
            ),
            Self::DetachScratch => described(
                "umount2(scratch, MNT_DETACH)".into(),
                "detach the scratch tmpfs".into(),
                "its users keep it alive; no path leads to it any more",
                "umount2(2)",
            ),
            Self::AttachRoot => described(
                "move_mount(root)".into(),
                "attach the root".into(),
                "pivot_root wants a mount",
                "move_mount(2)",
            ),
            Self::Make(mount) => describe_mount(mount),
            Self::Pivot => described(
                "pivot_root(\".\", \".\"), umount2(\".\", MNT_DETACH)".into(),
                "pivot into the root".into(),
                "the host's tree leaves the mount namespace: there is no way back",
                "pivot_root(2)",
            ),
            Self::Chroot => described(
                "chroot(\".\")".into(),
                "chroot into the root".into(),
                "the host's tree stays in the mount namespace, behind the lack of CAP_SYS_CHROOT",
                "chroot(2)",
            ),
            Self::Attach(mount) => described(
                format!("openat2({}, RESOLVE_NO_SYMLINKS), move_mount()", inside(mount)),
                format!("{} on {}", describe_mount(mount).cannot, inside(mount)),
                "attached to a descriptor beneath the root, never through a symlink of the image",
                "move_mount(2)",
            ),
            Self::DeviceNodes(_) => described(
                "mknod(null, zero, full, random, urandom, tty)".into(),
                "make the device nodes".into(),
                "the six that every program expects, none of the host's hardware",
                "mknod(2)",
            ),
            Self::DeviceLinks(_) => described(
                "symlink(fd, stdin, stdout, stderr, ptmx)".into(),
                "make the links of /dev".into(),
                "names for the descriptors of whoever looks",
                "proc_pid_fd(5)",
            ),
            Self::Terminal { .. } => described(
                "open(ptmx), ioctl(TIOCGPTPEER), ioctl(TIOCSCTTY)".into(),
                "make a terminal".into(),
                "nothing typed inside with TIOCSTI can reach the caller's terminal",
                "pts(4)",
            ),
            Self::OpenViews(numbers) => described(
                format!(
                    "open_tree({}, AT_EMPTY_PATH|OPEN_TREE_CLONE), mount_setattr(RDONLY|NOSUID|\
                     NOEXEC), open(/proc/self/fd/…), mount_setattr(NODEV)",
                    stream_names(numbers.iter())
                ),
                format!("open a read-only view of {}", stream_names(numbers.iter())),
                "a descriptor carries its mount: through the host's, root inside could change the \
                 file, its mode and its owner",
                "open_tree(2)",
            ),
            Self::OpenViewsByPath(views) => described(
                format!(
                    "open_tree({}, OPEN_TREE_CLONE), mount_setattr(RDONLY|NOSUID|NOEXEC), \
                     open(/proc/self/fd/…), mount_setattr(NODEV)",
                    views.iter().map(|(_, path)| text(path)).collect::<Vec<_>>().join(" ")
                ),
                format!(
                    "open a read-only view of {}",
                    stream_names(views.iter().map(|(number, _)| number))
                ),
                "a descriptor carries its mount: through the host's, root inside could change the \
                 file, its mode and its owner",
                "open_tree(2)",
            ),
            Self::GivePipes { before, uid } => described(
                format!("fchown({}, {uid})", stream_names(before.iter().map(|(number, _)| number))),
                format!("give the pipes behind the standard streams to user {uid}"),
                "CMD's user could not open /dev/stdin, stdout or stderr otherwise; put back at the \
                 end",
                "pipe(7)",
            ),
            Self::TakeStreams { streams, .. } => described(
                format!(
                    "dup2() for {}",
                    streams
                        .iter()
                        .enumerate()
                        .map(|(number, stream)| streams::shown(number, stream))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                "put the standard streams in place".into(),
                "CMD holds connections, views and what is its own, never the host's file itself",
                "proc_pid_fd(5)",
            ),
            Self::Loopback => described(
                "ioctl(SIOCSIFFLAGS, lo, IFF_UP)".into(),
                "bring the loopback up".into(),
                "a new network namespace starts with lo down",
                "network_namespaces(7)",
            ),
            Self::Hostname(name) => described(
                format!("sethostname(\"{name}\")"),
                format!("set the host name '{name}'"),
                "a new UTS namespace starts with a copy of the caller's name",
                "sethostname(2)",
            ),
            Self::Keyring { .. } => described(
                "keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)".into(),
                "join a new session keyring".into(),
                "no namespace covers keyrings: the caller's would be inherited",
                "keyrings(7)",
            ),
            Self::OpenQueue { name, .. } => described(
                format!("mq_open(\"{}\", O_WRONLY)", name.shown()),
                format!("open message queue {}", name.shown()),
                "by name, from the child's own side: whether it is seen is what the IPC namespace \
                    decides",
                "mq_open(3)",
            ),
            Self::LimitQueues(bytes) => described(
                format!("setrlimit(RLIMIT_MSGQUEUE, {bytes})"),
                "limit message queues".into(),
                "the limit counts per user, not per namespace: a full one inside would stop the \
                    next start",
                "getrlimit(2)",
            ),
            Self::CloseDescriptors => described(
                "close_range(3, ~0)".into(),
                "close the inherited descriptors".into(),
                "a descriptor of a host directory crosses every wall (CVE-2024-21626)",
                "close_range(2)",
            ),
            Self::FindHome(uid) => described(
                format!("read /etc/passwd for uid {uid}"),
                "find HOME".into(),
                "the image knows where its users live",
                "passwd(5)",
            ),
            Self::DropBounding(unwanted) => described(
                format!("prctl(PR_CAPBSET_DROP, {unwanted:#x})"),
                "drop capabilities from the bounding set".into(),
                "what is not in the bounding set cannot come back; dropping needs CAP_SETPCAP, so \
                    it comes before the uid changes",
                "capabilities(7)",
            ),
            Self::DropGroups => described(
                "setgroups(0)".into(),
                "give up the supplementary groups".into(),
                "the caller's groups mean nothing inside",
                "setgroups(2)",
            ),
            Self::SetGid(gid) => described(
                format!("setresgid({gid}, {gid}, {gid})"),
                format!("become group {gid}"),
                "before the uid, while that is still allowed",
                "setresgid(2)",
            ),
            Self::SetUid(uid) => described(
                match uid {
                    0 => "setresuid(0, 0, 0)".into(),
                    uid => format!(
                        "prctl(PR_SET_KEEPCAPS, 1), setresuid({uid}, {uid}, {uid}), \
                            prctl(PR_SET_KEEPCAPS, 0)"
                    ),
                },
                format!("become user {uid}"),
                "the permitted capabilities stay until the next step chooses among them",
                "setresuid(2)",
            ),
            Self::SetCapabilities(credentials) => described(
                match (credentials.permitted, credentials.ambient) {
                    (permitted, 0) => {
                        format!("prctl(PR_CAP_AMBIENT, CLEAR_ALL), capset({permitted:#x})")
                    }
                    (permitted, ambient) => {
                        format!(
                            "prctl(PR_CAP_AMBIENT, CLEAR_ALL), capset({permitted:#x}), \
                                prctl(PR_CAP_AMBIENT, RAISE {ambient:#x})"
                        )
                    }
                },
                "set the capabilities".into(),
                "exactly what was ordered; the inheritable set is empty unless an ordered \
                    capability must survive execve of another uid",
                "capset(2)",
            ),
            Self::Chdir(path) => described(
                format!("chdir({})", text(path)),
                format!("enter the working directory {}", text(path)),
                "with CMD's own rights, below the new root",
                "chdir(2)",
            ),
            Self::NoNewPrivs => described(
                "prctl(PR_SET_NO_NEW_PRIVS, 1)".into(),
                "set no_new_privs".into(),
                "no set-user-ID program gives rights back",
                "prctl(2)",
            ),
            Self::VerifyCredentials(_) => described(
                "capget(), prctl(…), getresuid(), getresgid(), getgroups()".into(),
                "confirm the credentials".into(),
                "what /proc/self/status says must be what was ordered",
                "proc_pid_status(5)",
            ),
            Self::Seccomp { self_signals, filter } => described(
                format!(
                    "seccomp(SECCOMP_SET_MODE_FILTER{}), {} instructions",
                    match self_signals {
                        SelfSignals::Told => ", SECCOMP_FILTER_FLAG_NEW_LISTENER",
                        SelfSignals::Untold => "",
                    },
                    filter.len()
                ),
                "install the seccomp filter".into(),
                "the calls that programs need run; every other one is refused, also of kernels \
                 to come",
                "seccomp(2)",
            ),
            Self::SendReady(name) => described(
                format!("mq_timedsend(\"{}\", READY=1)", name.shown()),
                format!("send READY to {}", name.shown()),
                "the walls stand: the last word before CMD",
                "mq_send(3)",
            ),
            Self::Exec { cmd, first, .. } => {
                let name = cmd.first().map(|word| text(word)).unwrap_or_default();
                let call = match first {
                    First::Cmd => format!("execve({name})"),
                    First::Reaper => format!("execveat(rustic-init), and there execve({name})"),
                    First::Probe(_) => "execveat(rustic-probe)".into(),
                    First::ReapedProbe(_) => {
                        "execveat(rustic-init), and there execveat(rustic-probe)".into()
                    }
                };
                described(
                    call,
                    format!("execute {name}"),
                    "CMD takes the child's place",
                    "execve(2)",
                )
            }
        }
    }

    /// What -v tells of it when it is done: the article's lines, and nothing of the steps that
    /// every container takes.
    pub fn story(&self) -> Option<String> {
        match self {
            Self::OpenQueue { name, seen: Switch::Yes } => {
                Some(format!("opening message queue {}", name.shown()))
            }
            Self::Pivot => Some("the old root is out of sight, pivot_root".into()),
            Self::Chroot => Some("the old root is behind a chroot".into()),
            Self::Hostname(name) => Some(format!("host name is {name}")),
            Self::VerifyCredentials(_) => Some("credentials are as ordered".into()),
            Self::SendReady(_) => Some("sending READY to parent".into()),
            _ => None,
        }
    }
}

/// The paths that a step hides, in a line.
fn paths(place: Place, hidden: &[Hidden]) -> String {
    let path = |hidden: &Hidden| format!("{}/{}", place.path(), hidden.path.display());
    printable(&hidden.iter().map(path).collect::<Vec<_>>().join(" "))
}

fn stream_names<'a>(numbers: impl Iterator<Item = &'a usize>) -> String {
    numbers.map(|&number| streams::NAMES[number]).collect::<Vec<_>>().join(" ")
}

fn flags(namespaces: &Namespaces) -> String {
    namespaces.new_ones().fold("CLONE_PIDFD".to_owned(), |mut text, namespace| {
        let _ = write!(text, "|{}", namespace.flag_name());
        text
    })
}

fn names(namespaces: &Namespaces) -> String {
    let names: Vec<_> = namespaces.new_ones().map(Namespace::name).collect();
    if names.is_empty() { "none new".into() } else { names.join(" ") }
}

/// A word for people.
pub(super) fn text(word: &CStr) -> String {
    printable(&word.to_string_lossy())
}

/// Where a mount is, seen from inside.
pub(super) fn inside(mount: &Mount) -> String {
    printable(&format!("/{}", mount.target.display()))
}

fn describe_mount(mount: &Mount) -> Description {
    let attributes = mount.attributes.names();
    let target = inside(mount);
    let (call, cannot) = match &mount.source {
        Source::New { fs, .. } => (
            format!("fsopen({fs:?}), fsconfig(), fsmount({attributes})"),
            format!("mount {}", text(fs)),
        ),
        Source::Host(path) => (
            format!(
                "open_tree(\"{}\", OPEN_TREE_CLONE|AT_RECURSIVE), mount_setattr({attributes})",
                text(path)
            ),
            format!("bind {}", text(path)),
        ),
        Source::Scratch(name) => {
            let attr = if mount.attributes == Attributes::NONE {
                String::new()
            } else {
                format!(", mount_setattr({attributes})")
            };
            (
                format!("open_tree(scratch/{}, OPEN_TREE_CLONE){attr}", text(name)),
                format!("bind the container's own {}", text(name)),
            )
        }
    };
    let (why, man) = match target.as_str() {
        "/proc" => ("the processes of the container's pid namespace", "proc(5)"),
        "/sys" => ("the interfaces of the container's network namespace, read-only", "sysfs(5)"),
        "/dev" => ("nodes of its own, on a tmpfs", "tmpfs(5)"),
        "/dev/pts" => ("terminals of its own", "pts(4)"),
        "/dev/shm" => (
            "POSIX shared memory are files: not the IPC namespace separates them, but this mount",
            "shm_overview(7)",
        ),
        "/dev/mqueue" => ("the queues of the IPC namespace, to be seen with ls", "mq_overview(7)"),
        _ => ("ordered, or the container's own view of a file", "open_tree(2)"),
    };
    Description { call, cannot, why, man }
}
