//! `--flip`: one namespace after another is toggled, and its own wall must follow. What else
//! changes is shown too, and must be explained by how namespaces hang together.

use crate::error::Failure;
use crate::exit::Exit;
use crate::namespace::{Choice, Namespace, Namespaces, Switch};
use crate::spec::Spec;
use crate::verify::Order;
use crate::verify::probes::Probe;
use crate::verify::report::{Finding, Report, WallReport};
use crate::verify::verdict::Verdict;
use crate::verify::verifier::Verifier;
use crate::verify::wall::Wall;

/// What the toggling has shown.
pub struct Flip {
    /// The container as it was ordered.
    pub base: Report,
    /// The same, with one namespace the other way.
    pub rows: Vec<Row>,
}

/// One namespace the other way.
pub struct Row {
    /// Which.
    pub namespace: Namespace,
    /// Which way.
    pub switch: Switch,
    /// What was found.
    pub report: Report,
    /// What changed besides its own wall.
    pub others: Vec<Change>,
}

/// A probe of another wall that has come out another way.
pub struct Change {
    /// Which.
    pub probe: &'static Probe,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
    /// Why.
    pub because: Option<&'static str>,
}

impl Flip {
    /// Toggles each in turn, on one stage. `flipped` is the container with one namespace the other
    /// way, or why this caller cannot have it.
    pub fn of(
        verifier: &Verifier<'_>,
        order: &Order,
        spec: &Spec,
        flipped: impl Fn(Namespace, Switch) -> Result<Spec, Failure>,
    ) -> Self {
        let base = verifier.verify(spec);
        // Those whose own wall is tried; all of them where only the walls that no namespace makes
        // are.
        let tried = |namespace: &Namespace| {
            base.walls.iter().any(|wall| wall.wall.namespace() == Some(*namespace))
        };
        let any = Namespace::ALL.iter().any(tried);
        let rows = Namespace::ALL.into_iter().filter(|namespace| !any || tried(namespace)).map(
            |namespace| {
                let switch = match spec.namespaces.get(namespace) {
                    Choice::New => Switch::No,
                    Choice::Shared | Choice::Join(_) => Switch::Yes,
                };
                let report = match flipped(namespace, switch) {
                    Ok(spec) => verifier.verify(&spec),
                    Err(failure) => {
                        let namespaces = spec.namespaces.clone().with(namespace, chosen(switch));
                        Report::untried(order, &namespaces, &failure)
                    }
                };
                let others = changes(namespace, &spec.namespaces, &base, &report);
                Row { namespace, switch, report, others }
            },
        );
        let rows = rows.collect();
        Self { base, rows }
    }

    /// 0 where every wall followed its own namespace and every other change is explained, 1 where
    /// not, 3 where that cannot be said.
    pub fn exit(&self) -> Exit {
        let exits: Vec<Exit> = std::iter::once(&self.base)
            .chain(self.rows.iter().map(|row| &row.report))
            .map(Report::exit)
            .collect();
        let unexplained =
            self.rows.iter().flat_map(|row| &row.others).any(|change| change.because.is_none());
        if unexplained
            || exits.contains(&Exit::NotAsOrdered)
            || self.rows.iter().any(|row| row.followed(&self.base) == Followed::No)
        {
            Exit::NotAsOrdered
        } else if exits.contains(&Exit::Inconclusive) {
            Exit::Inconclusive
        } else {
            Exit::Command(0)
        }
    }
}

/// What a switch chooses.
pub fn chosen(switch: Switch) -> Choice {
    match switch {
        Switch::Yes => Choice::New,
        Switch::No => Choice::Shared,
    }
}

/// Whether a wall has followed its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// It is held where it was shared, or shared where it was held.
    Yes,
    /// It is not.
    No,
    /// It was not tried, or nothing is known of it.
    Unknown,
}

impl Row {
    /// Whether its own wall has followed.
    pub fn followed(&self, base: &Report) -> Followed {
        let own = |report: &Report| {
            report
                .walls
                .iter()
                .find(|wall| wall.wall.namespace() == Some(self.namespace))
                .map(|wall| wall.verdict.clone())
        };
        match (own(base), own(&self.report)) {
            (Some(Verdict::Held), Some(Verdict::Shared))
            | (Some(Verdict::Shared), Some(Verdict::Held)) => Followed::Yes,
            (None | Some(Verdict::Unknown(_)), _) | (_, None | Some(Verdict::Unknown(_))) => {
                Followed::Unknown
            }
            _ => Followed::No,
        }
    }
}

