//! The mounts that every container has: its files of /etc, /proc, /sys, /dev.

use super::ladder::{Ladder, NO_SUID_DEV_EXEC, OwnMounts, RootPlace, SysView, c_string};
use crate::beneath::{self, Kind};
use crate::host::contains;
use crate::mounts::{self, Attributes, FsOption};
use crate::namespace::{Choice, Namespace};
use crate::run::step::{Mount, Source};
use crate::spec::is_hostname;
use crate::walls::dev;
use rustix::fs::{Mode, OFlags, open};
use std::ffi::{CStr, CString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Sizes of /dev, which holds names alone, and of /dev/shm, in bytes.
const DEV_SIZE: u64 = 64 << 10;
const SHM_SIZE: u64 = 64 << 20;

impl Ladder<'_> {
    /// The files of /etc that are the container's own: written in the place of an image's, and shown
    /// over those of a directory.
    pub(super) fn host_files(&mut self) {
        let joined = self.spec.inside.as_ref().map(|inside| inside.hostname.clone());
        let name =
            self.spec.hostname.clone().or(joined).unwrap_or_else(|| {
                rustix::system::uname().nodename().to_string_lossy().into_owned()
            });
        // Who is in a joined namespace may have set anything, lines of its own too.
        let name = if is_hostname(&name) { name } else { "localhost".to_owned() };
        let shares_net = *self.spec.namespaces.get(Namespace::Net) == Choice::Shared;
        let of_the_host = |path: &str| shares_net.then(|| text_of_the_host(path)).flatten();
        let shares_uts = *self.spec.namespaces.get(Namespace::Uts) == Choice::Shared;
        let hosts = match of_the_host("/etc/hosts") {
            Some(hosts) if shares_uts || names(&hosts, &name) => hosts,
            Some(mut hosts) => {
                if hosts.last().is_some_and(|&last| last != b'\n') {
                    hosts.push(b'\n');
                }
                hosts.extend(own_line(&name).into_bytes());
                hosts
            }
            None => {
                let line = own_line(&name);
                format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n{line}").into_bytes()
            }
        };
        let resolver = of_the_host("/etc/resolv.conf")
            .unwrap_or_else(|| b"# no name server: this network is a loopback\n".to_vec());
        let files = vec![
            ("hosts", hosts),
            ("hostname", format!("{name}\n").into_bytes()),
            ("resolv.conf", resolver),
        ];
        if self.place == RootPlace::Own {
            self.etc = files;
            return;
        }
        self.remarks.push(
            "etc: hosts, hostname and resolv.conf lie over those of the directory: they can be \
             written, and not be renamed or removed (EBUSY)"
                .into(),
        );
        for (name, _) in &files {
            let attributes =
                if self.is_read_only() { Attributes::READ_ONLY } else { Attributes::NONE };
            let source = Source::Scratch(c_string(Path::new(name)));
            self.mount(source, attributes, Path::new("etc").join(name), Kind::File);
        }
        self.scratch_files = files;
    }

    fn mount(
        &mut self,
        source: Source,
        attributes: Attributes,
        target: impl AsRef<Path>,
        kind: Kind,
    ) -> usize {
        self.add(Mount::new(source, attributes, target.as_ref().into(), kind))
    }

    /// Adds a mount; its slot. Everything is made before the host's tree is gone (binds need it, and
    /// the kernel lets a user namespace mount proc and sysfs only while it still sees one), and
    /// attached when it is: then nothing of the host can be hit.
    pub(super) fn add(&mut self, mount: Mount) -> usize {
        let slot = self.mounts.len();
        self.mounts.push(Rc::new(Mount { slot, ..mount }));
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
        let source = if self.makes_nodes() {
            self.tmpfs_of_root("0755", DEV_SIZE)
        } else {
            tmpfs("0755", DEV_SIZE)
        };
        self.dev = Some(self.mount(source, no_suid_exec, "dev", Kind::Directory));
        if !self.makes_nodes() {
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
}

/// A file of the host's, where it is a regular one that can be read, up to a size that no such file
/// has.
fn text_of_the_host(path: &str) -> Option<Vec<u8>> {
    const LARGEST: u64 = 64 << 20;
    let found = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = Vec::new();
    beneath::regular(&found).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The line of hosts(5) for the container's own name: the canonical name first, and behind it what
/// stands before its first dot.
fn own_line(name: &str) -> String {
    let short = name.split_once('.').filter(|(short, _)| !short.is_empty());
    let short = short.map_or(String::new(), |(short, _)| format!(" {short}"));
    format!("127.0.1.1\t{name}{short}\n")
}

/// Whether a text as hosts(5) describes it has a name.
fn names(hosts: &[u8], name: &str) -> bool {
    let text = String::from_utf8_lossy(hosts);
    text.lines().any(|line| {
        let words = line.split('#').next().unwrap_or_default().split_whitespace().skip(1);
        words.into_iter().any(|word| word.eq_ignore_ascii_case(name))
    })
}

fn option(key: &'static CStr, value: &str) -> FsOption {
    (key, CString::new(value).ok())
}

/// A new file system without options.
fn new(fs: &'static CStr) -> Source {
    Source::New { fs, options: Vec::new() }
}

/// A path inside, relative to the root.
pub(super) fn below_root(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).into()
}

/// A new tmpfs of this mode, with room for so many bytes.
fn tmpfs(mode: &str, size: u64) -> Source {
    Source::New { fs: c"tmpfs", options: tmpfs_options(mode, size) }
}

pub(super) fn tmpfs_options(mode: &str, size: u64) -> Vec<FsOption> {
    let [size, inodes] = mounts::limits(size);
    vec![option(c"mode", mode), size, inodes]
}
