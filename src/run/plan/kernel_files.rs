//! What a container does not see of the kernel's own files, and which views of the host's kernel
//! below its root are hidden.

use super::ladder::{KernelFiles, Ladder, SysView};
use crate::beneath::Kind;
use crate::error::Failure;
use crate::host::Extent;
use crate::mountinfo::{self, MountInfo};
use crate::namespace::{Namespace, Switch};
use crate::run::step::{Place, RootfsStep};
use crate::spec::{ProcView, Sysctl, Writing, shown};
use crate::walls::proc_masks::{self, Hidden};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where cgroups are mounted, below /sys.
const CGROUPS: &str = "fs/cgroup";

fn listed(list: &[(&str, Kind)]) -> Vec<Hidden> {
    list.iter().map(|&(path, kind)| Hidden { path: path.into(), kind }).collect()
}

impl Ladder<'_> {
    /// Decides what is hidden, and has the mounts made that hide it. `sys` says whether /sys is
    /// new, or the caller's own with everything that is mounted below it. `directory` is the root,
    /// where it is a directory of the host's with what is mounted below it.
    ///
    /// # Errors
    /// A table of mounts that cannot be read where it is needed.
    pub(super) fn hide_kernel_files(
        &mut self,
        sys: SysView,
        directory: Option<&Path>,
    ) -> Result<(), Failure> {
        let masked = self.spec.kernel.proc_view == ProcView::Masked;
        let bound_sys = sys == SysView::Callers;
        let mounts = if bound_sys || directory.is_some() { mountinfo::here()? } else { Vec::new() };
        let mut files = KernelFiles::default();
        if masked {
            files.proc = listed(&proc_masks::PROC);
            if sys != SysView::Empty {
                files.sys = listed(&proc_masks::SYS);
            }
        }
        if bound_sys {
            files.sys.extend(self.mounted_below_sys(&mounts));
        }
        if let Some(directory) = directory {
            files.root = self.views_of_the_kernel(&mounts, directory)?;
        }
        if [&files.proc, &files.sys, &files.root].into_iter().any(|hidden| !hidden.is_empty()) {
            self.rung(RootfsStep::MakeMasks);
        }
        self.kernel_files = files;
        Ok(())
    }

    /// Hides views of the host's kernel below the root, before anything of rustic's own lies over
    /// them: the kernel counts what cannot be reached, too, when a nested namespace asks for a
    /// fresh proc or sysfs.
    pub(super) fn hide_views(&mut self) {
        let hidden = std::mem::take(&mut self.kernel_files.root);
        if !hidden.is_empty() {
            self.rung(RootfsStep::Mask { place: Place::Root, hidden });
        }
    }

    /// Hides what is hidden of /proc and /sys, once they are attached. What was ordered by name
    /// comes later, and on top.
    pub(super) fn mask_kernel_files(&mut self, proc: usize, sys: usize) {
        let KernelFiles { proc: of_proc, sys: of_sys, .. } = std::mem::take(&mut self.kernel_files);
        self.open_network(Some(proc));
        if !self.spec.kernel.sysctls.is_empty() {
            let (proc, sysctls) = (Some(proc), self.spec.kernel.sysctls.clone());
            self.rung(RootfsStep::SetSysctls { proc, sysctls, ordered: Switch::Yes });
        }
        if !of_proc.is_empty() {
            let hidden = of_proc.clone();
            self.rung(RootfsStep::Mask { place: Place::Proc(proc), hidden });
            self.rung(RootfsStep::ProtectProc { proc, hidden: of_proc });
        }
        if !of_sys.is_empty() {
            self.rung(RootfsStep::Mask { place: Place::Sys(sys), hidden: of_sys });
        }
    }

    /// What a network of the container's own need not keep from anybody in it: the ports below 1024,
    /// and ICMP sockets, icmp(7), which ping needs where it has no CAP_NET_RAW. What was ordered
    /// stays as it was ordered.
    pub(super) fn open_network(&mut self, proc: Option<usize>) {
        if !self.is_new(Namespace::Net) {
            return;
        }
        let groups = self.maps.map_or(&self.host.gid_map, |maps| &maps.gids);
        let ping = range(groups).map(|(first, last)| format!("{first}\t{last}"));
        let usual = [
            ("net.ipv4.ip_unprivileged_port_start", Some("0".to_owned())),
            ("net.ipv4.ping_group_range", ping),
        ];
        let ordered = &self.spec.kernel.sysctls;
        let usual = usual.into_iter().filter_map(|(key, value)| {
            let sysctl = Sysctl { key: key.to_owned(), value: value? };
            let is_free = ordered.iter().all(|one| one.path() != sysctl.path());
            is_free.then_some(sysctl)
        });
        for sysctl in usual.collect::<Vec<_>>() {
            let sysctls = vec![sysctl];
            self.rung(RootfsStep::SetSysctls { proc, sysctls, ordered: Switch::No });
        }
    }

    /// What the caller has mounted below /sys: the host's cgroups, which a cgroup namespace is to
    /// hide, and its debugfs, tracefs and others.
    fn mounted_below_sys(&self, mounts: &[MountInfo]) -> Vec<Hidden> {
        let cgroups_are_shared = !self.is_new(Namespace::Cgroup);
        let masked = self.spec.kernel.proc_view == ProcView::Masked;
        let below = |path: &PathBuf| {
            let of_cgroups = path.starts_with(CGROUPS);
            if of_cgroups { !cgroups_are_shared } else { masked }
        };
        hidden(mounts.iter(), Path::new("/sys"))
            .into_iter()
            .filter(|one| below(&one.path))
            .collect()
    }

    /// A proc, a sysfs, a cgroup hierarchy of the host below its directory shows the host, whatever
    /// the namespaces are.
    ///
    /// # Errors
    /// One that cannot be hidden, since another mount lies over it, where namespaces may be made
    /// inside: the kernel would take it for a reason to give them a fresh one.
    fn views_of_the_kernel(
        &mut self,
        mounts: &[MountInfo],
        directory: &Path,
    ) -> Result<Vec<Hidden>, Failure> {
        if self.spec.writing == Writing::Ephemeral {
            return Ok(Vec::new());
        }
        let views = || mounts.iter().filter(|mount| is_view(mount));
        let buried = views().find(|mount| {
            mount.point.starts_with(directory)
                && mount.point != directory
                && !is_seen(mount)
                && ["proc", "sysfs"].contains(&mount.kind.as_str())
        });
        if let Some(mount) = buried.filter(|_| self.spec.kernel.nest == Switch::Yes) {
            return Err(Failure::new(format!(
                "--nest yes: {} ({}) lies under another mount and cannot be masked",
                shown(&mount.point),
                mount.kind
            ))
            .remedy("unmount it")
            .man("mount_namespaces(7)"));
        }
        let views = hidden(views(), directory);
        for view in &views {
            let path = view.path.display();
            self.remarks.push(format!("root: /{path} is a view of the host's kernel, and hidden"));
        }
        Ok(views)
    }

    /// Names the views of the host's kernel that nothing hides: below a directory that is entered
    /// by chroot in the caller's own mount namespace, and below what is bound.
    ///
    /// # Errors
    /// A table of mounts that cannot be read.
    pub(super) fn name_open_views(&mut self, directory: Option<&Path>) -> Result<(), Failure> {
        let binds = self.spec.files.binds.iter();
        let binds = binds.map(|bind| (bind.source.clone(), bind.target.clone()));
        let chroot = directory.map(|directory| (directory.to_owned(), PathBuf::from("/")));
        let places: Vec<(PathBuf, PathBuf)> =
            binds.chain(chroot).filter(|(source, _)| source.is_dir()).collect();
        if places.is_empty() {
            return Ok(());
        }
        let mounts = mountinfo::here()?;
        for (source, target) in places {
            for view in hidden(mounts.iter().filter(|mount| is_view(mount)), &source) {
                let path = shown(&target.join(view.path));
                self.remarks.push(format!("a door: {path} is a view of the host's kernel"));
            }
        }
        Ok(())
    }
}

