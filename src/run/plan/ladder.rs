//! The ladder while it is built, and the rungs that stand alone.

use crate::beneath::is_of_the_kernel;
use crate::host::{Host, UserNamespace};
use crate::mounts::Attributes;
use crate::namespace::{Choice, Namespace, Switch};
use crate::ready::queue::Name;
use crate::rootfs::Image;
use crate::run::resource::Resource;
use crate::run::step::{ChildStep, Mount, ParentStep, RootfsStep, Source, Step, WardenStep};
use crate::run::streams::{Stream, pipe_owners};
use crate::spec::{Spec, Writing};
use crate::walls::idmap::{IdMaps, Writer};
use crate::walls::proc_masks::Hidden;
use caps::Capability;
use rustix::process::getrlimit;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The ladder while it is built.
pub(super) struct Ladder<'a> {
    pub(super) spec: &'a Spec,
    pub(super) host: &'a Host,
    pub(super) maps: Option<&'a IdMaps>,
    pub(super) steps: Vec<Step>,
    pub(super) resources: Vec<Resource>,
    pub(super) mounts: Vec<Rc<Mount>>,
    /// How many of them every container has: the first ones.
    pub(super) own_mounts: usize,
    /// The steps that put what was ordered in its place, parents first.
    pub(super) ordered: Vec<RootfsStep>,
    /// Those that open the lower directories of overlays.
    pub(super) lowers: Vec<RootfsStep>,
    /// The slots of mounts that become read-only at the end.
    pub(super) kept: Vec<usize>,
    /// The files of /etc, for a root of rustic's own and for the scratch tmpfs.
    pub(super) etc: Vec<(&'static str, Vec<u8>)>,
    pub(super) scratch_files: Vec<(&'static str, Vec<u8>)>,
    /// /proc and /sys, where there are mounts.
    pub(super) own: Option<OwnMounts>,
    pub(super) kernel_files: KernelFiles,
    /// Whose the root is that mount targets are made in.
    pub(super) place: RootPlace,
    pub(super) streams: [Stream; 3],
    /// The slots of rustic's own /dev and /dev/pts.
    pub(super) dev: Option<usize>,
    pub(super) devpts: Option<usize>,
    pub(super) remarks: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// What is hidden, behind every link.
    pub(super) hidden: Vec<PathBuf>,
    /// Whether what is done of the root file system is the builder's now.
    building: Switch,
}

/// What is hidden of the kernel's own files, and where.
#[derive(Default)]
pub(super) struct KernelFiles {
    pub(super) proc: Vec<Hidden>,
    pub(super) sys: Vec<Hidden>,
    pub(super) root: Vec<Hidden>,
}

/// The slots of /proc and /sys.
#[derive(Clone, Copy)]
pub(super) struct OwnMounts {
    pub(super) proc: usize,
    pub(super) sys: usize,
    pub(super) view: SysView,
}

/// Whose the root file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RootPlace {
    /// rustic's own: an overlay, or the scratch tmpfs.
    Own,
    /// A directory of the caller's.
    Callers,
}

/// What /sys is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SysView {
    /// A new one.
    New,
    /// The caller's, with what is mounted below it.
    Callers,
    /// Nothing: it would show a network that the user namespace does not own.
    Empty,
}

pub(super) const NO_SUID_DEV: Attributes = Attributes::NO_SUID.union(Attributes::NO_DEVICES);
pub(super) const NO_SUID_DEV_EXEC: Attributes = NO_SUID_DEV.union(Attributes::NO_EXEC);

impl<'a> Ladder<'a> {
    pub(super) fn new(spec: &'a Spec, host: &'a Host, maps: Option<&'a IdMaps>) -> Self {
        Self {
            spec,
            host,
            maps,
            steps: Vec::new(),
            resources: Vec::new(),
            mounts: Vec::new(),
            own_mounts: 0,
            ordered: Vec::new(),
            lowers: Vec::new(),
            kept: Vec::new(),
            etc: Vec::new(),
            scratch_files: Vec::new(),
            own: None,
            kernel_files: KernelFiles::default(),
            place: RootPlace::Own,
            streams: [Stream::Passed, Stream::Passed, Stream::Passed],
            dev: None,
            devpts: None,
            remarks: Vec::new(),
            warnings: Vec::new(),
            hidden: Vec::new(),
            building: Switch::No,
        }
    }

    pub(super) fn rung(&mut self, step: impl Into<Step>) {
        self.steps.push(match (step.into(), self.building) {
            (Step::Rootfs(step), Switch::Yes) => Step::Builder(step),
            (step, _) => step,
        });
    }

    /// What a uid inside is for the parent, who is root outside.
    fn outside(&self, uid: u32) -> u32 {
        self.maps.and_then(|maps| maps.outside(uid)).unwrap_or(uid)
    }

    /// Whether a builder makes the root file system, outside of the user namespace.
    pub(super) fn has_builder(&self) -> bool {
        self.maps.is_some_and(|maps| maps.owner().is_some())
    }

    pub(super) fn is_new(&self, namespace: Namespace) -> bool {
        self.spec.namespaces.is_new(namespace)
    }

