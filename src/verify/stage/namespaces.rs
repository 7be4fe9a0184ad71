//! The namespaces of the stage, its clocks and its id map.

use crate::causes;
use crate::error::{Failure, of_nix, without_number};
use crate::host::{Host, UserNamespace};
use crate::namespace::{Choice, Namespace, Namespaces};
use caps::Capability;
use nix::sched::{CloneFlags, unshare};
use std::fs;

/// What the stage's clocks are ahead of the host's, in seconds: what no machine has been up for.
const CLOCK_OFFSET: i64 = 5_000_000;

/// Which rights the verifier has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageRights {
    /// Those of root over the machine.
    Machine,
    /// Those of root in a user namespace of the stage's own: a plain user has no others.
    Stage,
}

/// The rights of a verifier that stays where it is.
pub(super) fn rights_on_the_host(host: &Host) -> StageRights {
    if host.user_namespace == UserNamespace::Initial {
        StageRights::Machine
    } else {
        StageRights::Stage
    }
}

/// The mount namespace, before the others, so that what shows the host's can be mounted in it. Who
/// holds no CAP_SYS_ADMIN makes a user namespace of one id first, his own, and has every right in
/// it.
pub(super) fn enter_mount_namespace(host: &Host) -> Result<StageRights, Failure> {
    let rights = if host.holds(Capability::CAP_SYS_ADMIN) {
        StageRights::Machine
    } else {
        StageRights::Stage
    };
    if rights == StageRights::Stage {
        unshare_all(&[Namespace::User], host)?;
        map_own_id(host)?;
    }
    unshare_all(&[Namespace::Mount], &in_the_stage(host))?;
    Ok(if host.user_namespace == UserNamespace::Initial { rights } else { StageRights::Stage })
}

/// The host as it is from the stage: who had no right has every one there.
fn in_the_stage(host: &Host) -> Host {
    Host { held: host.known_caps(), ..host.clone() }
}

/// The other namespaces. Returns all of them.
pub(super) fn enter(host: &Host) -> Result<Vec<Namespace>, Failure> {
    let host = &in_the_stage(host);
    let mut wanted = vec![Namespace::Uts, Namespace::Ipc, Namespace::Net, Namespace::Time];
    if unshare_all(&wanted, host).is_err() {
        // Time namespaces came with Linux 5.6, and can be limited to none.
        wanted.pop();
        unshare_all(&wanted, host)?;
    }
    wanted.insert(3, Namespace::Mount);
    Ok(wanted)
}

/// The offsets of a time namespace are set before the first process lives in it.
pub(super) fn set_clocks(namespaces: &[Namespace]) -> Result<(), String> {
    if !namespaces.contains(&Namespace::Time) {
        return Err("the stage has no time namespace".into());
    }
    let offsets = format!("monotonic {CLOCK_OFFSET} 0\nboottime {CLOCK_OFFSET} 0\n");
    fs::write("/proc/self/timens_offsets", offsets)
        .map_err(|error| format!("the stage's clocks cannot be set: {}", without_number(&error)))
}

fn unshare_all(wanted: &[Namespace], host: &Host) -> Result<(), Failure> {
    let flags = wanted.iter().fold(0, |flags, namespace| flags | namespace.clone_flag() as i32);
    let names: Vec<_> = wanted.iter().map(|namespace| namespace.flag_name()).collect();
    unshare(CloneFlags::from_bits_retain(flags)).map_err(|errno| {
        let (errno, call) = (of_nix(errno), format!("unshare({})", names.join("|")));
        let failure = Failure::new(format!("cannot build a stage: {call}")).man("unshare(2)");
        let new = |all: Namespaces, &one: &Namespace| all.with(one, Choice::New);
        let all = wanted.iter().fold(Namespaces::shared(), new);
        let failure = causes::namespaces::refused(failure.errno(errno), &all, errno, host);
        causes::surroundings::explain(failure, errno, &call, host)
    })
}

fn map_own_id(host: &Host) -> Result<(), Failure> {
    let written = fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("{0} {0} 1", host.uid)))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("{0} {0} 1", host.gid)));
    written.map_err(|error| {
        Failure::new(format!("cannot build a stage: the id map: {}", without_number(&error)))
            .man("user_namespaces(7)")
    })
}
