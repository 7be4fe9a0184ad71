//! Doors: what was ordered and opens a wall. It is allowed, and said.

use super::check::PODMANS_ELEVEN;
use crate::host::Extent;
use crate::namespace::{Choice, Namespace, Switch};
use crate::spec::{
    ProcView, RootSwitch, Rootfs, Seccomp, Spec, Stdio, Supplementary, Writing, shown,
};
use caps::Capability;
use std::path::{Path, PathBuf};

/// Something that was ordered, and opens a wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Of what kind it is.
    pub opening: Opening,
    /// The option or the right.
    pub name: String,
    /// What can be done through it.
    pub what: String,
}

/// The kinds of doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A namespace that is shared or joined.
    Namespace(Namespace),
    /// A file or a directory of the host that is shown inside.
    Files {
        /// On the host.
        source: PathBuf,
        /// Inside.
        target: PathBuf,
        /// Whether it can be written.
        writable: Switch,
    },
    /// `--stdio inherit`.
    Stdio,
    /// `--proc open`.
    Proc,
    /// `--seccomp none`.
    Seccomp,
    /// `--nest yes`.
    Nest,
    /// A root that is entered by chroot(2).
    Chroot,
    /// `--groups keep`.
    Groups,
    /// `--new-privs yes`.
    NewPrivs,
    /// Capabilities, a bit each, beyond those that every container has.
    Rights(u64),
}

/// Files of the host that are shown inside.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// On the host.
    pub source: &'a Path,
    /// Inside.
    pub target: &'a Path,
    /// Whether they can be written.
    pub writable: Switch,
}

impl Opening {
    /// The files that it shows, if it is of that kind.
    pub fn files(&self) -> Option<Files<'_>> {
        match self {
            Self::Files { source, target, writable } => {
                Some(Files { source, target, writable: *writable })
            }
            Self::Namespace(_)
            | Self::Stdio
            | Self::Proc
            | Self::Seccomp
            | Self::Nest
            | Self::Chroot
            | Self::Groups
            | Self::NewPrivs
            | Self::Rights(_) => None,
        }
    }

    /// Its word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Namespace(_) => "namespace",
            Self::Files { .. } => "files",
            Self::Stdio => "stdio",
            Self::Proc => "proc",
            Self::Seccomp => "seccomp",
            Self::Nest => "nest",
            Self::Chroot => "chroot",
            Self::Groups => "groups",
            Self::NewPrivs => "new-privs",
            Self::Rights(_) => "rights",
        }
    }
}

impl Spec {
    /// What was ordered and undoes a wall: allowed, and said.
    pub fn warnings(&self) -> Vec<String> {
        let climbs = self.root == RootSwitch::Chroot && self.holds(Capability::CAP_SYS_CHROOT);
        let climbs = climbs.then_some(
            "with CAP_SYS_CHROOT a chroot is no wall: CMD can climb out of it, chroot(2)",
        );
        let entered = self.inside.as_ref().map(|inside| inside.others_may_mount);
        let entered = (entered == Some(Switch::Yes)).then_some(
            "who holds CAP_SYS_ADMIN in the user namespace that is entered can reach the caller's \
             files while this container starts",
        );
        let outside = self.joins.last.as_ref().and(self.inside.as_ref());
        let is_root = outside.is_some_and(|inside| {
            let of_root = |extent: &Extent| extent.outside == 0;
            inside.uids_outside.iter().any(of_root)
        });
        let is_root = is_root
            .then_some("the user namespace that is entered has the host's root among its ids");
        climbs.into_iter().chain(entered).chain(is_root).map(str::to_owned).collect()
    }

    /// What was ordered besides namespaces that opens a wall.
    pub fn doors(&self) -> Vec<Door> {
        let binds = self.files.parents_first().into_iter().filter_map(|order| {
            let (source, target) = (order.source()?, order.target());
            let name = format!("{} {}:{}", order.option(), shown(source), shown(target));
            Some(files(name, source, target, order.writes_arrive()))
        });
        let root = match &self.rootfs {
            Rootfs::Directory(directory) => Some(files(
                format!("--rootfs {}", shown(directory)),
                directory,
                Path::new("/"),
                if self.writing == Writing::Allowed { Switch::Yes } else { Switch::No },
            )),
            Rootfs::Builtin | Rootfs::Archive(_) | Rootfs::Stored(_) => None,
        };
        let rights = self.further_rights() & !Capability::CAP_SYS_ADMIN.bitmask();
        let further = (rights != 0).then(|| further(rights));
        self.open_options().chain(root).chain(binds).chain(further).collect()
    }