    /// Whether nothing is written to the root.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self.spec.writing, Writing::Refused | Writing::Strict)
    }

    /// Whether the caller's user namespace owns the caller's other namespaces, and so may mount
    /// views of them.
    pub(super) fn owns_the_shared(&self) -> bool {
        self.maps.is_none() && self.host.user_namespace == UserNamespace::Initial
    }

    /// Whether device nodes can be made: by root of the machine, before the child is in a user
    /// namespace.
    pub(super) fn makes_nodes(&self) -> bool {
        (self.owns_the_shared() || self.has_builder()) && self.host.holds(Capability::CAP_MKNOD)
    }

    /// Whether a mount is a file system that only the child can make, in its new namespaces, or that
    /// belongs to them.
    pub(super) fn is_childs(&self, mount: &Mount) -> bool {
        let has_nodes = Some(mount.slot) == self.dev && self.makes_nodes();
        mount.ordered == Switch::No
            && matches!(mount.source, Source::New { .. })
            && is_of_the_kernel(&mount.target)
            && !has_nodes
    }

    /// Whether a file system that shows a namespace may be mounted: the kernel asks for rights in
    /// the user namespace that owns it.
    pub(super) fn may_show(&self, namespace: Namespace) -> bool {
        match self.spec.namespaces.get(namespace) {
            Choice::New => true,
            Choice::Shared => self.owns_the_shared(),
            Choice::Join(_) => !self.is_new(Namespace::User),
        }
    }

    /// Where many mounts are ordered: the soft limit of open descriptors that CMD gets back.
    pub(super) fn raise_descriptor_limit(&mut self) -> Option<u64> {
        // The mounts that every container has, and what the processes have between them.
        const USUAL: usize = 96;
        // A mount, its target and the directory that it is in, twice over.
        const OF_AN_ORDER: usize = 6;
        let orders = self.spec.files.parents_first().len();
        let most = USUAL + OF_AN_ORDER * orders;
        let soft = getrlimit(rustix::process::Resource::Nofile).current?;
        // The usual ones are nobody's order.
        let is_low = orders > 0 && soft < most as u64;
        is_low.then(|| {
            self.rung(ParentStep::RaiseDescriptorLimit);
            soft
        })
    }

    /// The caller's streams: those that need views, and pipes that become CMD's.
    pub(super) fn open_streams(&mut self, streams: [Stream; 3]) {
        let views: Vec<usize> = (0..3).filter(|&n| streams[n] == Stream::View).collect();
        if !views.is_empty() {
            self.rung(ParentStep::OpenViews(views));
        }
        let uid = self.outside(self.spec.user.uid);
        let pipe_owners = pipe_owners(&streams, self.spec, self.host, uid);
        if !pipe_owners.is_empty() {
            self.resources.push(Resource::PipeOwners(pipe_owners.clone()));
            self.rung(ParentStep::GivePipes { before: pipe_owners, uid });
        }
        self.streams = streams;
    }

    pub(super) fn make_queue(&mut self, queue: Option<&Name>) {
        if let Some(name) = queue {
            self.resources.push(Resource::Queue(name.clone()));
            self.rung(ParentStep::MakeQueue(name.clone()));
        }
    }

    pub(super) fn clone_child(&mut self, image: &Image) {
        self.rung(WardenStep::BecomeSubreaper);
        match image {
            Image::PerRun { directory, .. } => {
                self.resources.push(Resource::RunDirectory(directory.clone()));
                self.rung(WardenStep::MakeRunDirectory(directory.clone()));
            }
            Image::Tree(_) | Image::Directory(_) | Image::ToUnpack(_) => {}
        }
        let (joins, mut namespaces) = (self.spec.joins.clone(), self.spec.namespaces.clone());
        if self.has_builder() {
            self.rung(WardenStep::BuildAndClone { joins, namespaces });
            self.building = Switch::Yes;
            return;
        }
        if self.parent_makes_network() {
            namespaces = namespaces.with(Namespace::Net, Choice::Shared);
        }
        self.rung(if joins.is_empty() {
            WardenStep::Clone(namespaces)
        } else {
            WardenStep::JoinAndClone { joins, namespaces }
        });
        if self.parent_makes_network() {
            self.rung(ParentStep::MakeNetwork);
        }
        self.begin_child();
    }

    /// The first steps of the child. The builder, where there was one, has done its part.
    pub(super) fn begin_child(&mut self) {
        self.building = Switch::No;
        let is_joined = |maps: &IdMaps| matches!(maps.writer, Writer::Nobody | Writer::Outside);
        if let Some(maps) = self.maps.filter(|maps| !is_joined(maps)) {
            self.rung(WardenStep::WriteIdMaps(maps.clone()));
        }
        self.rung(ChildStep::WaitForGo);
        if self.has_builder() {
            self.rung(ChildStep::BecomeRoot);
        }
        self.rung(ChildStep::Session);
    }

    /// What files of the image, of the caller and of CMD's own may not do.
    pub(super) fn restrictions(&self) -> Attributes {
        match self.spec.kernel.new_privs {
            Switch::No => NO_SUID_DEV,
            Switch::Yes => Attributes::NO_DEVICES,
        }
    }

    pub(super) fn take_streams(&mut self) {
        let taken = |stream: &Stream| !matches!(stream, Stream::Terminal | Stream::Passed);
        if self.streams.iter().any(taken) {
            self.rung(ChildStep::TakeStreams { streams: self.streams.clone(), dev: self.dev });
        }
    }
}

pub(super) fn c_string(path: &Path) -> CString {
    let bytes: &OsStr = path.as_os_str();
    // A path that came from the kernel or passed Spec's check has no NUL.
    CString::new(bytes.as_bytes()).unwrap_or_default()
}
