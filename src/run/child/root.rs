//! The steps of the root file system, from the directory that it is made from to its masks.

use super::scratch::TREE;
use super::targets::{OfRootInside, mount_id};
use super::{Child, opened};
use crate::beneath::{self, AtOnce, Kind, Links, Lookup, Missing, is_of_the_kernel};
use crate::error::{SysError, printable};
use crate::mounts;
use crate::namespace::Switch;
use crate::rootfs::writer::write_all;
use crate::run::step::{Idmapped, Mount, NOT_IDMAPPED, Place, RootfsStep, Source, Tree};
use crate::spec::Sysctl;
use crate::walls::proc_masks::{self, Hidden, Masks};
use crate::walls::{dev, root};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchown, open, unlinkat};
use rustix::io::Errno;
use rustix::process::fchdir;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

impl Child<'_> {
    /// A flat table, an arm a step.
    pub(super) fn execute_rootfs(&mut self, step: &RootfsStep) -> Result<(), SysError> {
        match step {
            RootfsStep::OpenBase(path) => self.base = Some(open_base(path)?),
            RootfsStep::MakePrivate => mounts::make_private()?,
            RootfsStep::Idmap { of, joined: None, maps, below } => {
                self.idmap(of, &maps.namespace()?, below)?;
            }
            RootfsStep::Idmap { of, joined: Some(join), below, .. } => {
                self.idmap(of, &join.file, below)?;
            }
            RootfsStep::MakeTargets(paths) => self.make_targets(paths)?,
            RootfsStep::MakeWorkdir(path) => self.make_workdir(path)?,
            RootfsStep::StandInRoot => {
                self.masks = self.masks.take().map(Masks::anew).transpose()?;
                fchdir(opened(self.root.as_ref())?)?;
            }
            RootfsStep::TakeRoot { own, copied } => self.take_root(*own, *copied)?,
            RootfsStep::FindCmd { cmd, env, workdir, mounts, hidden, .. } => {
                self.find_cmd(cmd, env, workdir, mounts, hidden)?;
            }
            RootfsStep::MakeScratch { size, attributes } => {
                self.make_scratch(*size, *attributes)?
            }
            RootfsStep::WriteScratch(files) => self.write_scratch(files)?,
            RootfsStep::WriteFiles(files) => self.write_files(files)?,
            RootfsStep::OpenLower { slot, path } => self.mounts[*slot] = Some(open_base(path)?),
            RootfsStep::UnpackIntoScratch { origin, shift } => {
                self.unpack_into_scratch(origin, shift.as_ref())?;
            }
            RootfsStep::UnpackIntoRunDirectory { origin, shift, path } => {
                self.base = Some(self.unpack_into_run_directory(origin, shift.as_ref(), path)?);
            }
            RootfsStep::MakeOverlay { marks, attributes } => {
                self.make_overlay(*marks, *attributes)?
            }
            RootfsStep::MakeTree { from, attributes } => {
                self.root = Some(match from {
                    Tree::Base => mounts::copy_tree(opened(self.base.as_ref())?, c"", *attributes)?,
                    Tree::Scratch => {
                        let tree = opened(self.scratch.as_ref())?;
                        let tree = mounts::copy_tree(tree, TREE, *attributes)?;
                        self.own.push(mount_id(&tree)?);
                        tree
                    }
                });
            }
            RootfsStep::MakeMasks => {
                self.masks = Some(Masks::make(opened(self.scratch.as_ref())?)?)
            }
            RootfsStep::SetSysctls { proc, sysctls, .. } => self.set_sysctls(*proc, sysctls)?,
            RootfsStep::Mask { place, hidden } => self.mask(*place, hidden)?,
            RootfsStep::ProtectProc { proc, hidden } => {
                proc_masks::protect(self.mount(*proc)?, hidden)?;
            }
            RootfsStep::DetachScratch => self.detach_scratch()?,
            RootfsStep::AttachRoot => {
                mounts::attach(opened(self.root.as_ref())?, opened(self.base.as_ref())?)?;
            }
            RootfsStep::Make(mount) => self.make(mount)?,
            RootfsStep::Pivot => root::pivot(opened(self.root.as_ref())?)?,
            RootfsStep::Chroot => root::enter(opened(self.root.as_ref().or(self.base.as_ref()))?)?,
            RootfsStep::Attach(mount) => self.attach(mount)?,
            RootfsStep::Hide { path, required, real } => self.hide(path, *required, real)?,
            RootfsStep::HideFiles => self.hide_files()?,
            RootfsStep::ProtectMounts(slots) => self.protect_mounts(slots)?,
            RootfsStep::ProtectRoot => mounts::forbid_writing(opened(self.root.as_ref())?)?,
            RootfsStep::DeviceNodes(Some(slot)) => dev::make_nodes(self.mount(*slot)?, self.owner)?,
            RootfsStep::DeviceNodes(None) => {
                let (base, dev) = (opened(self.base.as_ref())?, Path::new("dev"));
                let (kind, links) = (Kind::Directory, Links::Refused);
                let lookup = Lookup { path: dev, kind: Some(kind), links, missing: Missing::Made };
                dev::make_nodes(beneath::target(base, lookup, &mut AtOnce)?.file, self.owner)?;
            }
            RootfsStep::DeviceLinks(slot) => dev::make_links(self.mount(*slot)?)?,
        }
        Ok(())
    }

    /// Each mount by itself: the kernel shows none so that is attached already, also to another
    /// detached one. What is mounted below and cannot be shown so keeps its owners: they are nobody
    /// inside.
    fn idmap(
        &mut self,
        of: &Idmapped,
        namespace: &OwnedFd,
        below: &[PathBuf],
    ) -> Result<(), SysError> {
        match of {
            Idmapped::Bind { slot, .. } => mounts::idmap(self.mount(*slot)?, namespace)?,
            Idmapped::Base(place) => {
                let base = opened(self.base.as_ref())?;
                let copy = mounts::copy_mount(base, c"")?;
                mounts::idmap(&copy, namespace)
                    .map_err(|errno| SysError::new(errno, NOT_IDMAPPED))?;
                // All of them before the first one is attached, perhaps over a part of the others.
                let parts = below.iter().filter_map(|path| {
                    let text = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
                    match mounts::copy_mount(base, &text) {
                        // As of a file over /proc/kmsg that systemd-nspawn has unlinked since. A
                        // file system of rustic's own will lie over it.
                        Err(Errno::NOENT) if is_of_the_kernel(path) => None,
                        Err(errno) => Some(Err(named(path, errno))),
                        Ok(part) => {
                            let _ = mounts::idmap(&part, namespace);
                            Some(Ok((path, part)))
                        }
                    }
                });
                let parts = parts.collect::<Result<Vec<_>, SysError>>()?;
                mounts::attach(&copy, open_base(place)?)?;
                for (path, part) in parts {
                    let target = beneath::open(&copy, path, OFlags::PATH, Mode::empty());
                    match target.and_then(|target| mounts::attach(part, target)) {
                        Err(Errno::NOENT) if is_of_the_kernel(path) => {}
                        attached => attached.map_err(|errno| named(path, errno))?,
                    }
                }
                self.base = Some(copy);
            }
        }
        Ok(())
    }

    fn make_targets(&self, paths: &[PathBuf]) -> Result<(), SysError> {
        paths.iter().try_for_each(|path| {
            let (kind, links, missing) = (Some(Kind::Directory), Links::Refused, Missing::Made);
            self.target(Lookup { path, kind, links, missing }).map(drop)
        })
    }

    fn make_workdir(&self, path: &Path) -> Result<(), SysError> {
        let (kind, links, missing) = (Some(Kind::Directory), Links::Inside, Missing::Made);
        let lookup = Lookup { path, kind, links, missing };
        match (&self.root, &self.base) {
            // The directory of this run.
            (None, Some(base)) => {
                beneath::target(base, lookup, &mut OfRootInside(self.owner)).map(drop)
            }
            (Some(_), _) | (None, None) => self.target(lookup).map(drop),
        }
    }

    /// The working directory of the builder was the root, in a mount namespace of which this one is
    /// a copy: there it is the copy, mount_namespaces(7).
    fn take_root(&mut self, own: Switch, copied: Switch) -> Result<(), SysError> {
        let here = open(c".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let root = match copied {
            Switch::No => here,
            Switch::Yes => {
                let copy = mounts::copy_tree(&here, c"", mounts::Attributes::NONE)?;
                mounts::attach(&copy, here)?;
                copy
            }
        };
        if own == Switch::Yes {
            self.own.push(mount_id(&root)?);
        }
        self.root = Some(root);
        Ok(())
    }

    /// Gives what was made to root inside.
    pub(super) fn give(&self, file: impl AsFd) -> Result<(), Errno> {
        self.owner.map_or(Ok(()), |(uid, gid)| fchown(file, Some(uid), Some(gid)))
    }

    fn make(&mut self, mount: &Mount) -> Result<(), SysError> {
        let attributes = mount.attributes;
        let made = match &mount.source {
            Source::New { fs, options } => mounts::new(fs, options, attributes)?,
            Source::Host(path) => mounts::copy_tree(CWD, path, attributes)?,
            Source::Scratch(name) => {
                mounts::copy_tree(opened(self.scratch.as_ref())?, name, attributes)?
            }
            Source::Overlay { marks, .. } => {
                self.make_overlay_mount(mount.slot, *marks, attributes)?
            }
        };
        match &mount.source {
            Source::New { .. } | Source::Overlay { .. } => self.own.push(mount_id(&made)?),
            Source::Host(_) | Source::Scratch(_) => {}
        }
        self.mounts[mount.slot] = Some(made);
        Ok(())
    }

    /// The files of /etc in a root of rustic's own: whatever the image has there gives way, and a
    /// link leads where it leads from inside.
    fn write_files(&self, files: &[(&str, Vec<u8>)]) -> Result<(), SysError> {
        for (name, content) in files {
            let path = Path::new("etc").join(name);
            let (links, missing) = (Links::Inside, Missing::Made);
            let found =
                self.target(Lookup { path: &path, kind: Some(Kind::File), links, missing })?;
            let (dir, Some(name)) = (found.parent.ok_or(Errno::ISDIR)?, found.path.file_name())
            else {
                return Err(Errno::ISDIR.into());
            };
            let named = |errno| SysError::new(errno, found.path.to_string_lossy());
            unlinkat(&dir, name, AtFlags::empty()).map_err(named)?;
            let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
            let file = beneath::open(&dir, Path::new(name), create, Mode::from_raw_mode(0o644));
            let file = file.map_err(named)?;
            write_all(&file, content).map_err(named)?;
            self.give(&file).map_err(named)?;
        }
        Ok(())
    }

    fn set_sysctls(&self, proc: Option<usize>, sysctls: &[Sysctl]) -> Result<(), SysError> {
        let callers = proc.is_none().then(|| open_base(c"/proc")).transpose()?;
        let proc = match (proc, &callers) {
            (Some(slot), _) => self.mount(slot)?,
            (None, callers) => opened(callers.as_ref())?,
        };
        for sysctl in sysctls {
            let named = |errno| SysError::new(errno, format!("{}={}", sysctl.key, sysctl.value));
            let path = Path::new("sys").join(sysctl.path());
            let file = beneath::open(proc, &path, OFlags::WRONLY, Mode::empty()).map_err(named)?;
            write_all(&file, sysctl.value.as_bytes()).map_err(named)?;
        }
        Ok(())
    }

    fn mask(&mut self, place: Place, hidden: &[Hidden]) -> Result<(), SysError> {
        let masks = self.masks.as_mut().ok_or(Errno::BADF)?;
        let count = match place {
            // Not by a method: the masks are borrowed besides.
            Place::Proc(slot) | Place::Sys(slot) => {
                masks.hide_of_kernel(opened(self.mounts[slot].as_ref())?, hidden)?
            }
            Place::Root => masks.hide(opened(self.root.as_ref())?, hidden)?,
        };
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

fn named(path: &Path, errno: Errno) -> SysError {
    SysError::new(errno, printable(&path.to_string_lossy()))
}

fn open_base(path: &CStr) -> Result<OwnedFd, SysError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}
