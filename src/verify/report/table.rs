//! The table: a row a wall, one line at the end. Words always; a mark and a colour on top.

use super::VerifyReport;
use super::fold::folded;
use super::json::Detail;
use super::marks::{arrow, dot, styled};
use super::wall::{Finding, WallReport};
use crate::error::printable;
use crate::verify::judged::Subject;
use crate::verify::verdict::Verdict;

/// The first line: on what kernel, from what stage, under what name.
pub(super) fn title(report: &VerifyReport) -> String {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let dot = dot();
    match &report.nonce {
        Some(nonce) => {
            let stage = match report.stage.as_slice() {
                [] => "no stage: the real host".to_owned(),
                namespaces => format!("stage: {}", namespaces.join(" ")),
            };
            format!("rustic verify {dot} linux {kernel} {dot} {stage} {dot} nonce {nonce}")
        }
        None => format!("rustic verify {dot} linux {kernel}"),
    }
}

/// How another launcher was called.
fn launched(report: &VerifyReport) -> String {
    let (called, notes) = match &report.subject {
        Subject::Container(_) => return String::new(),
        Subject::Launcher { notes, .. } => (report.command_line(), notes),
        Subject::Process(_, notes) => (report.name(), notes),
    };
    let mut text = folded("", &called, 2);
    for note in notes {
        text.push_str(&folded("  ", &printable(note), 4));
    }
    for line in &report.chatter {
        text.push_str(&folded("  ", &format!("it said: {line}"), 4));
    }
    text
}

/// Where the second column and the third begin.
const VERDICT: usize = 12;
const EVIDENCE: usize = 23;

impl VerifyReport {
    /// The table and what follows from it; in brief, what is not as ordered.
    pub fn table(&self, detail: Detail) -> String {
        let mut text = folded("", &title(self), 2) + &launched(self) + "\n";
        // Where nothing was tried the reason is the same for all.
        let common = self
            .walls
            .first()
            .filter(|_| !self.was_tried())
            .and_then(|wall| wall.verdict.because());
        let heads = format!("  {:<10}{:<11}", "wall", "verdict");
        let evidence = format!("tried inside {} its answer; seen outside", arrow());
        text.push_str(&folded(&heads, &evidence, EVIDENCE));
        let told = |wall: &&WallReport| detail == Detail::Whole || !wall.is_as_ordered();
        for wall in self.walls.iter().filter(told) {
            text.push_str(&row(wall));
            if common.is_none() {
                text.push_str(&notes(wall));
            }
        }
        text.push('\n');
        match common {
            Some(reason) => {
                let told = format!("Nothing could be tried: {}.", printable(reason));
                text.push_str(&folded("  ", &told, 2));
                text.push('\n');
            }
            None => {
                text.push_str(&self.controls_told());
            }
        }
        text + &folded("", &format!("{} {}", arrow(), self.conclusion()), 2)
    }
}

/// A wall, what was found of it, and by what.
fn row(wall: &WallReport) -> String {
    let evidence = wall.decisive().map_or_else(|| "-".to_owned(), evidence);
    let verdict = &wall.verdict;
    // A mark, a blank and the longest word.
    let blanks = " ".repeat((EVIDENCE - VERDICT).saturating_sub(2 + verdict.word().len()));
    let first = format!("  {:<10}{}{blanks}", wall.wall.name(), styled(verdict));
    folded(&first, &evidence, EVIDENCE)
}

/// What was tried, what was answered, and what was seen of it.
pub(super) fn evidence(finding: &Finding) -> String {
    let attempt = &finding.attempt;
    let crossing = format!("{} {}", attempt.reply.call, attempt.reply.arg);
    printable(&format!(
        "{} {} {}; {}",
        crossing.trim_end(),
        arrow(),
        attempt.reply.shown(),
        attempt.outside
    ))
}

/// What a row cannot hold: what it was to be, the further ways of a leak, the reason of a doubt.
fn notes(wall: &WallReport) -> String {
    let mut lines = Vec::new();
    if !wall.is_as_ordered() {
        lines.push(format!("{} was {}", wall.wanted(), wall.whose()));
    }
    if let Some(reason) = wall.verdict.because() {
        lines.push(format!("because {reason}"));
    }
    lines.extend(wall.remarks.iter().cloned());
    if let Some(fix) = wall.fix() {
        lines.push(format!("fix {fix}"));
    }
    for finding in wall.findings.iter().filter(|finding| finding.verdict == Verdict::Leaked) {
        let probe = finding.probe;
        lines.push(format!("{} {}: {}", probe.id, probe.title, evidence(finding)));
    }
    let blanks = " ".repeat(EVIDENCE);
    lines.iter().map(|line| folded(&blanks, &printable(line), EVIDENCE + 2)).collect()
}
