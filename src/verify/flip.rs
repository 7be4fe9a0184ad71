//! `--flip`: one namespace after another is toggled, and its own wall must follow. What else
//! changes is shown too, and must be explained by how namespaces hang together.

use crate::error::Failure;
use crate::exit::Exit;
use crate::namespace::{Choice, Namespace, Namespaces, Switch};
use crate::spec::Spec;
use crate::verify::judged::{Subject, ordered};
use crate::verify::options::VerifyOptions;
use crate::verify::probe::Probe;
use crate::verify::reasons::because;
use crate::verify::report::VerifyReport;
use crate::verify::report::wall::{Finding, WallReport};
use crate::verify::verdict::Verdict;
use crate::verify::verifier::Verifier;

/// What the toggling has shown.
pub struct Flip {
    /// The container as it was ordered.
    pub base: VerifyReport,
    /// The same, with one namespace the other way.
    pub rows: Vec<Row>,
}

/// One namespace the other way.
pub struct Row {
    /// The namespace that was toggled.
    pub namespace: Namespace,
    /// Whether it is new in this row.
    pub switch: Switch,
    /// What was found.
    pub report: VerifyReport,
    /// Whether this caller may have it so: a plain user has no container without a user namespace.
    pub permitted: Switch,
    /// What changed besides its own wall.
    pub others: Vec<Change>,
}

/// A probe of another wall that has come out another way.
pub struct Change {
    /// The probe.
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
        order: &VerifyOptions,
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
                let (report, permitted) = match flipped(namespace, switch) {
                    Ok(spec) => (verifier.verify(&spec), Switch::Yes),
                    Err(failure) => {
                        let namespaces = spec.namespaces.clone().with(namespace, chosen(switch));
                        let ordered = |wall| Some(ordered(wall, &namespaces));
                        let subject = Subject::Container(Vec::new());
                        let reason = failure.in_a_line();
                        (VerifyReport::untried(order, ordered, subject, &reason), Switch::No)
                    }
                };
                let others = changes(namespace, &spec.namespaces, &base, &report);
                Row { namespace, switch, report, permitted, others }
            },
        );
        let rows = rows.collect();
        Self { base, rows }
    }

    /// 0 where every wall that this caller may toggle followed its own namespace and every other
    /// change is explained, 1 where not, 3 where that cannot be said.
    pub fn exit(&self) -> Exit {
        let permitted = self.rows.iter().filter(|row| row.permitted == Switch::Yes);
        let exits: Vec<Exit> = std::iter::once(&self.base)
            .map(VerifyReport::exit)
            .chain(permitted.map(|row| row.exit(&self.base)))
            .collect();
        // What nobody may toggle has shown nothing.
        if exits.len() == 1 && exits.contains(&Exit::Command(0)) {
            return Exit::Inconclusive;
        }
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
    /// Where its own wall has followed, another one that has nothing to try any more is a change
    /// with its explanation, and no doubt.
    fn exit(&self, base: &VerifyReport) -> Exit {
        match (self.report.exit(), self.followed(base)) {
            (Exit::Inconclusive, Followed::Yes) => Exit::Command(0),
            (exit, _) => exit,
        }
    }

    /// Whether its own wall has followed.
    pub fn followed(&self, base: &VerifyReport) -> Followed {
        let own = |report: &VerifyReport| {
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
            (
                Some(Verdict::Held | Verdict::Shared | Verdict::Leaked | Verdict::Untried(_)),
                Some(Verdict::Held | Verdict::Shared | Verdict::Leaked | Verdict::Untried(_)),
            ) => Followed::No,
        }
    }
}

fn changes(
    flipped: Namespace,
    namespaces: &Namespaces,
    base: &VerifyReport,
    report: &VerifyReport,
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
