//! The steps of the root file system, from the directory that it is made from to its masks.

use super::scratch::{TREE, unpack_into_run_directory};
use super::{Child, opened};
use crate::beneath::{self, Kind, Links, Missing};
use crate::error::SysError;
use crate::mounts;
use crate::rootfs::writer::write_all;
use crate::run::step::{Mount, Place, RootfsStep, Source, Tree};
use crate::spec::Sysctl;
use crate::walls::proc_masks::{self, Hidden, Masks};
use crate::walls::{dev, root};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use std::ffi::CStr;
use std::path::Path;

impl Child<'_> {
    pub(super) fn execute_rootfs(
        &mut self,
        number: usize,
        step: &RootfsStep,
    ) -> Result<(), SysError> {
        match step {
            RootfsStep::OpenBase(path) => self.base = Some(open_base(path)?),
            RootfsStep::MakePrivate => mounts::make_private()?,
            RootfsStep::MakeScratch { size } => self.make_scratch(*size)?,
            RootfsStep::WriteScratch(files) => self.write_scratch(files)?,
            RootfsStep::UnpackIntoScratch(origin) => self.unpack_into_scratch(origin)?,
            RootfsStep::UnpackIntoRunDirectory { origin, path } => {
                self.base = Some(unpack_into_run_directory(origin, path)?);
            }
            RootfsStep::MakeOverlay { marks, attributes } => {
                self.make_overlay(*marks, *attributes)?
            }
            RootfsStep::MakeTree { from, attributes } => {
                self.root = Some(match from {
                    Tree::Base => mounts::copy_tree(opened(self.base.as_ref())?, c"", *attributes)?,
                    Tree::Scratch => {
                        mounts::copy_tree(opened(self.scratch.as_ref())?, TREE, *attributes)?
                    }
                });
            }
            RootfsStep::MakeMasks => {
                self.masks = Some(Masks::make(opened(self.scratch.as_ref())?)?)
            }
            RootfsStep::SetSysctls { proc, sysctls } => self.set_sysctls(*proc, sysctls)?,
            RootfsStep::Mask { place, hidden } => self.mask(*place, hidden)?,
            RootfsStep::ProtectProc { proc, hidden } => {
                proc_masks::protect(self.mount(*proc)?, hidden)?;
            }
            RootfsStep::DetachScratch => self.detach_scratch()?,
            RootfsStep::AttachRoot => {
                mounts::attach(opened(self.root.as_ref())?, opened(self.base.as_ref())?)?;
            }
            RootfsStep::Make(mount) => self.mounts[mount.slot] = Some(self.make(mount)?),
            RootfsStep::Pivot => root::pivot(opened(self.root.as_ref())?)?,
            RootfsStep::Chroot => root::enter(opened(self.root.as_ref().or(self.base.as_ref()))?)?,
            RootfsStep::Attach(mount) => self.attach(number, mount)?,
            RootfsStep::ProtectRoot => mounts::forbid_writing(opened(self.root.as_ref())?)?,
            RootfsStep::DeviceNodes(Some(slot)) => dev::make_nodes(self.mount(*slot)?)?,
            RootfsStep::DeviceNodes(None) => {
                let (base, dev) = (opened(self.base.as_ref())?, Path::new("dev"));
                let (kind, links) = (Kind::Directory, Links::Refused);
                dev::make_nodes(beneath::target(base, dev, kind, links, Missing::Made)?.file)?;
            }
            RootfsStep::DeviceLinks(slot) => dev::make_links(self.mount(*slot)?)?,
        }
        Ok(())
    }

    fn attach(&self, number: usize, mount: &Mount) -> Result<(), SysError> {
        let Mount { slot, ref target, kind, links, missing, .. } = *mount;
        let root = opened(self.root.as_ref())?;
        let found = match beneath::target(root, target, kind, links, missing) {
            Err(error) if error.errno == Errno::NOENT && missing == Missing::Skipped => {
                return Ok(());
            }
            found => found?,
        };
        if found.path != Path::new("/").join(target) {
            self.tell_target(number, &found.path);
        }
        Ok(mounts::attach(self.mount(slot)?, found.file)?)
    }

    fn make(&self, mount: &Mount) -> Result<OwnedFd, SysError> {
        match &mount.source {
            Source::New { fs, options } => mounts::new(fs, options, mount.attributes),
            Source::Host(path) => Ok(mounts::copy_tree(CWD, path, mount.attributes)?),
            Source::Scratch(name) => {
                Ok(mounts::copy_tree(opened(self.scratch.as_ref())?, name, mount.attributes)?)
            }
        }
    }

    fn set_sysctls(&self, proc: usize, sysctls: &[Sysctl]) -> Result<(), SysError> {
        let proc = self.mount(proc)?;
        for sysctl in sysctls {
            let named = |errno| SysError::new(errno, format!("{}={}", sysctl.key, sysctl.value));
            let path = Path::new("sys").join(sysctl.path());
            let file = beneath::open(proc, &path, OFlags::WRONLY, Mode::empty()).map_err(named)?;
            write_all(&file, sysctl.value.as_bytes()).map_err(named)?;
        }
        Ok(())
    }

    fn mask(&mut self, place: Place, hidden: &[Hidden]) -> Result<(), SysError> {
        let below = match place {
            // Not by a method: the masks are borrowed besides.
            Place::Proc(slot) | Place::Sys(slot) => opened(self.mounts[slot].as_ref())?,
            Place::Root => opened(self.root.as_ref())?,
        };
        let masks = self.masks.as_mut().ok_or(Errno::BADF)?;
        let count = masks.hide(below, hidden)?;
        // Read-only alone is no mask: a nested namespace could mount all of it, read-only too.
        if count == 0 && matches!(place, Place::Sys(_)) {
            return Err(SysError::new(
                Errno::NOENT,
                "none of the paths that are to be hidden is there",
            ));
        }
        Ok(())
    }
}

fn open_base(path: &CStr) -> Result<OwnedFd, SysError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}
