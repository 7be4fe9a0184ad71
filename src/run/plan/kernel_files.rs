//! What a container does not see of the kernel's own files, and which views of the host's kernel
//! below its root are hidden.

use super::Ladder;
use crate::beneath::Kind;
use crate::mountinfo::{self, Mount};
use crate::namespace::Namespace;
use crate::run::step::{Place, Step};
use crate::spec::{ProcView, Writing};
use crate::walls::proc_masks::{self, Hidden};
use std::path::{Path, PathBuf};

/// Where cgroups are mounted, below /sys.
const CGROUPS: &str = "fs/cgroup";

/// What is hidden, and where.
#[derive(Default)]
pub(super) struct KernelFiles {
    proc: Vec<Hidden>,
    sys: Vec<Hidden>,
    root: Vec<Hidden>,
}

fn listed(list: &[(&str, Kind)]) -> Vec<Hidden> {
    list.iter().map(|&(path, kind)| Hidden { path: path.into(), kind }).collect()
}

impl Ladder<'_> {
    /// Decides what is hidden, and has the mounts made that hide it. `bound_sys`: /sys is the
    /// caller's own, with everything that is mounted below it. `directory`: the root, where it is a
    /// directory of the host's with what is mounted below it.
    pub(super) fn hide_kernel_files(&mut self, bound_sys: bool, directory: Option<&Path>) {
        let masked = self.spec.proc_view == ProcView::Masked;
        let mounts = if bound_sys || directory.is_some() {
            mountinfo::read().unwrap_or_default()
        } else {
            Vec::new()
        };
        let mut files = KernelFiles::default();
        if masked {
            files.proc = listed(&proc_masks::PROC);
            files.sys = listed(&proc_masks::SYS);
        }
        if bound_sys {
            files.sys.extend(self.mounted_below_sys(&mounts));
        }
        if let Some(directory) = directory {
            files.root = self.views_of_the_kernel(&mounts, directory);
        }
        if [&files.proc, &files.sys, &files.root].into_iter().any(|hidden| !hidden.is_empty()) {
            self.rung(Step::MakeMasks);
        }
        self.kernel_files = files;
    }

    /// Hides it, once /proc and /sys are attached. What was ordered by name comes later, and on top.
    pub(super) fn mask_kernel_files(&mut self, proc: usize, sys: usize) {
        let KernelFiles { proc: of_proc, sys: of_sys, root } =
            std::mem::take(&mut self.kernel_files);
        if !self.spec.sysctls.is_empty() {
            let sysctls = self.spec.sysctls.clone();
            self.rung(Step::SetSysctls { proc, sysctls });
        }
        if !of_proc.is_empty() {
            let hidden = of_proc.clone();
            self.rung(Step::Mask { place: Place::Proc(proc), hidden });
            self.rung(Step::ProtectProc { proc, hidden: of_proc });
        }
        if !of_sys.is_empty() {
            self.rung(Step::Mask { place: Place::Sys(sys), hidden: of_sys });
        }
        if !root.is_empty() {
            self.rung(Step::Mask { place: Place::Root, hidden: root });
        }
    }

    /// What the caller has mounted below /sys: the host's cgroups, which a cgroup namespace is to
    /// hide, and its debugfs, tracefs and others.
    fn mounted_below_sys(&self, mounts: &[Mount]) -> Vec<Hidden> {
        let cgroups_are_shared = !self.is_new(Namespace::Cgroup);
        let masked = self.spec.proc_view == ProcView::Masked;
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
    /// the namespaces are. rustic's own /proc, /sys and /dev lie over what is mounted there.
    fn views_of_the_kernel(&mut self, mounts: &[Mount], directory: &Path) -> Vec<Hidden> {
        if self.spec.writing == Writing::Ephemeral {
            return Vec::new();
        }
        let views = mounts
            .iter()
            .filter(|mount| proc_masks::VIEWS_OF_THE_KERNEL.contains(&mount.kind.as_str()));
        let own = |path: &Path| ["proc", "sys", "dev"].iter().any(|own| path.starts_with(own));
        let ordered = |path: &Path| {
            self.spec.binds.iter().any(|bind| bind.target.strip_prefix("/") == Ok(path))
        };
        let views: Vec<Hidden> = hidden(views, directory)
            .into_iter()
            .filter(|view| !own(&view.path) && !ordered(&view.path))
            .collect();
        for view in &views {
            let path = view.path.display();
            self.remarks.push(format!("root: /{path} is a view of the host's kernel, and hidden"));
        }
        views
    }
}

/// Mount points strictly below a directory, relative to it, parents first, each once.
fn hidden<'a>(mounts: impl Iterator<Item = &'a Mount>, directory: &Path) -> Vec<Hidden> {
    let mut paths: Vec<&Path> = mounts
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
