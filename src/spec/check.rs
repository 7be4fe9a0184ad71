//! Every rule that spans several options, in one place.

use super::files::can_be_undone;
use super::join::{Joined, open_joins};
use super::rights;
use super::rootfs::store;
use crate::error::{Failure, printable};
use crate::host::Host;
use crate::namespace::{Choice, Namespace, Namespaces, Switch};
use crate::spec::{
    Capabilities, Ready, RootSwitch, Rootfs, RunOptions, Seccomp, Spec, Writing, shown,
};
use caps::Capability;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Podman's default capabilities.
pub(super) const PODMANS_ELEVEN: [Capability; 11] = [
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

impl RunOptions {
    /// Checks the options against each other and against the host.
    ///
    /// # Errors
    /// The first contradiction, named with its way out.
    pub fn check(self, host: &Host) -> Result<Spec, Failure> {
        let mut namespaces = self.namespaces(host)?;
        let Joined { joins, inside } = open_joins(&mut namespaces, host)?;
        let root = self.root_switch(&namespaces)?;
        no_chroot_among_others(&namespaces, root)?;
        self.no_mounts_without_a_mount_namespace(&namespaces)?;
        self.check_kernel_options(&namespaces)?;
        rights::check(&namespaces, host)?;
        self.check_new_privs(&namespaces, host)?;
        let hostname = self.hostname(&namespaces)?;
        let store = store(&self.store, host)?;
        let rootfs = self.rootfs(store.as_deref())?;
        self.image.check(&rootfs)?;
        let env = self.environment()?;
        let cap_mask = self.cap_mask(&namespaces, root, host)?;
        let files = self.files.check()?;
        if host.uid != 0 && cap_mask & Capability::CAP_SYS_ADMIN.bitmask() != 0 {
            files.nothing_to_undo()?;
            self.no_directory_to_undo(&rootfs)?;
        }
        self.check_ids(&namespaces, (&rootfs, &files), cap_mask, host)?;
        let workdir = self.checked_workdir()?;
        let process = self.process(&workdir)?;
        let spec = Spec {
            namespaces,
            joins,
            inside,
            rootfs,
            root,
            writing: self.writing,
            scratch_size: self.scratch_size,
            files,
            store,
            store_by_name: self.store.is_by_name(),
            hostname,
            image: self.image,
            process,
            stop_signal: None,
            workdir,
            user: self.user.numbers(host),
            user_order: self.user,
            groups: self.groups,
            ids: self.ids,
            env,
            cap_mask,
            cmd: Vec::new(),
            caps: self.caps,
            kernel: self.kernel,
            stdio: self.stdio,
            first: self.first,
            ready: self.ready.unwrap_or(Ready::Queue),
            ready_by_name: if self.ready.is_some() { Switch::Yes } else { Switch::No },
            ready_timeout: self.ready_timeout,
            info_fd: self.info_fd,
            talk: self.talk,
        };
        spec.with_own_command()
    }

    fn namespaces(&self, host: &Host) -> Result<Namespaces, Failure> {
        let mut namespaces = Namespaces::shared();
        for (namespace, given) in Namespace::ALL.into_iter().zip(&self.namespaces) {
            if namespace == Namespace::Uts && self.hostname.is_some() {
                given.as_ref().map_or(Ok(()), no_name_of_others)?;
            }
            namespaces = namespaces
                .with(namespace, given.clone().unwrap_or(namespace.default_for(host.uid)));
        }
        Ok(namespaces)
    }

    fn checked_workdir(&self) -> Result<CString, Failure> {
        let workdir = self.workdir.as_deref().unwrap_or(Path::new("/"));
        if !workdir.is_absolute() {
            return Err(Failure::new(format!("--workdir {} is not absolute", shown(workdir))));
        }
        c_string(workdir.as_os_str(), "--workdir")
    }

    fn root_switch(&self, namespaces: &Namespaces) -> Result<RootSwitch, Failure> {
        match (self.root, namespaces.is_new(Namespace::Mount)) {
            (Some(RootSwitch::Pivot), false) => Err(Failure::new(
                "--root pivot needs --mount yes: pivot_root would move the root \
                    of everybody in the mount namespace",
            )
            .man("pivot_root(2)")),
            (None, false) => Ok(RootSwitch::Chroot),
            (given, _) => Ok(given.unwrap_or(RootSwitch::Pivot)),
        }
    }

    fn no_mounts_without_a_mount_namespace(&self, namespaces: &Namespaces) -> Result<(), Failure> {
        if namespaces.is_new(Namespace::Mount) {
            return Ok(());
        }
        let option = match self.writing {
            Writing::Refused | Writing::Strict => Some("--read-only"),
            Writing::Ephemeral => Some("--ephemeral"),
            Writing::Allowed => self.files.parents_first().first().map(|order| order.option()),
        };
        match option {
            Some(option) => {
                Err(Failure::new(format!("{option} makes a mount, and --mount no makes none"))
                    .remedy("leave out --mount no"))
            }
            None => Ok(()),
        }
    }

    /// Whether set-user-ID programs can act where that is ordered.
    fn check_new_privs(&self, namespaces: &Namespaces, host: &Host) -> Result<(), Failure> {
        if self.kernel.new_privs == Switch::No {
            return Ok(());
        }
        if host.no_new_privs == Switch::Yes {
            return Err(Failure::new("--new-privs yes: rustic itself runs under no_new_privs")
                .why("what is inherited of it cannot be given up")
                .remedy(
                    "start rustic without it: a unit's NoNewPrivileges=no, no setpriv, no sandbox",
                )
                .man("PR_SET_NO_NEW_PRIVS(2const)"));
        }
        // Without no_new_privs that is the right to attach a filter, seccomp(2).
        let has_own = *namespaces.get(Namespace::User) != Choice::Shared;
        if self.kernel.seccomp == Seccomp::None || has_own || host.holds(Capability::CAP_SYS_ADMIN)
        {
            return Ok(());
        }
        Err(Failure::new("--new-privs yes: the seccomp filter needs CAP_SYS_ADMIN then")
            .remedy("--user yes, or --seccomp none")
            .man("seccomp(2)"))
    }

    /// The same for a directory of the caller's that is to be read-only.
    fn no_directory_to_undo(&self, rootfs: &Rootfs) -> Result<(), Failure> {
        match (self.writing, rootfs) {
            (Writing::Refused | Writing::Strict, Rootfs::Directory(directory)) => {
                Err(can_be_undone(&format!("--read-only of {}", shown(directory))))
            }
            _ => Ok(()),
        }
    }

    fn hostname(&self, namespaces: &Namespaces) -> Result<Option<String>, Failure> {
        if !namespaces.is_new(Namespace::Uts) {
            return Ok(None);
        }
        let name = self.hostname.as_deref().unwrap_or("rustic");
        if !is_hostname(name) {
            return Err(Failure::new(format!(
                "--hostname '{}' is not a host name",
                printable(name)
            ))
            .why("a host name has 1 to 64 letters, digits, dots, hyphens or underscores")
            .man("hostname(7)"));
        }
        Ok(Some(name.to_owned()))
    }

    /// The capabilities of CMD, a bit each. Whoever enters a user namespace is granted all of them,
    /// user_namespaces(7).
    fn cap_mask(
        &self,
        namespaces: &Namespaces,
        root: RootSwitch,
        host: &Host,
    ) -> Result<u64, Failure> {
        let held = match namespaces.get(Namespace::User) {
            Choice::New | Choice::Join(_) => host.known_caps(),
            Choice::Shared => host.held,
        };
        let mask = |caps: &[Capability]| caps.iter().fold(0, |mask, cap| mask | cap.bitmask());
        let eleven = mask(&PODMANS_ELEVEN) & held;
        let usual = match root {
            RootSwitch::Pivot => eleven,
            RootSwitch::Chroot => eleven & !Capability::CAP_SYS_CHROOT.bitmask(),
        };
        let (further, named) = match &self.caps {
            Capabilities::None => (0, &[][..]),
            Capabilities::All => (held, &[][..]),
            Capabilities::Default => (usual, &[][..]),
            Capabilities::Named(named) => (0, named.as_slice()),
            Capabilities::DefaultAnd(named) => (usual, named.as_slice()),
        };
        match named.iter().find(|cap| cap.bitmask() & held == 0) {
            Some(missing) => Err(Failure::new(format!(
                "--caps {missing}: rustic does not hold it, so it cannot pass it on"
            ))
            .why("it is not in the caller's permitted and bounding sets")
            .man("capabilities(7)")),
            None => Ok(further | mask(named)),
        }
    }
}

/// Below a chroot lies the host's tree, and who sees the container's processes climbs out of their
/// root, /proc/PID/root.
fn no_chroot_among_others(namespaces: &Namespaces, root: RootSwitch) -> Result<(), Failure> {
    match (root, namespaces.joined(Namespace::Pid)) {
        (RootSwitch::Chroot, Some(path)) => Err(Failure::new(format!(
            "--pid {} with a root that is entered by chroot: who is there climbs out of it",
            shown(path)
        ))
        .why("/proc/PID/root/.. leads from a chroot to the host's tree")
        .remedy("--mount yes --root pivot")
        .man("chroot(2)")),
        (RootSwitch::Pivot, _) | (RootSwitch::Chroot, None) => Ok(()),
    }
}

/// Whether it is one by hostname(7) and HOST_NAME_MAX of limits.h; a newline or a space would forge
/// lines of /etc/hosts.
pub fn is_hostname(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed)
}

/// A host name is set in a UTS namespace of the container's own only.
fn no_name_of_others(uts: &Choice) -> Result<(), Failure> {
    let whose = match uts {
        Choice::New => return Ok(()),
        Choice::Shared => "--uts no shares the caller's name".to_owned(),
        Choice::Join(path) => format!("--uts {} shares another's name", shown(path)),
    };
    Err(Failure::new(format!("--hostname asks for --uts yes, and {whose}")))
}

pub(super) fn c_string(word: &OsStr, what: &str) -> Result<CString, Failure> {
    CString::new(word.as_bytes())
        .map_err(|_| Failure::new(format!("{what}: a NUL byte inside a word")))
}
