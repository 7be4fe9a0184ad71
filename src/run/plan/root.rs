//! The rungs of the root file system: how it is made, entered and filled.

use super::credentials::owners_are_mapped;
use super::hides::tree_of;
use super::kernel_files;
use super::ladder::{Ladder, RootPlace, SysView, c_string};
use super::mounts::below_root;
use crate::error::Failure;
use crate::mounts::Attributes;
use crate::namespace::{Namespace, Switch};
use crate::rootfs::Image;
use crate::rootfs::renumber::Renumber;
use crate::run::resource::Resource;
use crate::run::step::{ChildStep, Idmapped, Mount, RootfsStep, Source, Tree};
use crate::run::streams::Stream;
use crate::spec::{RootSwitch, Writing, shown};
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A directory that every host has, and that is not its root.
const ASIDE: &str = "/dev";

impl Ladder<'_> {
    pub(super) fn root(&mut self, image: Image) -> Result<(), Failure> {
        match (image, self.is_new(Namespace::Mount)) {
            (image, true) => self.mounted_root(image)?,
            (Image::PerRun { origin, directory }, false) => {
                let (shift, path) = (self.shift(), directory);
                self.rung(RootfsStep::UnpackIntoRunDirectory { origin, shift, path });
                self.make_workdir();
                if self.makes_nodes() {
                    self.rung(RootfsStep::DeviceNodes(None));
                } else {
                    self.remarks.push(
                        "dev: no device nodes, which only root outside a user namespace can make"
                            .into(),
                    );
                }
                self.chroot_alone();
            }
            (Image::Tree(path), false) => {
                self.rung(RootfsStep::OpenBase(c_string(&path)));
                self.chroot_alone();
            }
            (Image::Directory(path), false) => {
                self.name_open_views(Some(&path))?;
                self.rung(RootfsStep::OpenBase(c_string(&path)));
                if self.has_builder() {
                    self.remarks.push(
                        "root: its files belong to nobody inside, because without mounts no \
                            idmapped one shows their owners"
                            .into(),
                    );
                }
                self.chroot_alone();
            }
            // An archive has a directory of its run here. Without one the chroot fails, having
            // nothing to enter.
            (Image::ToUnpack(_), false) => self.chroot_alone(),
        }
        Ok(())
    }

    /// Without mounts: the parameters of its own network are written in the caller's /proc, which
    /// shows each process those of its own.
    fn chroot_alone(&mut self) {
        self.end_building();
        self.join_network();
        self.open_network(None);
        self.rung(RootfsStep::Chroot);
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
        let attributes = self.restrictions().union(read_only);
        let tree = tree_of(&image);
        if let (Image::Directory(path), RootPlace::Callers) = (&image, self.place) {
            self.lets_set_user_id(path)?;
        }
        let directory = match &image {
            Image::Directory(path) => Some(path.clone()),
            Image::Tree(_) | Image::ToUnpack(_) | Image::PerRun { .. } => None,
        };
        if let (Some(directory), Some(maps), Writing::Ephemeral) =
            (&directory, self.maps, self.spec.writing)
        {
            owners_are_mapped(maps, directory)?;
        }
        let below = directory.as_deref().filter(|_| self.place == RootPlace::Callers);
        let below = below.filter(|_| self.has_builder()).map(kernel_files::mounted_below);
        let below = below.transpose()?.unwrap_or_default();
        let (base, steps) = self.base(image, attributes, below);
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
        // What is the host's, too, before the scratch lies over a part of it, or the ids of the
        // container are shown there.
        self.make_mounts(|_, mount| matches!(mount.source, Source::Host(_)));
        self.idmap_binds();
        std::mem::take(&mut self.lowers).into_iter().for_each(|step| self.rung(step));
        steps.into_iter().for_each(|step| self.rung(step));
        if !self.scratch_files.is_empty() {
            let files = std::mem::take(&mut self.scratch_files);
            self.rung(RootfsStep::WriteScratch(files));
        }
        self.make_own_mounts();
        self.enter_root(&base, directory.as_deref())
    }

    /// What is not the host's: by the builder, but for what is the child's.
    fn make_own_mounts(&mut self) {
        // The sysfs last: it shows the network of who mounts it.
        let sys = self.own.map(|own| own.sys);
        let builds = self.has_builder();
        let here = |ladder: &Self, mount: &Mount| {
            (!builds || !ladder.is_childs(mount)) && !matches!(mount.source, Source::Host(_))
        };
        self.make_mounts(|ladder, mount| here(ladder, mount) && Some(mount.slot) != sys);
        self.join_network();
        self.make_mounts(|ladder, mount| here(ladder, mount) && Some(mount.slot) == sys);
    }

    /// Whether set-user-ID programs of a directory act, where that is ordered: what is mounted
    /// nosuid is shown so.
    fn lets_set_user_id(&self, directory: &Path) -> Result<(), Failure> {
        if self.spec.kernel.new_privs == Switch::No {
            return Ok(());
        }
        match statvfs(directory) {
            Ok(stat) if stat.f_flag.contains(StatVfsMountFlags::NOSUID) => {
                let directory = shown(directory);
                Err(Failure::new(format!("--new-privs yes: {directory} is mounted nosuid"))
                    .why("no set-user-ID program of it acts")
                    .remedy("--ephemeral, or a place that is mounted without nosuid")
                    .man("mount(8)"))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Where the root is made from, and how.
    fn base(
        &self,
        image: Image,
        attributes: Attributes,
        below: Vec<PathBuf>,
    ) -> (PathBuf, Vec<RootfsStep>) {
        let scratch = RootfsStep::MakeScratch {
            size: self.spec.scratch_size,
            attributes: self.restrictions(),
        };
        let idmapped = |path: &Path, steps: Vec<RootfsStep>| {
            let place = if path == Path::new("/") { Path::new(ASIDE) } else { path };
            let of = Idmapped::Base(c_string(place));
            self.idmap(of, below).into_iter().chain(steps).collect()
        };
        match image {
            // A copy of the directory's mounts is taken before the scratch is attached over it, or
            // it would hold the scratch too.
            Image::Directory(path) if self.spec.writing != Writing::Ephemeral => {
                let bound = RootfsStep::MakeTree { from: Tree::Base, attributes };
                let steps = idmapped(&path, vec![bound, scratch]);
                (path, steps)
            }
            Image::Directory(path) | Image::Tree(path) => {
                let marks = self.overlay_marks();
                let over = RootfsStep::MakeOverlay { marks, attributes };
                let steps = idmapped(&path, vec![scratch, over]);
                (path, steps)
            }
            Image::ToUnpack(origin) | Image::PerRun { origin, .. } => {
                let unpack = vec![
                    scratch,
                    RootfsStep::UnpackIntoScratch { origin, shift: self.shift() },
                    RootfsStep::MakeTree { from: Tree::Scratch, attributes },
                ];
                let base = if self.has_builder() { ASIDE } else { "/" };
                (base.into(), unpack)
            }
        }
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

    /// The binds that are ordered so.
    fn idmap_binds(&mut self) {
        let ordered = self.spec.files.binds.iter().filter(|bind| bind.idmapped == Switch::Yes);
        for bind in ordered {
            let target = below_root(&bind.target);
            let mut all = self.mounts.iter().filter(|mount| mount.ordered == Switch::Yes);
            let Some(mount) = all.find(|mount| mount.target == target) else { continue };
            let of = Idmapped::Bind { slot: mount.slot, source: bind.source.clone() };
            let step = self.idmap(of, Vec::new());
            step.into_iter().for_each(|step| self.rung(step));
        }
    }

    /// What owners of an image become on disk, where root inside is another id outside.
    fn shift(&self) -> Option<Renumber> {
        let maps = self.maps.filter(|_| self.has_builder())?;
        Some(Renumber::outside(&maps.uids, &maps.gids, maps.owner()?))
    }

    /// Where there are no mounts to be made, that is all that a builder does.
    fn end_building(&mut self) {
        if self.has_builder() {
            self.begin_child();
        }
    }

    /// The root as the ids of the container see it, where they are not those of the host.
    fn idmap(&self, of: Idmapped, below: Vec<PathBuf>) -> Option<RootfsStep> {
        let maps = self.maps.filter(|_| self.has_builder())?.clone();
        Some(RootfsStep::Idmap { of, joined: self.spec.joins.last.clone(), maps, below })
    }

    pub(super) fn make_mounts(&mut self, wanted: impl Fn(&Self, &Mount) -> bool) {
        for mount in self.mounts.clone() {
            if wanted(self, &mount) {
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
        if self.has_builder() {
            self.finish_building();
        }
        self.rung(match self.spec.root {
            RootSwitch::Pivot => RootfsStep::Pivot,
            RootSwitch::Chroot => RootfsStep::Chroot,
        });
        Ok(())
    }
}
