//! What CMD may have of the kernel, and which of its parameters a container may set.

use super::arguments::Words;
use crate::error::{Failure, printable};
use crate::namespace::{Namespace, Namespaces, Switch};
use crate::spec::RunOptions;

/// What CMD may have of the kernel: the same as it was given and as it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelOptions {
    /// The seccomp filter.
    pub seccomp: Seccomp,
    /// Whether CMD may make user namespaces, and containers in them.
    pub nest: Switch,
    /// Whether set-user-ID programs and file capabilities act.
    pub new_privs: Switch,
    /// What is seen of the kernel's own files.
    pub proc_view: ProcView,
    /// Kernel parameters that are set before they become read-only.
    pub sysctls: Vec<Sysctl>,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self {
            seccomp: Seccomp::Default,
            nest: Switch::No,
            new_privs: Switch::No,
            proc_view: ProcView::Masked,
            sysctls: Vec::new(),
        }
    }
}

impl KernelOptions {
    /// Says them as words of a command line.
    pub(super) fn say(&self, words: &mut Words) {
        words.value("seccomp", self.seccomp.word());
        for (name, switch) in [("nest", self.nest), ("new-privs", self.new_privs)] {
            words.value(name, if switch == Switch::Yes { "yes" } else { "no" });
        }
        words.value("proc", self.proc_view.word());
        for sysctl in &self.sysctls {
            words.value("sysctl", format!("{}={}", sysctl.key, sysctl.value));
        }
    }
}

/// The seccomp filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// The calls of [`crate::walls::seccomp::default`] run; the others are refused.
    Default,
    /// No filter.
    None,
}

impl Seccomp {
    const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::None => "none",
        }
    }
}

/// What is seen of the kernel's own files in /proc and /sys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcView {
    /// What is global is hidden or read-only.
    Masked,
    /// All of it: a door.
    Open,
}

impl ProcView {
    const fn word(self) -> &'static str {
        match self {
            Self::Masked => "masked",
            Self::Open => "open",
        }
    }
}

/// A kernel parameter of a namespace that is the container's own, sysctl(8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// Its name, parts separated by dots.
    pub key: String,
    /// What is written to it.
    pub value: String,
}

impl Sysctl {
    /// Its file below /proc/sys. As with sysctl(8) the first separator decides: behind a dot a
    /// slash stands for a dot in a part of the name (`net.ipv4.conf.eth0/1.forwarding`), behind a
    /// slash everything is as it is.
    pub fn path(&self) -> String {
        if self.key.find(['.', '/']).is_some_and(|at| self.key[at..].starts_with('/')) {
            return self.key.clone();
        }
        let swapped = |c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        self.key.chars().map(swapped).collect()
    }
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

    fn check(&self, namespaces: &Namespaces) -> Result<(), Failure> {
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
                let whose = match namespaces.joined(namespace) {
                    Some(path) => format!("that of who is in {}", crate::spec::shown(path)),
                    None => "the caller's value".into(),
                };
                Err(Failure::new(format!("--sysctl {shown} would change {whose}"))
                    .why(format!("the {} namespace is not the container's own", namespace.name()))
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
    pub(super) fn check_kernel_options(&self, namespaces: &Namespaces) -> Result<(), Failure> {
        let option = match (self.kernel.proc_view, self.kernel.sysctls.first()) {
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
        self.kernel.sysctls.iter().try_for_each(|sysctl| sysctl.check(namespaces))
    }
}
