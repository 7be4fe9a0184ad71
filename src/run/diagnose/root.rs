//! What the errors of the child's steps mean while it builds its root file system.

use super::child::not_executed;
use crate::beneath::Links;
use crate::causes::{no_overlay, read_only_proc};
use crate::error::Failure;
use crate::namespace::Namespace;
use crate::rootfs::no_root;
use crate::run::describe::inside;
use crate::run::step::{Idmapped, Mount, RootfsStep, Source};
use rustix::io::Errno;

impl RootfsStep {
    /// A flat table, an entry a step.
    pub(super) fn diagnose(&self, errno: Errno, failure: Failure) -> Failure {
        match self {
            Self::Make(mount) => not_made(mount, errno, failure),
            Self::Attach(mount) => not_attached(mount, errno, failure),
            Self::Hide { .. } => match errno {
                Errno::NOENT => failure.remedy("--hide-try where it may be missing"),
                Errno::EXIST => failure.remedy("write both paths as they are, without links"),
                _ => failure,
            },
            Self::FindCmd { cmd, directory, .. } => match (errno, directory) {
                (Errno::NOENT, Some(directory)) => {
                    no_root::explain(directory, not_executed(cmd, errno, failure))
                }
                (Errno::NOENT, None) => not_executed(cmd, errno, failure),
                _ => failure,
            },
            Self::Pivot => match errno {
                Errno::INVAL => failure
                    .why(
                        "the host's root is the kernel's first one, an initramfs, or not a mount: \
                         there is nothing to exchange it with",
                    )
                    .remedy("--root chroot, or a host that has gone on to a root of its own"),
                _ => failure,
            },
            Self::MakeOverlay { .. } => no_overlay(failure),
            Self::Idmap { of, .. } => match errno {
                Errno::INVAL => failure
                    .why(
                        "its file system cannot be shown with other owners: ext4, xfs and btrfs \
                         can, and tmpfs since Linux 6.3",
                    )
                    .remedy(match of {
                        Idmapped::Base(_) => "--user no, or a root file system on one of these",
                        Idmapped::Bind { .. } => "leave out :idmap, or a directory on one of these",
                    }),
                Errno::ROFS => read_only_proc(failure),
                Errno::PERM => failure
                    .why("it is shown with other ids already, by another idmapped mount")
                    .remedy("--user no"),
                _ => failure,
            },
            Self::HideFiles => match errno {
                Errno::BUSY => failure.remedy("--ephemeral, or hide a directory"),
                _ => failure,
            },
            Self::WriteFiles(_) => match errno {
                Errno::NOTDIR | Errno::ISDIR | Errno::LOOP => failure.remedy(
                    "make it a plain directory or file in the image; rustic does not mend it",
                ),
                _ => failure,
            },
            Self::SetSysctls { .. } => match errno {
                Errno::NOENT => failure.remedy("sysctl -a shows the names that this kernel has"),
                Errno::ACCESS => failure.why(
                    "in a user namespace the parameters of IPC can be set since Linux 6.9 only",
                ),
                _ => failure,
            },
            Self::MakePrivate => match errno {
                Errno::INVAL => failure
                    .why("the caller's root is not a mount: rustic is in a chroot")
                    .man("pivot_root(2)"),
                _ => failure,
            },
            Self::OpenBase(_)
            | Self::MakeTargets(_)
            | Self::MakeWorkdir(_)
            | Self::StandInRoot
            | Self::TakeRoot { .. }
            | Self::MakeScratch { .. }
            | Self::WriteScratch(_)
            | Self::UnpackIntoScratch { .. }
            | Self::UnpackIntoRunDirectory { .. }
            | Self::MakeTree { .. }
            | Self::MakeMasks
            | Self::DetachScratch
            | Self::AttachRoot
            | Self::Chroot
            | Self::Mask { .. }
            | Self::ProtectProc { .. }
            | Self::OpenLower { .. }
            | Self::ProtectRoot
            | Self::ProtectMounts(_)
            | Self::DeviceNodes(_)
            | Self::DeviceLinks(_) => failure,
        }
    }
}

fn not_made(mount: &Mount, errno: Errno, failure: Failure) -> Failure {
    if let Source::Overlay { .. } = mount.source {
        return no_overlay(failure);
    }
    match (errno, fresh_kernel_files(mount)) {
        (Errno::PERM, Some(namespace)) => failure
            .why(
                "a user namespace may mount it only where the caller's own is seen whole: \
                 something is mounted over parts of it, as the masks of a container are",
            )
            .remedy(format!(
                "--{} no, or --proc open for the container that this one is in",
                namespace.name()
            ))
            .man("mount_namespaces(7)"),
        _ => failure,
    }
}

fn not_attached(mount: &Mount, errno: Errno, failure: Failure) -> Failure {
    match errno {
        Errno::XDEV => {
            failure.remedy("order the target by its own name, below /dev, /proc or /sys")
        }
        Errno::LOOP if mount.links == Links::Inside => failure.man("path_resolution(7)"),
        Errno::LOOP | Errno::NOTDIR | Errno::ISDIR => failure
            .remedy("make it a plain directory or file in the image; rustic does not mend it"),
        Errno::ROFS => {
            let found = failure.why.clone().unwrap_or_default();
            failure
                .why(format!(
                    "{found}, and nothing is made in a directory of the caller's that is read-only \
                     inside"
                ))
                .remedy(format!("--ephemeral, or make {} there", inside(mount)))
        }
        Errno::ACCESS | Errno::PERM => failure.remedy(format!("make {} there", inside(mount))),
        Errno::EXIST => failure.remedy("write both targets as they are, without links"),
        _ => failure,
    }
}

/// The namespace that a new proc or sysfs belongs to.
fn fresh_kernel_files(mount: &Mount) -> Option<Namespace> {
    match &mount.source {
        Source::New { fs, .. } if *fs == c"proc" => Some(Namespace::Pid),
        Source::New { fs, .. } if *fs == c"sysfs" => Some(Namespace::Net),
        Source::New { .. } | Source::Host(_) | Source::Scratch(_) | Source::Overlay { .. } => None,
    }
}
