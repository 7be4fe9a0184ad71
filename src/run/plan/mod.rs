//! Spec → Plan: the ladder, a line a rung. The one place where the order of the walls is decided.

mod kernel_files;
mod mounts;

use crate::error::Failure;
use crate::host::{Host, UserNamespace, contains};
use crate::mounts::{Attributes, OverlayMarks};
use crate::namespace::{Namespace, Namespaces, Switch};
use crate::ready::notify;
use crate::ready::queue::Name;
use crate::rootfs::Image;
use crate::run::leak;
use crate::run::pty::Terminals;
use crate::run::step::{Mount, Quota, Side, Step, Tree};
use crate::run::streams::Stream;
use crate::spec::{Capabilities, First, Ready, RootSwitch, Seccomp, Spec, Writing};
use crate::walls::idmap::{IdMaps, Writer};
use crate::walls::privileges::{Credentials, Groups, Keep};
use crate::walls::seccomp::default::{self, FilterOptions};
use crate::walls::seccomp::{self, SelfSignals};
use kernel_files::KernelFiles;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What the child will do, and what the warden must know to clean up after it.
#[derive(Debug)]
pub struct Plan {
    /// The steps, in order; a step's number is its place here.
    pub steps: Vec<Step>,
    /// How many mount descriptors the child keeps.
    pub slots: usize,
    /// The parent's queue.
    pub queue: Option<Name>,
    /// The directory that an image was unpacked into for this run alone.
    pub run_directory: Option<PathBuf>,
    /// The namespaces.
    pub namespaces: Namespaces,
    /// The ids of the user namespace.
    pub maps: Option<IdMaps>,
    /// Pipes that are CMD's for this run, with the owners that they get back.
    pub pipe_owners: Vec<(usize, u32)>,
    /// Walls that this container does not have though they are the default, each with its reason,
    /// for -v.
    pub remarks: Vec<String>,
}

/// What the plan is made of.
pub struct Ingredients<'a> {
    /// What is wanted.
    pub spec: &'a Spec,
    /// What is there.
    pub host: &'a Host,
    /// The root file system, found.
    pub image: Image,
    /// The streams that are terminals.
    pub terminals: Terminals,
    /// What CMD gets as standard streams.
    pub streams: [Stream; 3],
    /// The owners of pipes among them, which have to be CMD's.
    pub pipe_owners: Vec<(usize, u32)>,
    /// The queue's name, where one is wanted.
    pub queue: Option<Name>,
}

/// The descriptor that says READY=1 with `--ready app`: one digit, since dash(1) takes no larger
/// number in `>&$RUSTIC_READY_FD`.
pub const READY_FD: i32 = 3;

/// The ladder while it is built.
struct Ladder<'a> {
    spec: &'a Spec,
    host: &'a Host,
    maps: Option<&'a IdMaps>,
    steps: Vec<Step>,
    mounts: Vec<Rc<Mount>>,
    /// /proc and /sys, where there are mounts.
    own: Option<OwnMounts>,
    kernel_files: KernelFiles,
    streams: [Stream; 3],
    /// The slots of rustic's own /dev and /dev/pts.
    dev: Option<usize>,
    devpts: Option<usize>,
    remarks: Vec<String>,
}

/// The slots of /proc and /sys.
#[derive(Clone, Copy)]
struct OwnMounts {
    proc: usize,
    sys: usize,
    /// Whether /sys is new, or the caller's with what is mounted below it.
    new_sys: Switch,
}

const NO_SUID_DEV: Attributes = Attributes::NO_SUID.and(Attributes::NO_DEVICES);
const NO_SUID_DEV_EXEC: Attributes = NO_SUID_DEV.and(Attributes::NO_EXEC);

