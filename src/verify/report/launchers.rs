//! Launchers by walls: a row a launcher, a column a wall.

use super::VerifyReport;
use super::fold::folded;
use super::json::Detail;
use super::marks::{arrow, legend, marked};
use super::parts::{Part, Report};
use super::table::title;
use super::wall::WallReport;
use crate::error::printable;
use crate::exit::Exit;
use crate::verify::judged::Subject;
use crate::verify::verdict::Verdict;
use serde_json::{Value, json};
use std::fmt::Write;

/// What several launchers make.
pub struct LauncherRows {
    /// Each in its turn.
    pub rows: Vec<VerifyReport>,
}

/// The longest name and two blanks.
const HEAD: usize = 12;

impl Report for LauncherRows {
    fn parts(&self) -> Vec<Part<'_>> {
        self.rows.iter().flat_map(Report::parts).collect()
    }

    /// One launcher wall by wall, several in a table of their own; in brief without what their marks
    /// cannot say.
    fn table(&self, detail: Detail) -> String {
        match self.rows.as_slice() {
            [only] => only.table(detail),
            rows => matrix(rows, detail) + &self.conclusion(),
        }
    }

    /// One JSON value: of one launcher its report.
    fn json(&self, detail: Detail) -> Value {
        match self.rows.as_slice() {
            [only] => only.json(detail),
            rows => json!({
                "format": "rustic-verify-launchers",
                "version": 1,
                "exit": self.exit().code(),
                "rows": rows.iter().map(|row| row.json(detail)).collect::<Vec<_>>(),
            }),
        }
    }

    /// 1 where a wall of one is not as ordered, 3 where something is not known, 0 otherwise.
    fn exit(&self) -> Exit {
        let exits: Vec<Exit> = self.rows.iter().map(VerifyReport::exit).collect();
        [Exit::NotAsOrdered, Exit::Inconclusive]
            .into_iter()
            .find(|exit| exits.contains(exit))
            .unwrap_or(Exit::Command(0))
    }
}

impl LauncherRows {
    fn conclusion(&self) -> String {
        let named = |wanted: Exit| -> Vec<String> {
            let rows = self.rows.iter().filter(|row| row.exit() == wanted && row.was_tried());
            rows.map(VerifyReport::name).collect()
        };
        let untried: Vec<String> =
            self.rows.iter().filter(|row| !row.was_tried()).map(VerifyReport::name).collect();
        let mut said = Vec::new();
        let mut tell = |what: &str, names: Vec<String>| {
            if !names.is_empty() {
                said.push(format!("{what}: {}.", names.join(", ")));
            }
        };
        tell("As ordered", named(Exit::Command(0)));
        tell("Not as ordered", named(Exit::NotAsOrdered));
        tell("Not known", named(Exit::Inconclusive));
        tell("Not started", untried);
        folded("", &format!("{} {}", arrow(), said.join(" ")), 2)
    }
}

fn matrix(rows: &[VerifyReport], detail: Detail) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut text = folded("", &title(first), 2);
    let widths: Vec<usize> =
        first.walls.iter().map(|wall| wall.wall.short_name().len() + 1).collect();
    let heads = first.walls.iter().map(|wall| format!("{} ", wall.wall.short_name()));
    let _ = writeln!(text, "\n{:<HEAD$}{}", "", heads.collect::<String>().trim_end());
    for row in rows {
        if row.was_tried() {
            let cells = row.walls.iter().zip(&widths).map(|(wall, width)| cell(wall, *width));
            let _ = writeln!(text, "{:<HEAD$}{}", row.name(), cells.collect::<String>().trim_end());
        } else {
            let _ = writeln!(text, "{:<HEAD$}not started", row.name());
        }
    }
    text.push('\n');
    let promised = "in brackets what its order does not claim";
    text.push_str(&folded("  ", &format!("{}; {promised}", legend()), 2));
    text.push('\n');
    for row in rows.iter().filter(|_| detail == Detail::Whole) {
        text.push_str(&told(row));
    }
    let tried = rows.iter().find(|row| row.was_tried());
    text + &tried.map(VerifyReport::controls_told).unwrap_or_default()
}

/// The mark of a wall; in brackets where nothing was ordered of it.
fn cell(wall: &WallReport, width: usize) -> String {
    let mark = marked(&wall.verdict);
    let (cell, long) = if wall.ordered.is_none() { (format!("({mark})"), 3) } else { (mark, 1) };
    cell + &" ".repeat(width.saturating_sub(long))
}

/// What the marks of a row cannot say: how it was called, what leaks, what is not as it was to be.
fn told(row: &VerifyReport) -> String {
    let Subject::Launcher { name, notes, .. } = &row.subject else { return String::new() };
    let mut text = folded("  ", &format!("{name}: {}", row.command_line()), 4);
    let mut line = |said: &str| text.push_str(&folded("    ", &printable(said), 6));
    notes.iter().for_each(|note| line(note));
    let untried = row.walls.first().filter(|_| !row.was_tried());
    if let Some(reason) = untried.and_then(|wall| wall.verdict.because()) {
        line(reason);
        return text;
    }
    for wall in row.walls.iter().filter(|wall| !wall.is_as_ordered()) {
        let name = wall.wall.name();
        match &wall.verdict {
            Verdict::Leaked => {
                let leaks = wall.findings.iter().filter(|one| one.verdict == Verdict::Leaked);
                let leaks: Vec<&str> = leaks.map(|one| one.probe.title).collect();
                line(&format!("{name} leaked: {}", leaks.join("; ")));
            }
            Verdict::Unknown(reason) => line(&format!("{name} unknown: {reason}")),
            Verdict::Held | Verdict::Shared | Verdict::Untried(_) => {
                let (word, wanted) = (wall.verdict.word(), wall.wanted());
                line(&format!("{name} {word}, and {wanted} was {}", wall.whose()));
            }
        }
    }
    text
}