/// The first and the last of the ids of a map, as numbers inside, in the order that they have
/// outside: so the kernel compares the ends of a range.
fn range(map: &[Extent]) -> Option<(u32, u32)> {
    let first = map.iter().min_by_key(|extent| extent.outside)?;
    let last = map.iter().max_by_key(|extent| extent.outside)?;
    // The parameter takes no more, net/ipv4/sysctl_net_ipv4.c.
    let end = last.inside.saturating_add(last.count.saturating_sub(1)).min(i32::MAX as u32);
    Some((first.inside, end))
}

fn is_view(mount: &MountInfo) -> bool {
    proc_masks::VIEWS_OF_THE_KERNEL.contains(&mount.kind.as_str())
}

/// Whether a mount can be seen where it is, and none lies over it.
fn is_seen(mount: &MountInfo) -> bool {
    std::fs::symlink_metadata(&mount.point).is_ok_and(|stat| stat.dev() == mount.device)
}

/// The same, whatever it is, for a directory alone.
///
/// # Errors
/// A table of mounts that cannot be read.
pub(super) fn mounted_below(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mounts = mountinfo::here()?;
    Ok(hidden(mounts.iter(), directory).into_iter().map(|below| below.path).collect())
}

/// What is mounted strictly below a directory and can be seen there, by paths relative to it,
/// parents first, each once. A mount that another one covers is not seen.
fn hidden<'a>(mounts: impl Iterator<Item = &'a MountInfo>, directory: &Path) -> Vec<Hidden> {
    let mut paths: Vec<&Path> = mounts
        .filter(|mount| is_seen(mount))
        .filter_map(|mount| mount.point.strip_prefix(directory).ok())
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    let kind = |path: &Path| {
        if directory.join(path).is_dir() { Kind::Directory } else { Kind::File }
    };
    paths.into_iter().map(|path| Hidden { path: path.into(), kind: kind(path) }).collect()
}
