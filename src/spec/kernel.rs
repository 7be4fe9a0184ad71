//! The wall to the kernel: which of its parameters a container may set.

use crate::error::{Failure, printable};
use crate::namespace::{Namespace, Namespaces};
use crate::spec::{ProcView, RunOptions, Sysctl};

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
    pub(super) fn kernel_files(&self, namespaces: &Namespaces) -> Result<(), Failure> {
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
