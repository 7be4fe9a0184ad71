//! A leak on purpose: RUSTIC_LEAK edits the list of steps, so that the tests can show that verify
//! sees it.

use crate::host::Extent;
use crate::mountinfo;
use crate::mounts::Attributes;
use crate::namespace::{Choice, Namespace};
use crate::run::step::{ChildStep, Mount, ParentStep, RootfsStep, Source, Step, WardenStep};
use crate::test_switches;
use crate::walls::idmap::{IdMaps, Writer};
use crate::walls::privileges::Credentials;
use caps::Capability;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

/// Opens the leak that was ordered, if one was.
pub(super) fn inject(steps: &mut Vec<Step>) {
    match test_switches::ordered("RUSTIC_LEAK").as_deref() {
        Some("mqueue") => replace_mount(steps, c"mqueue", &last_mount_of("mqueue")),
        Some("proc") => replace_mount(steps, c"proc", c"/proc"),
        Some("descriptor") => {
            steps.retain(|step| !matches!(step, Step::Child(ChildStep::CloseDescriptors { .. })))
        }
        Some("propagation") => {
            steps.retain(|step| !matches!(step.rootfs(), Some(RootfsStep::MakePrivate)))
        }
        Some("keyring") => {
            steps.retain(|step| !matches!(step, Step::Child(ChildStep::Keyring { .. })))
        }
        Some("cgroup") => replace_mount(steps, c"mqueue", &last_mount_of("cgroup")),
        Some("kernel") => {
            steps.retain(|step| !matches!(step.rootfs(), Some(RootfsStep::ProtectProc { .. })))
        }
        Some("devices") => {
            steps.iter_mut().for_each(allow_nodes);
            steps.iter_mut().for_each(|step| keep(step, Capability::CAP_MKNOD.bitmask()));
        }
        Some("uts") => share(steps, Namespace::Uts),
        Some("net") => {
            share(steps, Namespace::Net);
            let of_network = |step: &Step| {
                matches!(
                    step,
                    Step::Parent(ParentStep::MakeNetwork) | Step::Child(ChildStep::JoinNetwork)
                )
            };
            steps.retain(|step| !of_network(step));
        }
        Some("time") => share(steps, Namespace::Time),
        Some("terminal") => {
            steps.retain(|step| !matches!(step, Step::Child(ChildStep::Terminal { .. })))
        }
        Some("chroot") => steps
            .iter_mut()
            .filter_map(Step::rootfs_mut)
            .filter(|step| matches!(step, RootfsStep::Pivot))
            .for_each(|step| *step = RootfsStep::Chroot),
        Some("capability") => {
            steps.iter_mut().for_each(|step| keep(step, Capability::CAP_SYS_TIME.bitmask()))
        }
        Some("ids") => steps.iter_mut().for_each(map_one_to_one),
        _ => {}
    }
}

/// The host's own ids in place of a range that nobody has.
fn map_one_to_one(step: &mut Step) {
    if let Step::Warden(WardenStep::WriteIdMaps(maps)) = step
        && maps.writer == Writer::Range
    {
        let every = [Extent { inside: 0, outside: 0, count: u32::MAX }];
        *maps = IdMaps::same(&every, &every, Writer::Privileged);
    }
}

/// The caller's mount in place of a new file system.
fn replace_mount(steps: &mut [Step], of: &CStr, by: &CStr) {
    for step in steps {
        if let Some(RootfsStep::Make(mount)) = step.rootfs_mut()
            && matches!(mount.source, Source::New { fs, .. } if fs == of)
        {
            let source = Source::Host(by.to_owned());
            *mount = Rc::new(Mount { source, ..(**mount).clone() });
        }
    }
}

fn last_mount_of(fs: &str) -> CString {
    let mount = mountinfo::read().unwrap_or_default().into_iter().rfind(|mount| mount.kind == fs);
    mount
        .and_then(|mount| CString::new(mount.point.into_os_string().into_vec()).ok())
        .unwrap_or_default()
}

/// A namespace that is not made, although it was ordered.
fn share(steps: &mut [Step], namespace: Namespace) {
    for step in steps {
        if let Step::Warden(
            WardenStep::Clone(namespaces) | WardenStep::BuildAndClone { namespaces, .. },
        ) = step
        {
            *namespaces = namespaces.clone().with(namespace, Choice::Shared);
        }
    }
}

/// A tmpfs in which device nodes can be opened.
fn allow_nodes(step: &mut Step) {
    if let Some(RootfsStep::Make(mount)) = step.rootfs_mut()
        && matches!(mount.source, Source::New { fs, .. } if fs == c"tmpfs")
    {
        let attributes = Attributes::NO_SUID;
        *mount = Rc::new(Mount { attributes, ..(**mount).clone() });
    }
}

/// Rights that should have gone.
fn keep(step: &mut Step, kept: u64) {
    let keep = |credentials: &mut Credentials| {
        credentials.bounding |= kept;
        credentials.permitted |= kept;
    };
    match step {
        Step::Child(ChildStep::DropBounding(dropped)) => *dropped &= !kept,
        Step::Child(
            ChildStep::SetCapabilities(credentials) | ChildStep::VerifyCredentials(credentials),
        ) => keep(credentials),
        _ => {}
    }
}
