//! What was found, part by part, for whoever reads files: a container, or several.

use super::VerifyReport;
use super::json::Detail;
use super::wall::{Finding, WallReport};
use crate::error::printable;
use crate::exit::Exit;
use crate::verify::verdict::Verdict;
use serde_json::Value;

/// One container, under a name.
pub struct Part<'a> {
    /// What it is called.
    pub name: String,
    /// What was found.
    pub report: &'a VerifyReport,
}

/// What was found, in every form that it is told in.
pub trait Report {
    /// Container by container.
    fn parts(&self) -> Vec<Part<'_>>;

    /// For a reader.
    fn table(&self, detail: Detail) -> String;

    /// One JSON value.
    fn json(&self, detail: Detail) -> Value;

    /// 0 as ordered, 1 not, 3 inconclusive.
    fn exit(&self) -> Exit;

    /// Every probe.
    fn why(&self) -> String {
        let parts = self.parts();
        let alone = parts.len() == 1;
        let told = |part: &Part<'_>| {
            let name = if alone { String::new() } else { format!("{}\n\n", part.name) };
            name + &part.report.why()
        };
        parts.iter().map(told).collect()
    }
}

impl Report for VerifyReport {
    fn parts(&self) -> Vec<Part<'_>> {
        vec![Part { name: self.name(), report: self }]
    }

    fn table(&self, detail: Detail) -> String {
        self.table(detail)
    }

    fn json(&self, detail: Detail) -> Value {
        self.json(detail)
    }

    fn exit(&self) -> Exit {
        self.exit()
    }
}

/// How a test comes out that asks whether something is as it was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is.
    Passed,
    /// It is not.
    Failed,
    /// That is not known.
    Unknown,
    /// There was nothing to try.
    Skipped,
}

impl Outcome {
    /// Of a wall.
    pub(super) fn of(wall: &WallReport) -> Self {
        match (wall.is_as_ordered(), &wall.verdict) {
            (true, Verdict::Unknown(_)) => Self::Skipped,
            (true, _) => Self::Passed,
            (false, Verdict::Unknown(_)) => Self::Unknown,
            (false, _) => Self::Failed,
        }
    }

    /// Of one probe, behind a wall that is measured so.
    pub(super) fn of_probe(finding: &Finding, wall: &WallReport) -> Self {
        match (&finding.verdict, Self::of(wall)) {
            (Verdict::Untried(_), _) => Self::Skipped,
            (verdict, Self::Failed) if verdict.word() == wall.verdict.word() => Self::Failed,
            (Verdict::Unknown(_), Self::Unknown) => Self::Unknown,
            (Verdict::Unknown(_), _) => Self::Skipped,
            _ => Self::Passed,
        }
    }
}

/// What became of a wall, in a line.
pub(super) fn told(wall: &WallReport) -> String {
    let word = wall.verdict.word();
    let wanted = match (wall.is_as_ordered(), wall.wanted()) {
        (true, _) => String::new(),
        (false, wanted) => format!(", and {wanted} was {}", wall.whose()),
    };
    let reason = wall.verdict.because().map(|reason| format!(" because {reason}"));
    printable(&format!("{} {word}{wanted}{}", wall.wall.name(), reason.unwrap_or_default()))
}
