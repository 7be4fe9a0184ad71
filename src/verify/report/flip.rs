//! The matrix of `--flip`: a row a namespace, a column a wall.

use super::fold::folded;
use super::json::Detail;
use super::marks::{arrow, dot, legend, marked};
use super::parts::{Part, Report};
use super::table::title;
use crate::error::printable;
use crate::exit::Exit;
use crate::namespace::{Namespace, Switch};
use crate::verify::flip::{Change, Flip, Followed, Row};
use serde_json::{Value, json};
use std::fmt::Write;

/// "--cgroup yes" and two blanks.
const HEAD: usize = 14;

impl Report for Flip {
    fn parts(&self) -> Vec<Part<'_>> {
        let rows = self.rows.iter().map(|row| Part { name: row.option(), report: &row.report });
        self.base.parts().into_iter().chain(rows).collect()
    }

    fn exit(&self) -> Exit {
        self.exit()
    }

    /// The matrix, and what else has changed; in brief the matrix alone.
    fn table(&self, detail: Detail) -> String {
        if self.rows.is_empty() {
            return self.base.table(detail);
        }
        let mut text = folded("", &title(&self.base), 2);
        let mut line = |head: &str, cells: Vec<(String, usize)>| {
            let of = self.base.walls.iter().zip(cells);
            let cells: String = of
                .map(|(wall, (cell, width))| {
                    let blanks = (wall.wall.short_name().len() + 1).saturating_sub(width);
                    cell + &" ".repeat(blanks)
                })
                .collect();
            let _ = write!(text, "\n{head:<HEAD$}{}", cells.trim_end());
        };
        let names = self.base.walls.iter().map(|wall| wall.wall.short_name());
        line("", names.map(|name| (name.to_owned(), name.len())).collect());
        let verdicts = self.base.walls.iter().map(|wall| (marked(&wall.verdict), 1));
        line("as ordered", verdicts.collect());
        for row in &self.rows {
            if !row.report.was_tried() {
                let told = "not started";
                line(&row.option(), vec![(told.into(), told.len())]);
                continue;
            }
            let walls = row.report.walls.iter().zip(&self.base.walls);
            let cells = walls.map(|(wall, before)| {
                let changed = wall.verdict.word() != before.verdict.word();
                (if changed { marked(&wall.verdict) } else { dot().into() }, 1)
            });
            line(&row.option(), cells.collect());
        }
        let _ = write!(text, "\n\n");
        text.push_str(&folded("  ", &format!("{}, {} as ordered above", legend(), dot()), 2));
        text.push('\n');
        for row in self.rows.iter().filter(|_| detail == Detail::Whole) {
            text.push_str(&told(row));
        }
        let _ = write!(text, "{}", self.base.controls_told());
        text + &folded("", &format!("{} {}", arrow(), self.conclusion()), 2)
    }

    /// One JSON value.
    fn json(&self, detail: Detail) -> Value {
        let change = |change: &Change| {
            json!({
                "wall": change.probe.wall,
                "probe": change.probe.id,
                "from": change.from,
                "to": change.to,
                "because": change.because,
            })
        };
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "namespace": row.namespace.name(),
                    "switch": word(row.switch),
                    "followed": match row.followed(&self.base) {
                        Followed::Yes => Some(true),
                        Followed::No => Some(false),
                        Followed::Unknown => None,
                    },
                    "others": row.others.iter().map(change).collect::<Vec<_>>(),
                    "report": row.report.json(detail),
                })
            })
            .collect();
        json!({
            "format": "rustic-verify-flip",
            "version": 1,
            "exit": self.exit().code(),
            "base": self.base.json(detail),
            "rows": rows,
        })
    }
}

impl Flip {
    fn conclusion(&self) -> String {
        let own: Vec<(&Row, Followed)> =
            self.rows.iter().map(|row| (row, row.followed(&self.base))).collect();
        let followed = own.iter().filter(|(_, followed)| *followed == Followed::Yes).count();
        let tried = self.base.walls.iter().any(|wall| wall.wall.namespace().is_some());
        let mut said = Vec::new();
        match own.len() {
            _ if !tried => {}
            1 => said.push(format!("{followed} of 1 wall follows its own namespace.")),
            rows => said.push(format!("{followed} of {rows} walls follow their own namespace.")),
        }
        let not = |wanted: Followed| -> Vec<_> {
            own.iter()
                .filter(|(row, followed)| *followed == wanted && row.permitted == Switch::Yes)
                .map(|(row, _)| row.namespace.name())
                .collect()
        };
        let (no, unknown) = (not(Followed::No), not(Followed::Unknown));
        for row in self.rows.iter().filter(|row| row.report.exit() == Exit::NotAsOrdered) {
            said.insert(0, format!("With {}: {}", row.option(), row.report.conclusion()));
        }
        if !no.is_empty() {
            said.push(format!("Not: {}.", no.join(", ")));
        }
        let refused: Vec<_> = self.rows.iter().filter(|row| row.permitted == Switch::No).collect();
        if !refused.is_empty() {
            let names: Vec<_> = refused.iter().map(|row| row.namespace.name()).collect();
            said.push(format!("Not this caller's to toggle: {}.", names.join(", ")));
        }
        if tried && !unknown.is_empty() {
            said.push(format!("Not known: {}.", unknown.join(", ")));
        }
        let others: Vec<&Change> = self.rows.iter().flat_map(|row| &row.others).collect();
        let unexplained = others.iter().filter(|change| change.because.is_none()).count();
        said.push(match (others.len(), unexplained) {
            (0, _) => "Everything else answers as before.".into(),
            (1, 0) => "One other probe answers differently, and that is explained.".into(),
            (count, 0) => {
                format!("{count} other probes answer differently, and that is explained.")
            }
            (count, unexplained) => format!(
                "{count} other probes answer differently, {unexplained} without an explanation."
            ),
        });
        said.join(" ")
    }
}

fn word(switch: Switch) -> &'static str {
    match switch {
        Switch::Yes => "yes",
        Switch::No => "no",
    }
}

impl Row {
    /// The option that makes it what it is.
    pub fn option(&self) -> String {
        option(self.namespace, self.switch)
    }
}

fn option(namespace: Namespace, switch: Switch) -> String {
    format!("--{} {}", namespace.name(), word(switch))
}

/// What changed besides a row's own wall, the probes of one reason together.
fn told(row: &Row) -> String {
    let mut reasons: Vec<Option<&'static str>> = Vec::new();
    for change in &row.others {
        if !reasons.contains(&change.because) {
            reasons.push(change.because);
        }
    }
    let mut text = String::new();
    if let Some(reason) = row
        .report
        .walls
        .first()
        .filter(|_| !row.report.was_tried())
        .and_then(|wall| wall.verdict.because())
    {
        let told = format!("{}: {}", row.option(), printable(reason));
        text.push_str(&(folded("  ", &told, 4) + "\n"));
    }
    for reason in reasons {
        let since =
            reason.map_or("and why is not known".to_owned(), |reason| format!("since {reason}"));
        let told = format!("{} changes these too, {since}:", row.option());
        text.push_str(&folded("  ", &told, 2));
        for change in row.others.iter().filter(|change| change.because == reason) {
            let told =
                format!("{:<11}  {}  {}  {}", change.probe.id, change.from, arrow(), change.to);
            text.push_str(&folded("    ", &told, 17));
        }
        text.push('\n');
    }
    text
}
