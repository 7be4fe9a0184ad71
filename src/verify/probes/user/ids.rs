//! Ids: what belongs to the outside's root, for an inside whose root is somebody else outside. Ways to
//! it are handed in, so that no other wall decides.

use super::canary::{CLOSED, Deaf, UserCanary};
use super::inside::UserCrossing;
use crate::host::{Extent, extents};
use crate::namespace::{Namespace, Switch};
use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::probe::{Direction, Effect, Probe};
use crate::verify::probes::pid::canary::PidCanary;
use crate::verify::probes::pid::inside::PidCrossing;
use crate::verify::probes::receipt::arrived;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use crate::verify::wall::Wall;
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs;

/// The probes.
pub const PROBES: [Probe; 5] = [
    probe(
        "RV-USR-02",
        "read a file that only the outside's root may, in a directory handed in for this",
        Direction::In,
        closed_file,
    ),
    probe(
        "RV-USR-06",
        "leave a set-user-ID program of the outside's root in a directory handed in for this",
        Direction::Out,
        set_user_id,
    ),
    probe(
        "RV-USR-07",
        "open a kernel parameter for writing, which the kernel lets its own root do",
        Direction::Out,
        parameter,
    ),
    probe("RV-USR-08", "send a signal to a process of the outside's root", Direction::Out, signal),
    probe("RV-USR-09", "trace a process of the outside's root", Direction::Out, trace),
];

const fn probe(
    id: &'static str,
    title: &'static str,
    direction: Direction,
    attempt: fn(&Outside<'_>, &Target) -> Try,
) -> Probe {
    Probe { id, wall: Wall::User, title, direction, effect: Effect::Stage, attempt }
}

/// Not for this id.
const WALLED: [Errno; 2] = [Errno::ACCESS, Errno::PERM];

fn closed_file(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("openat", |canary: &UserCanary| {
        if let Some(reason) = no_wall_of_ids(subject) {
            return Try::untried("openat", &reason);
        }
        let crossing = UserCrossing::Read { name: CLOSED.into() };
        let reply = subject.ask_with(&crossing, canary.directory.as_fd());
        Try::reading(reply, subject.identity(Namespace::User), &outside.stage.secret, &WALLED)
    })
}

fn set_user_id(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("fchmod", |canary: &UserCanary| {
        if let Some(reason) = no_wall_of_ids(subject) {
            return Try::untried("fchmod", &reason);
        }
        let crossing = UserCrossing::SetUserId { name: subject.mark.clone() };
        let reply = subject.ask_with(&crossing, canary.directory.as_fd());
        let owner = canary.taken_set_user_id(&subject.mark);
        let seen = match owner {
            Some(uid) if uid == geteuid().as_raw() => "a set-user-ID program of root's".into(),
            Some(uid) => format!("a set-user-ID program of {uid}, which nobody is"),
            None => "no set-user-ID program".into(),
        };
        let is_ours = owner == Some(geteuid().as_raw());
        Try::marking(reply, subject.identity(Namespace::User), arrived(is_ours), seen, &WALLED)
            .or_stayed()
    })
}

/// It is opened, and nothing is written.
fn parameter(_: &Outside<'_>, subject: &Target) -> Try {
    const PARAMETER: &str = "core_pattern";
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    if let Some(reason) = no_wall_of_ids(subject) {
        return Try::untried("openat", &reason);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match open("/proc/sys/kernel", flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(errno) => return Try::unplanted("openat", &crate::error::errno_text(errno)),
    };
    if openat(&directory, PARAMETER, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).is_err() {
        return Try::untried("openat", "the caller may not write it itself");
    }
    let crossing = UserCrossing::Write { name: PARAMETER.into() };
    let reply = subject.ask_with(&crossing, directory.as_fd());
    let held = reply.number().and_then(|number| subject.held(number).ok());
    let is_open = held.is_some_and(|held| {
        held.is_writable() && held.file_system().is_ok_and(|kind| kind == PROC_SUPER_MAGIC)
    });
    let seen = if is_open { "it holds it open for writing" } else { "it holds nothing of it open" };
    Try::marking(reply, subject.identity(Namespace::User), arrived(is_open), seen, &WALLED)
}

fn signal(_: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = no_wall_of_ids(subject).or_else(|| no_number(subject)) {
        return Try::untried("kill", &reason);
    }
    let deaf = match Deaf::start() {
        Ok(deaf) => deaf,
        Err(reason) => return Try::unplanted("kill", &reason),
    };
    let reply = subject.ask(&UserCrossing::Signal { pid: deaf.number() });
    let has_heard = deaf.has_heard();
    let seen = if has_heard { "our process has the signal" } else { "our process has no signal" };
    Try::marking(reply, subject.identity(Namespace::User), arrived(has_heard), seen, &WALLED)
}

fn trace(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = no_wall_of_ids(subject).or_else(|| no_number(subject)) {
        return Try::untried("ptrace", &reason);
    }
    outside.planted("ptrace", |canary: &PidCanary| {
        let reply = subject.ask(&PidCrossing::Trace { pid: canary.number() });
        let traced = canary.tracer() != 0 && canary.tracer() == subject.crosser();
        let seen = if traced { "our process is traced" } else { "nobody traces our process" };
        let identity = subject.identity(Namespace::User);
        // Yama may keep everybody from it, root outside too: then the control fails.
        Try::marking(reply, identity, arrived(traced), seen, &WALLED).or_closed()
    })
}

/// Why the ids inside are no others than those outside.
fn no_wall_of_ids(subject: &Target) -> Option<String> {
    let own = geteuid().as_raw();
    if subject.identity(Namespace::User) == Identity::Same {
        let stat = rustix::fs::stat(format!("/proc/{}", subject.pid)).ok()?;
        let is_other = stat.st_uid != own;
        return is_other.then(|| "it has another uid by order, and no other ids".into());
    }
    // Where they were ordered to be others, that they are not is what is to be seen.
    if subject.role.ordered().is_some_and(|ordered| ordered.own_ids == Switch::Yes) {
        return None;
    }
    let map = fs::read_to_string(format!("/proc/{}/uid_map", subject.pid)).ok()?;
    let has_own = |extent: &Extent| own >= extent.outside && own - extent.outside < extent.count;
    extents(&map)?
        .iter()
        .any(has_own)
        .then(|| "the caller's own id is one of its ids: a wall of rights, and none of ids".into())
}

fn no_number(subject: &Target) -> Option<String> {
    let is_apart = subject.identity(Namespace::Pid) != Identity::Same;
    is_apart.then(|| "in another pid namespace it has no number for it".into())
}
