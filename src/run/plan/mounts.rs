//! Which mounts a container has: its files of /etc, /proc, /sys, /dev, and what was ordered.

use super::ladder::{Ladder, NO_SUID_DEV, NO_SUID_DEV_EXEC, OwnMounts, SysView, c_string};
use crate::beneath::{Kind, Links, Missing};
use crate::host::contains;
use crate::mounts::{self, Attributes, FsOption};
use crate::namespace::{Choice, Namespace, Switch};
use crate::run::step::{Mount, RootfsStep, Source};
use crate::spec::{Bind, Writing, is_hostname};
use crate::walls::dev;
use std::ffi::{CStr, CString};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Sizes of /dev, which holds names alone, and of /dev/shm, in bytes.
const DEV_SIZE: u64 = 64 << 10;
const SHM_SIZE: u64 = 64 << 20;

/// The most that each of the small tmpfs of --read-only holds, in bytes.
const TEMPORARY_SIZE: u64 = 64 << 20;

impl Ladder<'_> {
    /// The files of /etc that are the container's own, written once and shown over the image's.
    pub(super) fn host_files(&mut self) {
        let joined = self.spec.inside.as_ref().map(|inside| inside.hostname.clone());
        let name =
            self.spec.hostname.clone().or(joined).unwrap_or_else(|| {
                rustix::system::uname().nodename().to_string_lossy().into_owned()
            });
        // Who is in a joined namespace may have set anything, lines of its own too.
        let name = if is_hostname(&name) { name } else { "localhost".to_owned() };
        let shares_net = *self.spec.namespaces.get(Namespace::Net) == Choice::Shared;
        let of_the_host = |path: &str| shares_net.then(|| std::fs::read(path).ok()).flatten();
        let hosts = of_the_host("/etc/hosts").unwrap_or_else(|| {
            format!("127.0.0.1\tlocalhost {name}\n::1\tlocalhost {name}\n").into_bytes()
        });
        let resolver = of_the_host("/etc/resolv.conf")
            .unwrap_or_else(|| b"# no name server: this network is a loopback\n".to_vec());
        let files = vec![
            ("hosts", hosts),
            ("hostname", format!("{name}\n").into_bytes()),
            ("resolv.conf", resolver),
        ];
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        self.rung(RootfsStep::WriteScratch(files));
        for name in names {
            let attributes =
                if self.is_read_only() { Attributes::READ_ONLY } else { Attributes::NONE };
            self.mount(
                Source::Scratch(c_string(Path::new(name))),
                attributes,
                Path::new("etc").join(name),
                Kind::File,
            );
        }
    }

    /// Adds a mount. Everything is made before the host's tree is gone (binds need it, and the
    /// kernel lets a user namespace mount proc and sysfs only while it still sees one), and
    /// attached when it is: then nothing of the host can be hit.
    fn mount(
        &mut self,
        source: Source,
        attributes: Attributes,
        target: impl AsRef<Path>,
        kind: Kind,
    ) -> usize {
        let target = target.as_ref();
        let kernels = ["dev", "proc", "sys"].into_iter().any(|own| target.starts_with(own));
        let links = if kernels { Links::Refused } else { Links::Inside };
        let slot = self.mounts.len();
        self.mounts.push(Rc::new(Mount {
            slot,
            source,
            attributes,
            target: target.into(),
            kind,
            links,
            // On a directory of the caller's that is read-only nothing can be made, and is not.
            missing: Missing::Made,
        }));
        slot
    }

    pub(super) fn plan_system_mounts(&mut self) {
        self.plan_views_of_the_kernel();
        self.plan_devices();
        self.mount(tmpfs("1777", SHM_SIZE), NO_SUID_DEV_EXEC, "dev/shm", Kind::Directory);
        if self.may_show(Namespace::Ipc) {
            self.mount(new(c"mqueue"), NO_SUID_DEV_EXEC, "dev/mqueue", Kind::Directory);
        } else {
            self.remarks.push(
                "ipc: no /dev/mqueue, because a user namespace may mount only the queues of \
                    an IPC namespace that it owns"
                    .into(),
            );
        }
    }

    /// /proc and /sys.
    fn plan_views_of_the_kernel(&mut self) {
        let proc = if self.may_show(Namespace::Pid) {
            new(c"proc")
        } else {
            Source::Host(c"/proc".to_owned())
        };
        let proc = self.mount(proc, NO_SUID_DEV_EXEC, "proc", Kind::Directory);
        let view = self.sys_view();
        let sys = match view {
            SysView::New => new(c"sysfs"),
            SysView::Callers => Source::Host(c"/sys".to_owned()),
            SysView::Empty => tmpfs("0755", DEV_SIZE),
        };
        let read_only = NO_SUID_DEV_EXEC.union(Attributes::READ_ONLY);
        let sys = self.mount(sys, read_only, "sys", Kind::Directory);
        self.own = Some(OwnMounts { proc, sys, view });
    }

    /// /dev with its nodes, and its terminals.
    fn plan_devices(&mut self) {
        let no_suid_exec = Attributes::NO_SUID.union(Attributes::NO_EXEC);
        let dev = self.mount(tmpfs("0755", DEV_SIZE), no_suid_exec, "dev", Kind::Directory);
        self.dev = Some(dev);
        if !self.owns_the_shared() {
            for (name, ..) in dev::NODES {
                let node = Source::Host(c_string(&Path::new("/dev").join(name)));
                // The node is the host's, and root of a user namespace may own it: read-only, its
                // mode and owner stay, and the device can be written all the same.
                let read_only = no_suid_exec.union(Attributes::READ_ONLY);
                self.mount(node, read_only, Path::new("dev").join(name), Kind::File);
            }
        }
        let mut options = vec![option(c"ptmxmode", "0666"), option(c"mode", "0620")];
        // Group tty, where it exists inside: write(1) and wall(1) reach terminals by it.
        if contains(self.maps.map_or(&self.host.gid_map, |maps| &maps.gids), 5) {
            options.push(option(c"gid", "5"));
        }
        let devpts = Source::New { fs: c"devpts", options };
        self.devpts = Some(self.mount(devpts, no_suid_exec, "dev/pts", Kind::Directory));
    }

    /// What /sys can be: the kernel mounts a sysfs for who owns the network that it shows.
    fn sys_view(&mut self) -> SysView {
        if self.may_show(Namespace::Net) {
            return SysView::New;
        }
        if self.spec.namespaces.joined(Namespace::Net).is_none() {
            return SysView::Callers;
        }
        self.remarks.push(
            "net: /sys is empty, because a user namespace may mount only that of a network that \
             it owns"
                .into(),
        );
        SysView::Empty
    }

    /// What --read-only leaves to be written: an empty tmpfs on each of these that is there, unless
    /// something was ordered on it or above it.
    pub(super) fn plan_temporary_mounts(&mut self) {
        let spec = self.spec;
        if spec.writing != Writing::Refused {
            return;
        }
        let ordered = spec.binds.iter().map(|bind| &bind.target).chain(&spec.tmpfs);
        let ordered: Vec<PathBuf> = ordered.cloned().collect();
        for (target, mode) in [("/tmp", "1777"), ("/run", "0755"), ("/var/tmp", "1777")] {
            if ordered.iter().any(|ordered| Path::new(target).starts_with(ordered)) {
                continue;
            }
            let below_root = target.trim_start_matches('/');
            let tmpfs = tmpfs(mode, TEMPORARY_SIZE);
            let slot = self.mount(tmpfs, NO_SUID_DEV, below_root, Kind::Directory);
            if let Some(mount) = self.mounts.get_mut(slot) {
                *mount = Rc::new(Mount { missing: Missing::Skipped, ..(**mount).clone() });
            }
        }
    }

    /// --bind and --tmpfs, parents first.
    pub(super) fn plan_ordered_mounts(&mut self) {
        let spec = self.spec;
        let binds = spec.binds.iter().map(|bind| (bind.target.as_path(), Some(bind)));
        let mut ordered: Vec<(&Path, Option<&Bind>)> =
            binds.chain(spec.tmpfs.iter().map(|target| (target.as_path(), None))).collect();
        ordered.sort_by_key(|(target, _)| target.components().count());
        for (target, bind) in ordered {
            let below_root = target.strip_prefix("/").unwrap_or(target);
            match bind {
                Some(bind) => {
                    let read_only = if bind.writable == Switch::No {
                        Attributes::READ_ONLY
                    } else {
                        Attributes::NONE
                    };
                    // A device that is ordered by name is meant to be used.
                    let kind = bind.source.metadata().map(|stat| stat.file_type());
                    let device = kind
                        .as_ref()
                        .is_ok_and(|kind| kind.is_char_device() || kind.is_block_device());
                    let attributes = if device { Attributes::NO_SUID } else { NO_SUID_DEV };
                    let kind = if kind.is_ok_and(|kind| kind.is_dir()) {
                        Kind::Directory
                    } else {
                        Kind::File
                    };
                    self.mount(
                        Source::Host(c_string(&bind.source)),
                        attributes.union(read_only),
                        below_root,
                        kind,
                    );
                }
                None => {
                    let tmpfs = tmpfs("1777", spec.scratch_size);
                    self.mount(tmpfs, NO_SUID_DEV, below_root, Kind::Directory);
                }
            }
        }
    }
}

fn option(key: &'static CStr, value: &str) -> FsOption {
    (key, CString::new(value).ok())
}

/// A new file system without options.
fn new(fs: &'static CStr) -> Source {
    Source::New { fs, options: Vec::new() }
}

/// A new tmpfs of this mode, with room for so many bytes.
fn tmpfs(mode: &str, size: u64) -> Source {
    let [size, inodes] = mounts::limits(size);
    Source::New { fs: c"tmpfs", options: vec![option(c"mode", mode), size, inodes] }
}
