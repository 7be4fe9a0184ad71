//! A leak on purpose: in debug builds RUSTIC_LEAK edits the list of steps, so that the tests can
//! show that verify sees it. Release builds do not have it.

use crate::mountinfo;
use crate::run::step::{Mount, Source, Step};
use crate::walls::privileges::Credentials;
use caps::Capability;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

/// What is kept that should have gone.
const KEPT: u64 = 1 << Capability::CAP_SYS_TIME as u8;

/// Opens the leak that was ordered, if one was.
pub(super) fn ordered(steps: &mut Vec<Step>) {
    if !cfg!(debug_assertions) {
        return;
    }
    match std::env::var("RUSTIC_LEAK").as_deref() {
        Ok("mqueue") => replace_mount(steps, c"mqueue", &first_mount_of("mqueue")),
        Ok("proc") => replace_mount(steps, c"proc", c"/proc"),
        Ok("descriptor") => steps.retain(|step| !matches!(step, Step::CloseDescriptors)),
        Ok("propagation") => steps.retain(|step| !matches!(step, Step::MakePrivate)),
        Ok("keyring") => {
            steps.retain(|step| !matches!(step, Step::Keyring { .. } | Step::Seccomp { .. }))
        }
        Ok("terminal") => steps.retain(|step| !matches!(step, Step::Terminal { .. })),
        Ok("chroot") => steps
            .iter_mut()
            .filter(|step| matches!(step, Step::Pivot))
            .for_each(|step| *step = Step::Chroot),
        Ok("capability") => steps.iter_mut().for_each(keep_capability),
        _ => {}
    }
}

/// The caller's mount in place of a new file system.
fn replace_mount(steps: &mut [Step], of: &CStr, by: &CStr) {
    for step in steps {
        if let Step::Make(mount) = step
            && matches!(mount.source, Source::New { fs, .. } if fs == of)
        {
            let Mount { slot, attributes, ref target, kind, make_target, .. } = **mount;
            *step = Step::Make(Rc::new(Mount {
                slot,
                source: Source::Host(by.to_owned()),
                attributes,
                target: target.clone(),
                kind,
                make_target,
            }));
        }
    }
}

fn first_mount_of(fs: &str) -> CString {
    let mount = mountinfo::read().unwrap_or_default().into_iter().find(|mount| mount.kind == fs);
    mount
        .and_then(|mount| CString::new(mount.point.into_os_string().into_vec()).ok())
        .unwrap_or_default()
}

fn keep_capability(step: &mut Step) {
    let keep = |credentials: &mut Credentials| {
        credentials.bounding |= KEPT;
        credentials.permitted |= KEPT;
    };
    match step {
        Step::DropBounding(dropped) => *dropped &= !KEPT,
        Step::SetCapabilities(credentials) | Step::VerifyCredentials(credentials) => {
            keep(credentials)
        }
        _ => {}
    }
}