fn changes(
    flipped: Namespace,
    namespaces: &Namespaces,
    base: &Report,
    report: &Report,
) -> Vec<Change> {
    let findings = |wall: &WallReport| wall.findings.iter().map(said).collect::<Vec<_>>();
    base.walls
        .iter()
        .zip(&report.walls)
        .filter(|(wall, flipped_wall)| {
            wall.wall.namespace() != Some(flipped) && !flipped_wall.findings.is_empty()
        })
        .flat_map(|(before, after)| {
            before.findings.iter().zip(findings(before).into_iter().zip(findings(after)))
        })
        // What is not known has not changed.
        .filter(|(_, (from, to))| {
            from != to && !from.starts_with(UNKNOWN) && !to.starts_with(UNKNOWN)
        })
        .map(|(finding, (from, to))| Change {
            probe: finding.probe,
            from,
            to,
            because: because(flipped, namespaces, finding.probe.wall),
        })
        .collect()
}

const UNKNOWN: &str = "unknown";

/// The verdict of a probe with its errno, or the reason why it was not tried: what can be compared
/// between two runs.
fn said(finding: &Finding) -> String {
    match (&finding.verdict, finding.attempt.errno()) {
        (Verdict::Untried(reason), _) => format!("not tried, {reason}"),
        (verdict, Some(errno)) => format!("{} by {errno}", verdict.word()),
        (verdict, None) => verdict.word().to_owned(),
    }
}

/// How namespaces hang together, as far as a toggled one changes what probes of other walls are
/// answered.
fn because(flipped: Namespace, namespaces: &Namespaces, wall: Wall) -> Option<&'static str> {
    let of_a_user_namespace = namespaces.is_new(Namespace::User);
    match (flipped, wall) {
        (
            Namespace::Mount,
            Wall::Fds | Wall::Kernel | Wall::Terminal | Wall::Keyring | Wall::Devices,
        ) => Some(
            "without a mount namespace nothing is mounted: there is no /proc, /sys or /dev to \
                look into",
        ),
        (Namespace::Mount, Wall::Pid | Wall::Net | Wall::Ipc | Wall::Cgroup) => Some(
            "without a mount namespace nothing is mounted: there is no /proc, /sys or /dev/mqueue \
                to look into",
        ),
        (Namespace::Mount, Wall::Root | Wall::User) => Some(
            "without a mount namespace the root is entered by chroot, and CAP_SYS_CHROOT is \
                withheld, or leads out of it",
        ),
        (Namespace::User, Wall::Keyring) => Some("a user namespace has user keyrings of its own"),
        (
            Namespace::User,
            Wall::Pid
            | Wall::Mnt
            | Wall::Root
            | Wall::Uts
            | Wall::Net
            | Wall::Ipc
            | Wall::Cgroup
            | Wall::Time
            | Wall::Terminal
            | Wall::Kernel
            | Wall::Devices,
        ) => Some("rights inside a user namespace count over what it owns, and over nothing else"),
        (Namespace::Pid | Namespace::Net | Namespace::Ipc, Wall::User) if of_a_user_namespace => {
            Some("rights over a shared namespace are those of the user namespace that owns it")
        }
        (Namespace::Net, Wall::Cgroup) if of_a_user_namespace => Some(
            "a user namespace may mount no sysfs of a network that it does not own: the caller's \
                is bound",
        ),
        (Namespace::Pid, Wall::Root | Wall::Kernel | Wall::Keyring) if of_a_user_namespace => Some(
            "a user namespace may mount no proc of a pid namespace that it does not own: the \
                    caller's is bound",
        ),
        (
            Namespace::Pid,
            Wall::Mnt
            | Wall::Root
            | Wall::Uts
            | Wall::Net
            | Wall::Ipc
            | Wall::Cgroup
            | Wall::Time
            | Wall::Keyring
            | Wall::Terminal
            | Wall::Kernel
            | Wall::Devices,
        ) => Some(
            "a process outside can be named: its root, its network and its namespaces are reached \
                as far as rights go",
        ),
        (Namespace::Cgroup, Wall::Root) if of_a_user_namespace => Some(
            "a user namespace may mount no sysfs of a network that it does not own: the caller's \
                is bound, with the place of the cgroups below",
        ),
        _ => None,
    }
}
