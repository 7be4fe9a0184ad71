//! How namespaces hang together, as far as one that is toggled changes what probes of other walls
//! are answered. A change that is not listed here is unexplained.

use crate::namespace::{Namespace, Namespaces};
use crate::verify::wall::Wall;

/// Why some walls change with a namespace that is not theirs.
struct Reason {
    walls: Walls,
    scope: Condition,
    text: &'static str,
}

/// The walls that a reason is about.
#[derive(Clone, Copy)]
enum Walls {
    These(&'static [Wall]),
    AllBut(&'static [Wall]),
}

impl Walls {
    fn have(self, wall: Wall) -> bool {
        match self {
            Self::These(walls) => walls.contains(&wall),
            Self::AllBut(walls) => !walls.contains(&wall),
        }
    }
}

/// Those that a right of the outside leads beyond: not that of rights, and not that of what a
/// process inherits.
const CROSSED_BY_RIGHTS: Walls = Walls::AllBut(&[Wall::User, Wall::Fds]);

/// The containers that a reason holds for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// Every one.
    Any,
    /// Those with a user namespace of their own.
    UserNamespace,
}

/// The first reason why probes of a wall are answered differently when another wall's namespace is
/// toggled; `namespaces` are those that were ordered.
pub(super) fn because(
    flipped: Namespace,
    namespaces: &Namespaces,
    wall: Wall,
) -> Option<&'static str> {
    let counts = |reason: &&Reason| match reason.scope {
        Condition::Any => true,
        Condition::UserNamespace => namespaces.is_new(Namespace::User),
    };
    let mut reasons = reasons(flipped).iter().filter(counts);
    reasons.find(|reason| reason.walls.have(wall)).map(|reason| reason.text)
}

const fn reasons(flipped: Namespace) -> &'static [Reason] {
    match flipped {
        Namespace::Mount => &MOUNT,
        Namespace::User => &USER,
        Namespace::Pid => &PID,
        Namespace::Net => &NET,
        Namespace::Ipc => &[RIGHTS_OVER_A_SHARED_ONE],
        Namespace::Cgroup => &CGROUP,
        Namespace::Uts | Namespace::Time => &[],
    }
}

const fn of(walls: Walls, scope: Condition, text: &'static str) -> Reason {
    Reason { walls, scope, text }
}

const MOUNT: [Reason; 3] = [
    of(
        Walls::These(&[Wall::Fds, Wall::Kernel, Wall::Terminal, Wall::Keyring, Wall::Devices]),
        Condition::Any,
        "without a mount namespace nothing is mounted: there is no /proc, /sys or /dev to look \
            into",
    ),
    of(
        Walls::These(&[Wall::Pid, Wall::Net, Wall::Ipc, Wall::Cgroup]),
        Condition::Any,
        "without a mount namespace nothing is mounted: there is no /proc, /sys or /dev/mqueue to \
            look into",
    ),
    of(
        Walls::These(&[Wall::Root, Wall::User]),
        Condition::Any,
        "without a mount namespace the root is entered by chroot, and CAP_SYS_CHROOT is withheld, \
            or leads out of it",
    ),
];

const USER: [Reason; 2] = [
    of(
        Walls::These(&[Wall::Keyring]),
        Condition::Any,
        "a user namespace has user keyrings of its own",
    ),
    of(
        CROSSED_BY_RIGHTS,
        Condition::Any,
        "rights inside a user namespace count over what it owns, and over nothing else",
    ),
];

const RIGHTS_OVER_A_SHARED_ONE: Reason = of(
    Walls::These(&[Wall::User]),
    Condition::UserNamespace,
    "rights over a shared namespace are those of the user namespace that owns it",
);

const PID: [Reason; 3] = [
    of(
        Walls::These(&[Wall::User]),
        Condition::Any,
        "a process outside can be named: signals reach it, and traces, as far as ids go; and rights \
            over a shared namespace are those of the user namespace that owns it",
    ),
    of(
        Walls::These(&[Wall::Root, Wall::Kernel, Wall::Keyring]),
        Condition::UserNamespace,
        "a user namespace may mount no proc of a pid namespace that it does not own: the caller's \
            is bound",
    ),
    of(
        CROSSED_BY_RIGHTS,
        Condition::Any,
        "a process outside can be named: its root, its network and its namespaces are reached as \
            far as rights go",
    ),
];

const NET: [Reason; 2] = [
    RIGHTS_OVER_A_SHARED_ONE,
    of(
        Walls::These(&[Wall::Cgroup]),
        Condition::UserNamespace,
        "a user namespace may mount no sysfs of a network that it does not own: the caller's is \
            bound",
    ),
];

const CGROUP: [Reason; 1] = [of(
    Walls::These(&[Wall::Root]),
    Condition::UserNamespace,
    "a user namespace may mount no sysfs of a network that it does not own: the caller's is bound, \
        with the place of the cgroups below",
)];
