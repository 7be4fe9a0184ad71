//! What fits together of the mounts that were ordered, and with the host.

use super::{Bind, FileOptions, FileOrder, Hide, Overlay};
use crate::beneath::is_of_the_kernel;
use crate::error::{Failure, without_number};
use crate::namespace::Switch;
use crate::spec::{rootfs::no_mounts_below, shown};
use std::path::{Component, Path, PathBuf};

impl FileOptions {
    /// Checks each by itself, and that no two have one target. Sources become absolute, without
    /// symlinks.
    ///
    /// # Errors
    /// The first that cannot be met, named.
    pub(in crate::spec) fn check(&self) -> Result<Self, Failure> {
        let all = self.parents_first();
        for order in &all {
            below_root(order.target(), order.option())?;
        }
        if let Some([one, other]) =
            all.array_windows().find(|[one, other]| one.target() == other.target())
        {
            return Err(Failure::new(format!(
                "{} and {} are both ordered for {}",
                one.option(),
                other.option(),
                shown(one.target())
            ))
            .why("one would lie under the other"));
        }
        self.hides.iter().try_for_each(among_files)?;
        Ok(Self {
            binds: self.binds.iter().map(checked_bind).collect::<Result<_, _>>()?,
            tmpfs: self.tmpfs.clone(),
            overlays: self.overlays.iter().map(checked_overlay).collect::<Result<_, _>>()?,
            hides: self.hides.clone(),
        })
    }
}

impl FileOptions {
    /// Whoever has CAP_SYS_ADMIN in the user namespace that the mounts were made in can take them
    /// away again.
    ///
    /// # Errors
    /// What was ordered to be hidden or read-only.
    pub(in crate::spec) fn nothing_to_undo(&self) -> Result<(), Failure> {
        nothing_undone(self.parents_first().into_iter().filter(is_kept))
    }

    /// The same where only what lies on or below /dev, /proc and /sys is mounted in there.
    ///
    /// # Errors
    /// The same, and what is shown with the container's ids.
    pub(in crate::spec) fn nothing_to_undo_in_the_kernels_places(&self) -> Result<(), Failure> {
        let is_idmapped = |order: &FileOrder<'_>| match order {
            FileOrder::Bind(bind) => bind.idmapped == Switch::Yes,
            FileOrder::Tmpfs(_) | FileOrder::Overlay(_) | FileOrder::Hide(_) => false,
        };
        nothing_undone(self.parents_first().into_iter().filter(|order| {
            is_of_the_kernel(order.target()) && (is_kept(order) || is_idmapped(order))
        }))
    }
}

fn is_kept(order: &FileOrder<'_>) -> bool {
    match order {
        FileOrder::Hide(_) => true,
        FileOrder::Bind(bind) => bind.writable == Switch::No,
        FileOrder::Tmpfs(tmpfs) => tmpfs.writable == Switch::No,
        FileOrder::Overlay(_) => false,
    }
}

fn nothing_undone<'a>(mut undone: impl Iterator<Item = FileOrder<'a>>) -> Result<(), Failure> {
    undone.next().map_or(Ok(()), |order| {
        Err(can_be_undone(&format!("{} {}", order.option(), shown(order.target()))))
    })
}

/// CMD would have the right to take it away.
pub(in crate::spec) fn can_be_undone(order: &str) -> Failure {
    Failure::new(format!("{order}: CMD has CAP_SYS_ADMIN, and can undo it"))
        .why("it is mounted in the user namespace of the container")
        .remedy("leave out the capability")
        .man("mount_namespaces(7)")
}

/// A mount target: absolute, not the root itself, and without `..`, which no step would follow.
fn below_root(target: &Path, option: &str) -> Result<(), Failure> {
    let plain =
        target.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if target.is_absolute() && plain && target.file_name().is_some() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{option}: {} is not an absolute path below / without '..'",
        shown(target)
    )))
}

/// The kernel's own files and rustic's devices have masks of their own.
fn among_files(hide: &Hide) -> Result<(), Failure> {
    if !is_of_the_kernel(&hide.path) {
        return Ok(());
    }
    let (option, path) = (FileOrder::Hide(hide).option(), shown(&hide.path));
    Err(Failure::new(format!(
        "{option} {path}: what is in /dev, /proc and /sys is the container's own or masked already"
    ))
    .remedy(format!("--bind /dev/null:{path} for one more of their files")))
}

fn checked_bind(bind: &Bind) -> Result<Bind, Failure> {
    let source = found("--bind", &bind.source)?;
    Ok(Bind { source, ..bind.clone() })
}

fn checked_overlay(overlay: &Overlay) -> Result<Overlay, Failure> {
    let lower = found("--overlay", &overlay.lower)?;
    if !lower.is_dir() {
        return Err(Failure::new(format!("--overlay {}: not a directory", shown(&lower))));
    }
    no_mounts_below("--overlay", &lower)?;
    Ok(Overlay { lower, ..overlay.clone() })
}

fn found(option: &str, source: &Path) -> Result<PathBuf, Failure> {
    std::fs::canonicalize(source).map_err(|error| {
        Failure::new(format!("{option} {}: {}", shown(source), without_number(&error)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::files::Tmpfs;

    #[test]
    fn a_mount_target_cannot_climb() {
        for wrong in ["/", "a", "/a/../b", "", "/..", "../a"] {
            assert!(below_root(Path::new(wrong), "--bind").is_err(), "{wrong}");
        }
        assert!(below_root(Path::new("/mnt/x"), "--bind").is_ok());
    }

    #[test]
    fn two_orders_for_one_target_are_an_error_that_names_both() {
        let options = |path: &str| FileOptions {
            tmpfs: vec![Tmpfs { target: "/a/b".into(), writable: Switch::Yes, size: None }],
            hides: vec![Hide { path: path.into(), required: Switch::No }],
            ..FileOptions::default()
        };
        let failure = options("/a//b/.").check().unwrap_err().to_string();
        assert!(failure.contains("--tmpfs") && failure.contains("--hide-try"), "{failure}");
        assert!(options("/a/b/c").check().is_ok());
        assert!(options("/proc/x").check().is_err());
    }
}
