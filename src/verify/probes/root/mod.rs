//! The root: a file of the host that nothing inside shows, and the ways to it that a change of root
//! leaves open. What is mounted inside is looked at in [`by_mount`].

pub mod by_mount;
pub mod canary;
pub mod inside;

use super::receipt::{arrived, heard};
use super::right::none_to_keep;
use crate::namespace::Namespace;
use crate::verify::attempt::{Try, planted};
use crate::verify::files::FileCrossing;
use crate::verify::nsenter::{Seen, look};
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::protocol::Outcome;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use canary::{RootCanary, SHARED_MEMORY};
use caps::Capability;
use inside::RootCrossing;
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// The probes. Descriptors are another wall's, [`super::fds`].
pub const PROBES: [Probe; 8] = [
    Probe {
        id: "RV-ROOT-01",
        wall: Wall::Root,
        title: "open a file of the host by its path",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: path,
    },
    Probe {
        id: "RV-ROOT-02",
        wall: Wall::Root,
        title: "climb out: a second chroot below a working directory that stays above it",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: climb,
    },
    Probe {
        id: "RV-ROOT-04",
        wall: Wall::Root,
        title: "open a file of the host by its handle",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: by_handle,
    },
    Probe {
        id: "RV-ROOT-06",
        wall: Wall::Root,
        title: "connect to a socket of the host by its path, which no network namespace hides",
        direction: Direction::Out,
        effect: Effect::Stage,
        attempt: connect,
    },
    Probe {
        id: "RV-ROOT-07",
        wall: Wall::Root,
        title: "open a file of the host from the working directory that came along",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: relative,
    },
    Probe {
        id: "RV-ROOT-11",
        wall: Wall::Root,
        title: "open shared memory by its POSIX name: a file of /dev/shm, which no ipc namespace \
            hides",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: shared_memory,
    },
    Probe {
        id: "RV-ROOT-12",
        wall: Wall::Root,
        title: "have the launcher's own program to write, behind /proc/self/exe (CVE-2019-5736)",
        direction: Direction::Out,
        effect: Effect::None,
        attempt: program,
    },
    Probe {
        id: "RV-ROOT-14",
        wall: Wall::Root,
        title: "take the root mount away, and open a file of the host below it",
        direction: Direction::In,
        effect: Effect::Stage,
        attempt: beneath,
    },
];

/// Always ordered, and made by no namespace: what the inside has for a root is never ours.
const IDENTITY: Identity = Identity::NoNamespace;

/// What a change of root answers: there is no such file, it leads elsewhere, or through folders
/// that the inside may not search.
const WALLED: [Errno; 3] = [Errno::NOENT, Errno::NOTDIR, Errno::ACCESS];

fn path(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("open", |canary: &RootCanary| {
        let reply = subject.ask(&FileCrossing::Read { path: canary.file.clone() });
        Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
            .through(subject.door_at(&canary.file))
    })
}

fn climb(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.may(Capability::CAP_SYS_CHROOT) {
        return Try::untried("chroot", &none_to_keep(Capability::CAP_SYS_CHROOT));
    }
    outside.planted("chroot", |canary: &RootCanary| {
        let reply = subject.ask(&RootCrossing::Climb { path: canary.file.clone() });
        // EPERM: without CAP_SYS_CHROOT nobody climbs.
        Try::reading(
            reply,
            IDENTITY,
            &outside.stage.secret,
            &[Errno::PERM, Errno::NOENT, Errno::NOTDIR],
        )
        .through(subject.role.right(Capability::CAP_SYS_CHROOT))
        .through(subject.door_at(&canary.file))
    })
}

fn beneath(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.may(Capability::CAP_SYS_ADMIN) {
        return Try::untried("umount2", &none_to_keep(Capability::CAP_SYS_ADMIN));
    }
    outside.planted("umount2", |canary: &RootCanary| {
        let reply = subject.ask(&RootCrossing::Beneath { path: canary.file.clone() });
        let walled = [Errno::PERM, Errno::NOENT, Errno::NOTDIR, Errno::INVAL, Errno::ACCESS];
        Try::reading(reply, IDENTITY, &outside.stage.secret, &walled)
            .through(subject.role.right(Capability::CAP_SYS_ADMIN))
            .through(subject.door_at(&canary.file))
            .or_nothing_to_find(subject, "the caller may not enter its mounts anew itself")
    })
}