impl Plan {
    /// The plan of a container.
    ///
    /// # Errors
    /// An order that cannot be met on this host, an id that the user namespace will not have above
    /// all.
    pub fn new(from: Ingredients<'_>) -> Result<Self, Failure> {
        let Ingredients { spec, host, image, terminals, streams, pipe_owners, queue } = from;
        let namespaces = spec.namespaces;
        let maps = namespaces.is_new(Namespace::User).then(|| IdMaps::of(host));
        if let Some(maps) = &maps {
            ids_are_mapped(spec, maps)?;
        }
        let run_directory = match &image {
            Image::PerRun { directory, .. } => Some(directory.clone()),
            _ => None,
        };
        // Denied here, it is denied in every namespace below.
        let groups = match (&maps, host.setgroups) {
            (Some(IdMaps { writer: Writer::OneId, .. }), _) | (_, Switch::No) => Groups::Kept,
            _ => Groups::Dropped,
        };
        let keep = if spec.caps == Capabilities::Default { Keep::Default } else { Keep::Named };
        let credentials =
            Credentials::ordered(spec.uid, spec.gid, spec.cap_mask, keep, groups, host.last_cap);

        let mut ladder = Ladder {
            spec,
            host,
            maps: maps.as_ref(),
            steps: Vec::new(),
            mounts: Vec::new(),
            own: None,
            kernel_files: KernelFiles::default(),
            streams: [Stream::Passed, Stream::Passed, Stream::Passed],
            dev: None,
            devpts: None,
            remarks: Vec::new(),
        };
        let views: Vec<usize> = (0..3).filter(|&n| streams[n] == Stream::View).collect();
        if !views.is_empty() {
            ladder.rung(Step::OpenViews(views));
        }
        if !pipe_owners.is_empty() {
            let before = pipe_owners.clone();
            ladder.rung(Step::GivePipes { before, uid: spec.uid });
        }
        if let Some(name) = &queue {
            ladder.rung(Step::MakeQueue(name.clone()));
        }
        ladder.clone_child(run_directory.as_deref());
        ladder.streams = streams;
        ladder.root(image)?;
        ladder.system_mounts(terminals);
        ladder.take_streams();
        ladder.loopback();
        ladder.hostname();
        ladder.keyring();
        ladder.readiness_opened(queue.as_ref());
        ladder.rung(Step::CloseDescriptors);
        ladder.rung(Step::FindHome(spec.uid));
        ladder.privileges(&credentials)?;
        let seen = queue.as_ref().filter(|_| !namespaces.is_new(Namespace::Ipc));
        if let Some(name) = seen.filter(|_| spec.ready == Ready::Queue) {
            ladder.rung(Step::SendReady(name.clone()));
        }
        let env = ladder.environment(queue.as_ref());
        ladder.rung(Step::Exec { cmd: spec.cmd.clone(), env, first: spec.first });
        if let Some(name) = seen {
            ladder.rung(Step::ReceiveReady(name.clone()));
        }
        if let Some(name) = &queue {
            ladder.rung(Step::RemoveQueue(name.clone()));
        }

        let Ladder { mut steps, mounts, remarks, .. } = ladder;
        leak::ordered(&mut steps);
        Ok(Self {
            steps,
            slots: mounts.len(),
            queue,
            run_directory,
            namespaces,
            maps,
            pipe_owners,
            remarks,
        })
    }

    /// The steps of one side, with their numbers.
    pub fn side(&self, side: Side) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().enumerate().filter(move |(_, step)| step.side() == side)
    }
}

