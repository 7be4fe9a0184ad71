//! The rungs that put mounts in their places in the root: before the user namespace what needs none
//! of the new namespaces, where there is a builder, and the rest after.

use super::ladder::{Ladder, RootPlace};
use crate::beneath::is_of_the_kernel;
use crate::namespace::{Namespace, Switch};
use crate::run::pty::Terminals;
use crate::run::step::{ChildStep, RootfsStep};
use crate::spec::{First, RootSwitch, Rootfs};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

impl Ladder<'_> {
    /// Everything that needs none of the new namespaces: what is mounted by the builder, nobody in
    /// the user namespace can take away or write to.
    pub(super) fn finish_building(&mut self) {
        self.hide_views();
        self.find_cmd();
        self.attach_mounts(|target| !is_of_the_kernel(target));
        self.make_workdir();
        if self.place == RootPlace::Own && self.is_read_only() {
            let targets = ["proc", "sys", "dev"].map(PathBuf::from);
            self.rung(RootfsStep::MakeTargets(targets.into()));
            self.rung(RootfsStep::ProtectRoot);
        }
        if let Some(dev) = self.dev.filter(|_| self.makes_nodes()) {
            self.rung(RootfsStep::DeviceNodes(Some(dev)));
        }
        self.rung(RootfsStep::StandInRoot);
        self.begin_child();
        for mount in self.mounts.clone() {
            if self.is_childs(&mount) {
                self.rung(RootfsStep::Make(mount));
            }
        }
        self.rung(RootfsStep::TakeRoot {
            own: if self.place == RootPlace::Own { Switch::Yes } else { Switch::No },
            copied: match self.spec.root {
                RootSwitch::Pivot => Switch::Yes,
                RootSwitch::Chroot => Switch::No,
            },
        });
    }

    /// Attaches the mounts, in the order in which they were planned, and fills /dev in between.
    pub(super) fn system_mounts(&mut self, terminals: Terminals) {
        if self.has_builder() {
            self.attach_mounts(is_of_the_kernel);
        } else {
            self.hide_views();
            self.find_cmd();
            self.attach_mounts(|_| true);
            if self.is_new(Namespace::Mount) {
                self.make_workdir();
            }
            if self.place == RootPlace::Own && self.is_read_only() {
                self.rung(RootfsStep::ProtectRoot);
            }
        }
        if terminals.any() {
            self.rung(ChildStep::Terminal {
                streams: terminals,
                devpts: self.devpts,
                uid: self.spec.user.uid,
            });
        }
    }

    /// Those with such targets: the container's own, then what was ordered, and what comes when
    /// everything has its place.
    fn attach_mounts(&mut self, wanted: impl Fn(&Path) -> bool) {
        let own = self.mounts.iter().take(self.own_mounts);
        let own: Vec<_> = own.filter(|mount| wanted(&mount.target)).cloned().collect();
        for mount in own {
            let slot = mount.slot;
            self.rung(RootfsStep::Attach(mount));
            if let Some(own) = self.own.filter(|own| own.sys == slot) {
                self.mask_kernel_files(own.proc, own.sys);
            }
            // Only ever in a mount of rustic's own: an ordered one at the same place is somebody's
            // directory.
            if Some(slot) == self.dev {
                if self.owns_the_shared() && self.makes_nodes() {
                    self.rung(RootfsStep::DeviceNodes(Some(slot)));
                }
                self.rung(RootfsStep::DeviceLinks(slot));
            }
        }
        if !self.etc.is_empty() {
            let files = std::mem::take(&mut self.etc);
            self.rung(RootfsStep::WriteFiles(files));
        }
        let target = |step: &RootfsStep| match step {
            RootfsStep::Attach(mount) => wanted(&mount.target),
            RootfsStep::Hide { path, .. } => wanted(path),
            _ => true,
        };
        let (now, later) = std::mem::take(&mut self.ordered).into_iter().partition(target);
        self.ordered = later;
        let now: Vec<RootfsStep> = now;
        let hides = now.iter().any(|step| matches!(step, RootfsStep::Hide { .. }));
        now.into_iter().for_each(|step| self.rung(step));
        let is_wanted =
            |slot: &usize| self.mounts.get(*slot).is_some_and(|mount| wanted(&mount.target));
        let (kept, later) = std::mem::take(&mut self.kept).into_iter().partition(is_wanted);
        self.kept = later;
        self.hide_files_and_protect(hides, kept);
    }

    /// The working directory that an image wants, as engines make it. One that was ordered is the
    /// caller's own business.
    pub(super) fn make_workdir(&mut self) {
        let path = Path::new(OsStr::from_bytes(self.spec.workdir.to_bytes()));
        let path = path.strip_prefix("/").unwrap_or(path).to_owned();
        let of_the_image = self.spec.process.workdir.is_none() && path != Path::new("");
        if of_the_image && !is_of_the_kernel(&path) {
            self.rung(RootfsStep::MakeWorkdir(path));
        }
    }

    /// Looks for CMD before anything is made in a directory of the caller's.
    fn find_cmd(&mut self) {
        let files = self.spec.files.parents_first();
        let below_another = |target: &Path| {
            files.iter().any(|order| target != order.target() && target.starts_with(order.target()))
        };
        let makes = self.place == RootPlace::Callers
            || files.iter().any(|order| below_another(order.target()));
        match self.spec.first {
            First::Cmd | First::Reaper if makes => {
                let mounts = self.mounts.clone();
                let hidden = self.hidden.clone();
                self.rung(RootfsStep::FindCmd {
                    cmd: self.spec.cmd.clone(),
                    env: self.spec.env.clone(),
                    workdir: self.spec.workdir.clone(),
                    mounts,
                    hidden,
                    directory: match &self.spec.rootfs {
                        Rootfs::Directory(directory) => Some(directory.clone()),
                        Rootfs::Builtin | Rootfs::Archive(_) | Rootfs::Stored(_) => None,
                    },
                });
            }
            First::Cmd | First::Reaper | First::Probe(_) | First::ReapedProbe(_) => {}
        }
    }

    /// What comes when everything has its place.
    fn hide_files_and_protect(&mut self, hides: bool, kept: Vec<usize>) {
        // Before a directory that they are in is rebuilt of copies.
        if hides || !kept.is_empty() {
            self.rung(RootfsStep::ProtectMounts(kept));
        }
        if hides {
            self.rung(RootfsStep::HideFiles);
        }
    }
}