fn by_handle(outside: &Outside<'_>, subject: &Target) -> Try {
    if !outside.stage.holds(Capability::CAP_DAC_READ_SEARCH) {
        return Try::untried("open_by_handle_at", &none_to_keep(Capability::CAP_DAC_READ_SEARCH));
    }
    outside.planted("open_by_handle_at", |canary: &RootCanary| {
        planted(&canary.handles, "open_by_handle_at", |handles| {
            // The control looks where the files are.
            let on = if subject.role.is_open() {
                canary.folders.clone()
            } else {
                let mounts = subject.mounts().iter().map(|shown| shown.mount.point.clone());
                std::iter::once(PathBuf::from("/")).chain(mounts).collect()
            };
            let reply = subject.ask(&RootCrossing::Handle { on, handles: handles.clone() });
            Try::reading(
                reply,
                IDENTITY,
                &outside.stage.secret,
                &[Errno::PERM, Errno::STALE, Errno::OPNOTSUPP, Errno::ACCESS],
            )
            .through(subject.role.right(Capability::CAP_DAC_READ_SEARCH))
        })
    })
}

fn connect(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("connect", |canary: &RootCanary| {
        let path = canary.file.with_file_name("socket");
        let reply = subject.ask(&RootCrossing::Connect { path, mark: subject.mark.clone() });
        let (receipt, seen) = heard(&canary.socket, &reply, &subject.mark);
        Try::marking(reply, IDENTITY, receipt, seen, &WALLED).through(subject.door_at(&canary.file))
    })
}

fn relative(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("open", |canary: &RootCanary| {
        let up: PathBuf = std::iter::repeat_n("..", 32).collect();
        let path = up.join(canary.file.strip_prefix("/").unwrap_or(&canary.file));
        let mut reply = subject.ask(&FileCrossing::Read { path });
        reply.arg = format!("../ (32 times) {}", canary.file.display());
        Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
            .through(subject.door_at(&canary.file))
    })
}

fn shared_memory(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("shm_open", |canary: &RootCanary| {
        planted(&canary.shared_memory, "shm_open", |name| {
            let path = Path::new(SHARED_MEMORY).join(name);
            let mut reply = subject.ask(&FileCrossing::Read { path: path.clone() });
            (reply.call, reply.arg) = ("shm_open".into(), format!("/{name}"));
            Try::reading(reply, IDENTITY, &outside.stage.secret, &WALLED)
                .through(subject.door_at(&path))
        })
    })
}

/// Nothing is opened for writing: the kernel would refuse it as long as the program runs, and allow
/// it afterwards. That the file is the host's, on a mount that can be written, is the crossing.
fn program(_: &Outside<'_>, subject: &Target) -> Try {
    if subject.role.is_foreign() {
        return Try::untried(
            "access",
            "the probe's program is a copy of its own, and no launcher's",
        );
    }
    let file = |pid: &str| rustix::fs::stat(format!("/proc/{pid}/exe"));
    let (Ok(ours), Ok(theirs)) = (file("self"), file(&subject.pid.to_string())) else {
        return Try::unplanted("access", "whose program it is could not be read");
    };
    let same = (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino);
    let reply = subject.ask(&RootCrossing::Program);
    let may = matches!(reply.outcome, Outcome::Done(..));
    let seen = if same { "it is the host's file" } else { "it is a copy in memory" };
    Try::marking(
        reply,
        IDENTITY,
        arrived(same && may),
        seen,
        &[Errno::ACCESS, Errno::ROFS, Errno::NOENT, Errno::PERM],
    )
    .or_stayed()
    .or_nothing_to_find(subject, "the caller may not write it itself")
}

/// What a reader must know of a root that holds and behind which the host's tree is.
pub const REMARK: &str = "the host's tree is still there, behind a chroot: all that holds is that \
    nobody inside may call chroot(2)";

/// Whether the host's tree is still there, for whoever enters the mount namespace. A chroot(2)
/// leaves it, out of reach of who may not call chroot; pivot_root(2) takes it away. `None` where it
/// cannot be looked for.
pub fn behind(outside: &Outside<'_>, subject: &Target) -> Option<Seen> {
    let (Ok(canary), Ok(sides)) =
        (outside.canaries.get::<RootCanary>(), subject.sides(Namespace::Mount))
    else {
        return None;
    };
    look(sides, |_| fs::read_to_string(&canary.file).is_ok_and(|text| text == outside.stage.secret))
}
