//! The probes: one file a wall, or one folder. In each stand the two halves that face each other:
//! what the outside plants and looks at, and the crossing that is tried inside. In a folder the
//! latter is `inside`, and what is planted `canary`.
//!
//! [`enter`] has probes of several walls. `find`, `receipt` and `right` are what they have in
//! common.

pub mod cgroup;
pub mod devices;
pub mod enter;
pub mod fds;
mod find;
pub mod ipc;
pub mod kernel;
pub mod keyring;
pub mod mnt;
pub mod net;
pub mod pid;
mod receipt;
mod right;
pub mod root;
pub mod terminal;
pub mod time;
mod uncover;
pub mod user;
pub mod uts;

use crate::spec::{Door, RootSwitch};
use crate::verify::judged::Judged;
use crate::verify::nsenter::Seen;
use crate::verify::outside::{Canaries, Outside};
use crate::verify::probe::Probe;
use crate::verify::stage::Stage;
use crate::verify::trials::Trials;
use crate::verify::verdict::Verdict;
use crate::verify::wall::Wall;
use std::path::PathBuf;

/// Every probe, wall by wall, and last those that cross several walls alike.
pub fn catalogue() -> impl Iterator<Item = &'static Probe> {
    let of_walls = Wall::ALL.into_iter().flat_map(probes_of).copied();
    of_walls.chain([&enter::PROBES[..], &[pid::ROOT]]).flatten()
}

/// The probes of a wall's own file.
fn probes_of(wall: Wall) -> &'static [&'static [Probe]] {
    match wall {
        Wall::Pid => &[&pid::PROBES],
        Wall::Mnt => &[&mnt::PROBES],
        Wall::Root => &[&root::PROBES, &root::by_mount::PROBES],
        Wall::Uts => &[&uts::PROBES],
        Wall::Net => &[&net::PROBES],
        Wall::Ipc => &[&ipc::PROBES],
        Wall::User => &[&user::PROBES, &user::ids::PROBES],
        Wall::Cgroup => &[&cgroup::PROBES],
        Wall::Time => &[&time::PROBES],
        Wall::Fds => &[&fds::PROBES],
        Wall::Keyring => &[&keyring::PROBES],
        Wall::Terminal => &[&terminal::PROBES],
        Wall::Kernel => &[&kernel::PROBES],
        Wall::Devices => &[&devices::PROBES],
    }
}

/// Plants every canary in the stage. `shown` is what the inside is shown of the host on purpose.
pub fn plant(stage: &Stage, shown: &[PathBuf]) -> Canaries {
    let mut canaries = Canaries::default();
    for wall in Wall::ALL {
        plant_of(wall, &mut canaries, stage, shown);
    }
    canaries
}

fn plant_of(wall: Wall, canaries: &mut Canaries, stage: &Stage, shown: &[PathBuf]) {
    match wall {
        Wall::Pid => canaries.plant::<pid::canary::PidCanary>(stage, shown),
        Wall::Root => canaries.plant::<root::canary::RootCanary>(stage, shown),
        Wall::Net => canaries.plant::<net::canary::NetCanary>(stage, shown),
        Wall::Ipc => {
            canaries.plant::<ipc::canary::QueueCanary>(stage, shown);
            canaries.plant::<ipc::canary::SysvCanary>(stage, shown);
        }
        Wall::Time => canaries.plant::<time::TimeCanary>(stage, shown),
        Wall::Fds => canaries.plant::<fds::canary::FdsCanary>(stage, shown),
        Wall::Keyring => canaries.plant::<keyring::KeyringCanary>(stage, shown),
        Wall::Kernel => canaries.plant::<kernel::canary::KernelCanary>(stage, shown),
        Wall::User => canaries.plant::<user::canary::UserCanary>(stage, shown),
        Wall::Mnt | Wall::Uts | Wall::Cgroup | Wall::Terminal | Wall::Devices => {}
    }
}

/// What a reader must know of a wall besides its verdict.
pub fn remarks(
    wall: Wall,
    judged: Judged<'_>,
    outside: &Outside<'_>,
    trials: &Trials,
    verdict: &Verdict,
) -> Vec<String> {
    let held = *verdict == Verdict::Held;
    let (by_chroot, doors) = match judged {
        Judged::Container(spec) => (spec.root == RootSwitch::Chroot, spec.doors()),
        Judged::Launcher(_) | Judged::Process(_) => (true, Vec::new()),
    };
    match wall {
        Wall::Root => {
            let behind =
                by_chroot && held && root::behind(outside, &trials.subject) == Some(Seen::Yes);
            let behind = behind.then(|| root::REMARK.to_owned());
            let files = doors.iter().filter(|door| door.opening.files().is_some());
            behind.into_iter().chain(files.map(ordered_door)).collect()
        }
        Wall::User => {
            let rights =
                user::remark(trials.each.iter().map(|trial| (trial.probe, &trial.attempt)));
            let others = doors.iter().filter(|door| door.opening.files().is_none());
            std::iter::once(rights).chain(others.map(ordered_door)).collect()
        }
        Wall::Time => held.then(|| time::REMARK.to_owned()).into_iter().collect(),
        Wall::Pid
        | Wall::Mnt
        | Wall::Uts
        | Wall::Net
        | Wall::Ipc
        | Wall::Cgroup
        | Wall::Fds
        | Wall::Keyring
        | Wall::Terminal
        | Wall::Kernel
        | Wall::Devices => Vec::new(),
    }
}

fn ordered_door(door: &Door) -> String {
    format!("a door that was ordered: {}: {}", door.name, door.what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_wall_has_probes_of_its_own_and_no_name_is_given_twice() {
        for wall in Wall::ALL {
            let probes: Vec<&Probe> = probes_of(wall).iter().copied().flatten().collect();
            assert!(!probes.is_empty(), "{}", wall.name());
            let others = probes.iter().filter(|probe| probe.wall != wall);
            assert_eq!(others.map(|probe| probe.id).collect::<Vec<_>>(), [""; 0]);
        }
        let names: BTreeSet<&str> = catalogue().map(|probe| probe.id).collect();
        assert_eq!(names.len(), catalogue().count());
    }
}