    /// The options that open a wall, as they were given. A flat table.
    fn open_options(&self) -> impl Iterator<Item = Door> {
        let has_proc = self.namespaces.is_new(Namespace::Mount);
        let masked = has_proc && self.kernel.proc_view == ProcView::Masked;
        let options = [
            (
                self.kernel.seccomp == Seccomp::None,
                Opening::Seccomp,
                "--seccomp none",
                "every call of the kernel can be made",
            ),
            (
                self.kernel.proc_view == ProcView::Open,
                Opening::Proc,
                "--proc open",
                "nothing of the kernel's own files in /proc and /sys is hidden, and those of /proc \
                    can be written as far as CMD's rights go",
            ),
            (
                self.stdio == Stdio::Inherit,
                Opening::Stdio,
                "--stdio inherit",
                "what is behind stdin, stdout and stderr can be re-opened and changed",
            ),
            (
                self.root == RootSwitch::Chroot,
                Opening::Chroot,
                "the chroot",
                "a directory that somebody outside hands in leads to the host's tree",
            ),
            (
                self.groups == Supplementary::Kept,
                Opening::Groups,
                "--groups keep",
                "CMD may do with the host's files what the caller's supplementary groups may, where it \
                    sees them",
            ),
            (
                self.kernel.new_privs == Switch::Yes,
                Opening::NewPrivs,
                "--new-privs yes",
                "a set-user-ID program inside has the rights of its owner, and may have every \
                    capability of --caps",
            ),
            (
                self.kernel.nest == Switch::Yes,
                Opening::Nest,
                "--nest yes",
                "a user namespace inside can mount the caller's cgroups",
            ),
            (
                self.holds(Capability::CAP_SYS_ADMIN),
                Opening::Rights(Capability::CAP_SYS_ADMIN.bitmask()),
                "CAP_SYS_ADMIN",
                if masked {
                    "CMD can take the masks of /proc and /sys away, and mount what it likes"
                } else {
                    "CMD can mount what it likes"
                },
            ),
        ];
        options.into_iter().filter(|(open, ..)| *open).map(|(_, opening, name, what)| Door {
            opening,
            name: name.into(),
            what: what.into(),
        })
    }

    /// The namespaces that are shared or joined, as doors.
    pub fn shared_namespaces(&self) -> Vec<Door> {
        let whose = |namespace: Namespace| match self.namespaces.get(namespace) {
            Choice::New => None,
            Choice::Shared => Some("the caller's".to_owned()),
            Choice::Join(path) => Some(shown(path)),
        };
        let door = |namespace: Namespace| {
            let what = format!("the {} namespace is {}", namespace.name(), whose(namespace)?);
            let name = namespace.proc_entry().into();
            Some(Door { opening: Opening::Namespace(namespace), name, what })
        };
        Namespace::ALL.into_iter().filter_map(door).collect()
    }

    /// The capabilities beyond those that every container has. In a user namespace of its own they
    /// count over what that owns, and over nothing else; but for the right to mount.
    pub fn further_rights(&self) -> u64 {
        let usual = PODMANS_ELEVEN.iter().fold(0, |mask, cap| mask | cap.bitmask());
        let climbs = match self.root {
            RootSwitch::Pivot => 0,
            RootSwitch::Chroot => Capability::CAP_SYS_CHROOT.bitmask(),
        };
        let counted = if self.namespaces.is_new(Namespace::User) {
            Capability::CAP_SYS_ADMIN.bitmask() | climbs
        } else {
            u64::MAX
        };
        self.cap_mask & counted & (!usual | climbs)
    }

    /// Whether CMD has a capability.
    fn holds(&self, capability: Capability) -> bool {
        self.cap_mask & capability.bitmask() != 0
    }
}

fn files(name: String, source: &Path, target: &Path, writable: Switch) -> Door {
    let what = format!(
        "{} of the host is {} inside, {}",
        shown(source),
        shown(target),
        if writable == Switch::Yes { "and can be written" } else { "read-only" }
    );
    let opening = Opening::Files { source: source.to_owned(), target: target.to_owned(), writable };
    Door { opening, name, what }
}

/// Capabilities as one door: by name, as long as that can be read.
fn further(rights: u64) -> Door {
    const MOST: usize = 3;
    let names: Vec<String> = caps::all()
        .into_iter()
        .filter(|cap| rights & cap.bitmask() != 0)
        .map(|cap| cap.to_string())
        .collect();
    let name = match names.len() {
        few if few <= MOST => names.join(", "),
        many => format!("{many} rights"),
    };
    let what = format!("rights that containers do not have by default: {}", names.join(" "));
    Door { opening: Opening::Rights(rights), name, what }
}
