//! The wall to the kernel: which of its parameters a container may set, and what was ordered that
//! opens it.

use crate::error::{Failure, printable};
use crate::namespace::{Namespace, Namespaces, Switch};
use crate::spec::{ProcView, RootSwitch, RunOptions, Seccomp, Spec, Stdio, Sysctl};
use caps::Capability;

/// Something that was ordered, and opens a wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// The option or the right.
    pub name: &'static str,
    /// What can be done through it.
    pub what: &'static str,
}

impl Sysctl {
    /// The namespace that has a value of its own; `None` where the whole machine has one.
    fn namespace(&self) -> Option<Namespace> {
        let key = self.path();
        // It is found below net, and there is one for all of them, which cannot be set back.
        if key == "net/netfilter/nf_hooks_lwtunnel" {
            return None;
        }
        let starts = |with: &str| key.strip_prefix(with).is_some_and(|rest| !rest.is_empty());
        if starts("net/") {
            Some(Namespace::Net)
        } else if key == "kernel/sem"
            || ["kernel/shm", "kernel/msg", "kernel/sem_", "fs/mqueue/"].into_iter().any(starts)
        {
            Some(Namespace::Ipc)
        } else {
            None
        }
    }

    fn check(&self, namespaces: Namespaces) -> Result<(), Failure> {
        let shown = printable(&self.key);
        let plain = |part: &str| !part.is_empty() && !matches!(part, "." | "..");
        if !self.path().split('/').all(plain) || self.path().contains('\0') {
            return Err(Failure::new(format!("--sysctl {shown} is no name of a kernel parameter"))
                .remedy("--sysctl net.ipv4.ip_forward=1")
                .man("sysctl(8)"));
        }
        match self.namespace() {
            Some(namespace) if namespaces.is_new(namespace) => Ok(()),
            Some(namespace) => {
                Err(Failure::new(format!("--sysctl {shown} would change the caller's value"))
                    .why(format!("the {} namespace is shared", namespace.name()))
                    .remedy(format!("--{} yes", namespace.name()))
                    .man(namespace.man()))
            }
            None => Err(Failure::new(format!(
                "--sysctl {shown}: the whole machine has one value, no namespace has its own"
            ))
            .why("net.*, kernel.shm*, kernel.msg*, kernel.sem and fs.mqueue.* can be set")
            .man("namespaces(7)")),
        }
    }
}

impl RunOptions {
    /// The options of the kernel's files, against the namespaces.
    pub(super) fn kernel_files(&self, namespaces: Namespaces) -> Result<(), Failure> {
        let option = match (self.proc_view, self.sysctls.first()) {
            (ProcView::Open, _) => Some("--proc open"),
            (_, Some(_)) => Some("--sysctl"),
            _ => None,
        };
        if let Some(option) = option.filter(|_| !namespaces.is_new(Namespace::Mount)) {
            return Err(Failure::new(format!(
                "{option} is about a /proc, and --mount no has none"
            ))
            .remedy("leave out --mount no"));
        }
        self.sysctls.iter().try_for_each(|sysctl| sysctl.check(namespaces))
    }
}

impl Spec {
    /// What was ordered and undoes a wall: allowed, and said.
    pub fn warnings(&self) -> Vec<String> {
        let climbs = self.root == RootSwitch::Chroot && self.holds(Capability::CAP_SYS_CHROOT);
        let warning = "with CAP_SYS_CHROOT a chroot is no wall: CMD can climb out of it, chroot(2)";
        climbs.then(|| warning.to_owned()).into_iter().collect()
    }

    /// What was ordered besides namespaces that opens a wall.
    pub fn doors(&self) -> Vec<Door> {
        let has_proc = self.namespaces.is_new(Namespace::Mount);
        let masked = has_proc && self.proc_view == ProcView::Masked;
        let doors = [
            (
                self.seccomp == Seccomp::None,
                Door { name: "--seccomp none", what: "every call of the kernel can be made" },
            ),
            (
                self.proc_view == ProcView::Open,
                Door {
                    name: "--proc open",
                    what: "nothing of the kernel's own files in /proc and /sys is hidden, and \
                           those of /proc can be written as far as CMD's rights go",
                },
            ),
            (
                self.stdio == Stdio::Inherit,
                Door {
                    name: "--stdio inherit",
                    what: "what is behind stdin, stdout and stderr can be re-opened and changed",
                },
            ),
            (
                self.root == RootSwitch::Chroot,
                Door {
                    name: "the chroot",
                    what: "a directory that somebody outside hands in leads to the host's tree",
                },
            ),
            (
                self.nest == Switch::Yes,
                Door {
                    name: "--nest yes",
                    what: "a user namespace inside can mount the caller's cgroups",
                },
            ),
            (
                masked && self.holds(Capability::CAP_SYS_ADMIN),
                Door {
                    name: "CAP_SYS_ADMIN",
                    what: "CMD can take the masks of /proc and /sys away",
                },
            ),
        ];
        doors.into_iter().filter(|(open, _)| *open).map(|(_, door)| door).collect()
    }

    /// Whether CMD has a capability.
    fn holds(&self, capability: Capability) -> bool {
        self.cap_mask & capability.bitmask() != 0
    }
}