impl Ladder<'_> {
    fn rung(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn is_new(&self, namespace: Namespace) -> bool {
        self.spec.namespaces.is_new(namespace)
    }

    /// Whether the caller's user namespace owns the caller's other namespaces, and so may mount
    /// views of them.
    fn owns_the_shared(&self) -> bool {
        self.maps.is_none() && self.host.user_namespace == UserNamespace::Initial
    }

    fn clone_child(&mut self, run_directory: Option<&Path>) {
        self.rung(Step::BecomeSubreaper);
        if let Some(path) = run_directory {
            self.rung(Step::MakeRunDirectory(path.to_owned()));
        }
        self.rung(Step::Clone(self.spec.namespaces));
        if let Some(maps) = self.maps {
            self.rung(Step::WriteIdMaps(maps.clone()));
        }
        self.rung(Step::WaitForGo);
        self.rung(Step::Session);
    }

    fn root(&mut self, image: Image) -> Result<(), Failure> {
        match (image, self.spec.namespaces.get(Namespace::Mount)) {
            (image, Switch::Yes) => self.mounted_root(image)?,
            (Image::PerRun { origin, directory }, Switch::No) => {
                self.rung(Step::UnpackIntoRunDirectory { origin, path: directory });
                if self.owns_the_shared() {
                    self.rung(Step::DeviceNodes(None));
                } else {
                    self.remarks.push(
                        "dev: no device nodes, which only root outside a user namespace can make"
                            .into(),
                    );
                }
                self.rung(Step::Chroot);
            }
            (Image::Tree(path), Switch::No) => {
                self.rung(Step::OpenBase(c_string(&path)));
                self.rung(Step::Chroot);
            }
            (Image::Directory(path), Switch::No) => {
                self.name_open_views(Some(&path))?;
                self.rung(Step::OpenBase(c_string(&path)));
                self.rung(Step::Chroot);
            }
            // An archive has a directory of its run here. Without one the chroot fails, having
            // nothing to enter.
            (Image::Unpacked(_), Switch::No) => self.rung(Step::Chroot),
        }
        Ok(())
    }

    fn mounted_root(&mut self, image: Image) -> Result<(), Failure> {
        let read_only = if self.spec.writing == Writing::Refused {
            Attributes::READ_ONLY
        } else {
            Attributes::NONE
        };
        let attributes = NO_SUID_DEV.and(read_only);
        let marks = if self.owns_the_shared() { OverlayMarks::Trusted } else { OverlayMarks::User };
        let scratch = Step::MakeScratch { size: self.spec.scratch_size };
        let directory = match &image {
            Image::Directory(path) => Some(path.clone()),
            Image::Tree(_) | Image::Unpacked(_) | Image::PerRun { .. } => None,
        };
        let (base, steps) = match image {
            // A copy of the directory's mounts is taken before the scratch is attached over it, or
            // it would hold the scratch too.
            Image::Directory(path) if self.spec.writing != Writing::Ephemeral => {
                (path, vec![Step::MakeTree { from: Tree::Base, attributes }, scratch])
            }
            Image::Directory(path) | Image::Tree(path) => {
                (path, vec![scratch, Step::MakeOverlay { marks, attributes }])
            }
            Image::Unpacked(origin) | Image::PerRun { origin, .. } => {
                let unpack = [
                    scratch,
                    Step::UnpackIntoScratch(origin),
                    Step::MakeTree { from: Tree::Scratch, attributes },
                ];
                (PathBuf::from("/"), unpack.into())
            }
        };
        self.rung(Step::OpenBase(c_string(&base)));
        self.rung(Step::MakePrivate);
        let by_path = |(number, stream): (usize, &Stream)| match stream {
            Stream::ViewByPath(path) => Some((number, path.clone())),
            _ => None,
        };
        let views: Vec<_> = self.streams.iter().enumerate().filter_map(by_path).collect();
        if !views.is_empty() {
            self.rung(Step::OpenViewsByPath(views));
        }
        self.steps.extend(steps);
        self.host_files();
        self.enter_root(&base, directory.as_deref())
    }

    fn enter_root(&mut self, base: &Path, directory: Option<&Path>) -> Result<(), Failure> {
        self.plan_system_mounts();
        self.plan_ordered_mounts();
        for mount in self.mounts.clone() {
            self.rung(Step::Make(mount));
        }
        self.name_open_views(None)?;
        let sys = self.own.map_or(Switch::Yes, |own| own.new_sys);
        self.hide_kernel_files(sys, directory)?;
        // Where the old tree is detached as a whole, the scratch tmpfs goes with it: one wait for
        // the kernel's readers, not two. Over the caller's own root it would lie on top of that
        // tree, and be detached in its place.
        if self.spec.root == RootSwitch::Chroot || base == Path::new("/") {
            self.rung(Step::DetachScratch);
        }
        self.rung(Step::AttachRoot);
        self.rung(match self.spec.root {
            RootSwitch::Pivot => Step::Pivot,
            RootSwitch::Chroot => Step::Chroot,
        });
        Ok(())
    }

    /// Attaches the mounts, in the order in which they were planned, and fills /dev in between.
    fn system_mounts(&mut self, terminals: Terminals) {
        self.hide_views();
        for mount in self.mounts.clone() {
            let slot = mount.slot;
            self.rung(Step::Attach(mount));
            if let Some(own) = self.own.filter(|own| own.sys == slot) {
                self.mask_kernel_files(own.proc, own.sys);
            }
            // Only ever in a mount of rustic's own: an ordered one at the same place is somebody's
            // directory.
            if Some(slot) == self.dev {
                if self.owns_the_shared() {
                    self.rung(Step::DeviceNodes(Some(slot)));
                }
                self.rung(Step::DeviceLinks(slot));
            }
        }
        if terminals.any() {
            self.rung(Step::Terminal {
                streams: terminals,
                devpts: self.devpts,
                uid: self.spec.uid,
            });
        }
    }

    fn take_streams(&mut self) {
        let taken = |stream: &Stream| !matches!(stream, Stream::Terminal | Stream::Passed);
        if self.streams.iter().any(taken) {
            self.rung(Step::TakeStreams { streams: self.streams.clone(), dev: self.dev });
        }
    }

    fn loopback(&mut self) {
        if self.is_new(Namespace::Net) {
            self.rung(Step::Loopback);
        }
    }

    fn hostname(&mut self) {
        if let Some(name) = &self.spec.hostname {
            self.steps.push(Step::Hostname(name.clone()));
        }
    }

    fn keyring(&mut self) {
        let quota = if self.spec.seccomp == Seccomp::None { Quota::Fatal } else { Quota::Bearable };
        self.rung(Step::Keyring { quota });
    }

    /// The queue is opened before the uid changes, while the child still is who made it.
    fn readiness_opened(&mut self, queue: Option<&Name>) {
        if self.spec.ready == Ready::App {
            match self.dev {
                Some(slot) => self.rung(Step::NotifySocket(slot)),
                None => self.remarks.push(
                    "ready: no NOTIFY_SOCKET, because without mounts there is \
                        no /dev of its own to put it in"
                        .into(),
                ),
            }
        }
        if self.spec.ready == Ready::Queue
            && let Some(name) = queue
        {
            let seen = if self.is_new(Namespace::Ipc) { Switch::No } else { Switch::Yes };
            self.rung(Step::OpenQueue { name: name.clone(), seen });
        }
        if let Some(limit) = self.host.msgqueue_limit {
            self.rung(Step::LimitQueues(limit / 2));
        }
    }

    /// CMD's variables, with the ways to say READY=1 where the program inside is to say it.
    fn environment(&self, queue: Option<&Name>) -> Vec<CString> {
        let mut env = self.spec.env.clone();
        if self.spec.ready == Ready::App {
            let mut ways = vec![format!("RUSTIC_READY_FD={READY_FD}")];
            ways.extend(queue.map(|name| format!("RUSTIC_READY_QUEUE={}", name.shown())));
            if self.is_new(Namespace::Mount) {
                ways.push(format!("NOTIFY_SOCKET={}", notify::PATH));
            }
            env.extend(ways.into_iter().filter_map(|line| CString::new(line).ok()));
        }
        env
    }

    fn privileges(&mut self, credentials: &Credentials) -> Result<(), Failure> {
        let bounding =
            if self.maps.is_some() { self.host.known_caps() } else { self.host.bounding };
        if bounding & !credentials.bounding != 0 {
            self.rung(Step::DropBounding(bounding & !credentials.bounding));
        }
        if credentials.groups == Groups::Dropped {
            self.rung(Step::DropGroups);
        } else {
            self.remarks.push(
                "user: setgroups is denied in this user namespace: the caller's \
                supplementary groups stay"
                    .into(),
            );
        }
        self.rung(Step::SetGid(credentials.gid));
        self.rung(Step::SetUid(credentials.uid));
        self.rung(Step::SetCapabilities(credentials.clone()));
        self.rung(Step::Chdir(self.spec.workdir.clone()));
        self.rung(Step::NoNewPrivs);
        self.rung(Step::VerifyCredentials(credentials.clone()));
        if self.spec.seccomp == Seccomp::Default {
            // Only as PID 1 is CMD deaf to its own signals.
            let reaped = matches!(self.spec.first, First::Reaper | First::ReapedProbe(_));
            let pid_1 = self.is_new(Namespace::Pid) && !reaped;
            let self_signals = if pid_1 { SelfSignals::Told } else { SelfSignals::Untold };
            let (capabilities, nest) = (credentials.permitted, self.spec.nest);
            let policy = default::policy(FilterOptions { capabilities, nest, self_signals });
            let filter = seccomp::compile(&policy).map_err(|refusal| {
                Failure::new(format!("cannot compile the seccomp filter: {refusal}"))
            })?;
            self.rung(Step::Seccomp { self_signals, filter });
        }
        Ok(())
    }
}

fn ids_are_mapped(spec: &Spec, maps: &IdMaps) -> Result<(), Failure> {
    let missing = match (contains(&maps.uids, spec.uid), contains(&maps.gids, spec.gid)) {
        (false, _) => format!("--uid {}", spec.uid),
        (_, false) => format!("--gid {}", spec.gid),
        _ => return Ok(()),
    };
    Err(Failure::new(format!("{missing}: the user namespace will not have this id"))
        .why(match maps.writer {
            Writer::OneId => "without subordinate ids a plain user has one id inside, 0",
            _ => "it lies outside the ids that are mapped",
        })
        .remedy("add ranges to /etc/subuid and /etc/subgid and install newuidmap, or run as root")
        .man("subuid(5)"))
}

fn c_string(path: &Path) -> CString {
    let bytes: &OsStr = path.as_os_str();
    // A path that came from the kernel or passed Spec's check has no NUL.
    CString::new(bytes.as_bytes()).unwrap_or_default()
}
