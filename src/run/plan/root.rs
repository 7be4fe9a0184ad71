//! The rungs of the root file system: how it is made, entered and filled.

use super::hides::tree_of;
use super::ladder::{Ladder, NO_SUID_DEV, RootPlace, SysView, c_string};
use crate::error::Failure;
use crate::mounts::Attributes;
use crate::namespace::Namespace;
use crate::rootfs::Image;
use crate::run::pty::Terminals;
use crate::run::resource::Resource;
use crate::run::step::{ChildStep, RootfsStep, Source, Tree};
use crate::run::streams::Stream;
use crate::spec::{First, RootSwitch, Rootfs, Writing};
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl Ladder<'_> {
    pub(super) fn root(&mut self, image: Image) -> Result<(), Failure> {
        match (image, self.is_new(Namespace::Mount)) {
            (image, true) => self.mounted_root(image)?,
            (Image::PerRun { origin, directory }, false) => {
                self.rung(RootfsStep::UnpackIntoRunDirectory { origin, path: directory });
                if self.owns_the_shared() {
                    self.rung(RootfsStep::DeviceNodes(None));
                } else {
                    self.remarks.push(
                        "dev: no device nodes, which only root outside a user namespace can make"
                            .into(),
                    );
                }
                self.rung(RootfsStep::Chroot);
            }
            (Image::Tree(path), false) => {
                self.rung(RootfsStep::OpenBase(c_string(&path)));
                self.rung(RootfsStep::Chroot);
            }
            (Image::Directory(path), false) => {
                self.name_open_views(Some(&path))?;
                self.rung(RootfsStep::OpenBase(c_string(&path)));
                self.rung(RootfsStep::Chroot);
            }
            // An archive has a directory of its run here. Without one the chroot fails, having
            // nothing to enter.
            (Image::ToUnpack(_), false) => self.rung(RootfsStep::Chroot),
        }
        Ok(())
    }

    fn mounted_root(&mut self, image: Image) -> Result<(), Failure> {
        let callers = matches!(image, Image::Directory(_));
        if callers && self.spec.writing != Writing::Ephemeral {
            self.place = RootPlace::Callers;
        }
        // A root of rustic's own becomes read-only when every target has been made in it.
        let read_only = match (self.place, self.spec.writing) {
            (RootPlace::Callers, Writing::Refused | Writing::Strict) => Attributes::READ_ONLY,
            (RootPlace::Callers | RootPlace::Own, _) => Attributes::NONE,
        };
        let attributes = NO_SUID_DEV.union(read_only);
        let marks = self.overlay_marks();
        let scratch = RootfsStep::MakeScratch { size: self.spec.scratch_size };
        let tree = tree_of(&image);
        let directory = match &image {
            Image::Directory(path) => Some(path.clone()),
            Image::Tree(_) | Image::ToUnpack(_) | Image::PerRun { .. } => None,
        };
        let (base, steps) = match image {
            // A copy of the directory's mounts is taken before the scratch is attached over it, or
            // it would hold the scratch too.
            Image::Directory(path) if self.spec.writing != Writing::Ephemeral => {
                (path, vec![RootfsStep::MakeTree { from: Tree::Base, attributes }, scratch])
            }
            Image::Directory(path) | Image::Tree(path) => {
                (path, vec![scratch, RootfsStep::MakeOverlay { marks, attributes }])
            }
            Image::ToUnpack(origin) | Image::PerRun { origin, .. } => {
                let unpack = [
                    scratch,
                    RootfsStep::UnpackIntoScratch(origin),
                    RootfsStep::MakeTree { from: Tree::Scratch, attributes },
                ];
                (PathBuf::from("/"), unpack.into())
            }
        };
        self.resources.push(Resource::Targets(Rc::default()));
        self.rung(RootfsStep::OpenBase(c_string(&base)));
        self.rung(RootfsStep::MakePrivate);
        let by_path = |(number, stream): (usize, &Stream)| match stream {
            Stream::ViewByPath(path) => Some((number, path.clone())),
            _ => None,
        };
        let views: Vec<_> = self.streams.iter().enumerate().filter_map(by_path).collect();
        if !views.is_empty() {
            self.rung(ChildStep::OpenViewsByPath(views));
        }
        self.plan_mounts(tree.as_deref())?;
        // What is the host's, too, before the scratch lies over a part of it.
        self.make_mounts(|source| matches!(source, Source::Host(_)));
        std::mem::take(&mut self.lowers).into_iter().for_each(|step| self.rung(step));
        steps.into_iter().for_each(|step| self.rung(step));
        if !self.scratch_files.is_empty() {
            let files = std::mem::take(&mut self.scratch_files);
            self.rung(RootfsStep::WriteScratch(files));
        }
        self.make_mounts(|source| !matches!(source, Source::Host(_)));
        self.enter_root(&base, directory.as_deref())
    }

    /// Decides which mounts there are. The small tmpfs of --read-only come before the files of
    /// /etc: a link may lead from one of them into /run.
    fn plan_mounts(&mut self, tree: Option<&Path>) -> Result<(), Failure> {
        self.plan_temporary_mounts();
        self.host_files();
        self.plan_system_mounts();
        self.own_mounts = self.mounts.len();
        self.plan_ordered_mounts(tree)
    }

    fn make_mounts(&mut self, wanted: fn(&Source) -> bool) {
        for mount in self.mounts.clone() {
            if wanted(&mount.source) {
                self.rung(RootfsStep::Make(mount));
            }
        }
    }

    fn enter_root(&mut self, base: &Path, directory: Option<&Path>) -> Result<(), Failure> {
        self.name_open_views(None)?;
        let sys = self.own.map_or(SysView::New, |own| own.view);
        self.hide_kernel_files(sys, directory)?;
        // Where the old tree is detached as a whole, the scratch tmpfs goes with it: one wait for
        // the kernel's readers, not two. Over the caller's own root it would lie on top of that
        // tree, and be detached in its place.
        if self.spec.root == RootSwitch::Chroot || base == Path::new("/") {
            self.rung(RootfsStep::DetachScratch);
        }
        self.rung(RootfsStep::AttachRoot);
        self.rung(match self.spec.root {
            RootSwitch::Pivot => RootfsStep::Pivot,
            RootSwitch::Chroot => RootfsStep::Chroot,
        });
        Ok(())
    }

    /// Attaches the mounts, in the order in which they were planned, and fills /dev in between.
    pub(super) fn system_mounts(&mut self, terminals: Terminals) {
        self.hide_views();
        self.find_cmd();
        let own: Vec<_> = self.mounts.iter().take(self.own_mounts).cloned().collect();
        for mount in own {
            let slot = mount.slot;
            self.rung(RootfsStep::Attach(mount));
            if let Some(own) = self.own.filter(|own| own.sys == slot) {
                self.mask_kernel_files(own.proc, own.sys);
            }
            // Only ever in a mount of rustic's own: an ordered one at the same place is somebody's
            // directory.
            if Some(slot) == self.dev {
                if self.owns_the_shared() {
                    self.rung(RootfsStep::DeviceNodes(Some(slot)));
                }
                self.rung(RootfsStep::DeviceLinks(slot));
            }
        }
        if !self.etc.is_empty() {
            let files = std::mem::take(&mut self.etc);
            self.rung(RootfsStep::WriteFiles(files));
        }
        std::mem::take(&mut self.ordered).into_iter().for_each(|step| self.rung(step));
        self.hide_files_and_protect();
        if terminals.any() {
            self.rung(ChildStep::Terminal {
                streams: terminals,
                devpts: self.devpts,
                uid: self.spec.uid,
            });
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
                self.rung(ChildStep::FindCmd {
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
    fn hide_files_and_protect(&mut self) {
        let hides = !self.hidden.is_empty();
        let kept = std::mem::take(&mut self.kept);
        // Before a directory that they are in is rebuilt of copies.
        if hides || !kept.is_empty() {
            self.rung(RootfsStep::ProtectMounts(kept));
        }
        if hides {
            self.rung(RootfsStep::HideFiles);
        }
        if self.place == RootPlace::Own && self.is_read_only() {
            self.rung(RootfsStep::ProtectRoot);
        }
    }
}
