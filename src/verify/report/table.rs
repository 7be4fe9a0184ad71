//! The table: a row a wall, one line at the end. Words always; a mark and a colour on top.

use super::VerifyReport;
use super::marks::{arrow, dot, speaks_utf8, styled};
use super::wall::WallReport;
use crate::error::printable;
use crate::verify::verdict::Verdict;
use std::fmt::Write;

/// The first line: on what kernel, from what stage, under what name.
pub(super) fn title(report: &VerifyReport) -> String {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let dot = dot();
    match &report.nonce {
        Some(nonce) => format!(
            "rustic verify {dot} linux {kernel} {dot} stage: {} {dot} nonce {nonce}",
            report.stage.join(" ")
        ),
        None => format!("rustic verify {dot} linux {kernel}"),
    }
}

/// The widest that the crossing and what was seen may be: what is cut off `--why` tells. On a
/// terminal the row fits into a line, if that has room for the rest.
fn widest() -> usize {
    const WIDEST: usize = 40;
    const NARROWEST: usize = 12;
    const THE_REST: usize = 58;
    let columns = rustix::termios::tcgetwinsize(rustix::stdio::stdout())
        .map_or(0, |size| usize::from(size.ws_col));
    match columns {
        0 => WIDEST,
        columns => (columns.saturating_sub(THE_REST) / 2).clamp(NARROWEST, WIDEST),
    }
}

fn cut(text: &str, widest: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= widest {
        return text;
    }
    let dots = if speaks_utf8() { "…" } else { "..." };
    text.chars().take(widest - dots.chars().count()).collect::<String>() + dots
}

impl VerifyReport {
    /// The table and what follows from it.
    pub fn table(&self) -> String {
        let mut text = title(self) + "\n\n";
        // Where nothing was tried the reason is the same for all.
        let common = self
            .walls
            .first()
            .filter(|_| !self.was_tried())
            .and_then(|wall| wall.verdict.because());
        let widest = widest();
        let heads = [
            "wall",
            "verdict",
            "ordered",
            "tries",
            "crossing tried inside",
            "answer",
            "seen outside",
        ]
        .map(str::to_owned);
        let rows: Vec<[String; 7]> =
            std::iter::once(heads).chain(self.walls.iter().map(|wall| row(wall, widest))).collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..7).map(width).collect();
        for (number, row) in rows.iter().enumerate() {
            let mut line = String::from("  ");
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let blanks = " ".repeat(width - cell.chars().count());
                match (column, number.checked_sub(1).map(|wall| &self.walls[wall])) {
                    (1, Some(wall)) => {
                        line.push_str(&format!("{}{blanks}  ", styled(&wall.verdict)))
                    }
                    _ => line.push_str(&format!("{cell}{blanks}  ")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
            if let Some(wall) =
                number.checked_sub(1).map(|wall| &self.walls[wall]).filter(|_| common.is_none())
            {
                text.push_str(&notes(wall));
            }
        }
        if let Some(reason) = common {
            let _ = writeln!(text, "\n  Nothing could be tried: {}.", printable(reason));
        }
        if common.is_none() {
            let _ = write!(text, "\n{}", self.controls_told());
        } else {
            text.push('\n');
        }
        let _ = writeln!(text, "{} {}", arrow(), self.conclusion());
        text
    }
}

fn row(wall: &WallReport, widest: usize) -> [String; 7] {
    let tries = wall.findings.iter().filter(|finding| finding.attempt.answer.is_tried()).count();
    let [crossing, answer, outside] = match wall.decisive() {
        Some(finding) => {
            let attempt = &finding.attempt;
            [
                format!("{} {}", attempt.reply.call, attempt.reply.arg).trim_end().to_owned(),
                attempt.reply.shown(),
                attempt.outside.clone(),
            ]
        }
        None => ["-", "-", "-"].map(str::to_owned),
    };
    let word = format!("  {}", wall.verdict.word());
    let cells = [crossing, answer, outside].map(|cell| cut(&cell, widest));
    let [crossing, answer, outside] = cells;
    [
        wall.wall.name().into(),
        word,
        wall.ordered.word().into(),
        tries.to_string(),
        crossing,
        answer,
        outside,
    ]
}

/// What a row cannot hold: the further ways of a leak, the reason of a doubt.
fn notes(wall: &WallReport) -> String {
    let mut text = String::new();
    if let Some(reason) = wall.verdict.because() {
        let _ = writeln!(text, "          because {}", printable(reason));
    }
    for remark in &wall.remarks {
        let _ = writeln!(text, "          {}", printable(remark));
    }
    if let Some(fix) = wall.fix() {
        let _ = writeln!(text, "          fix  {fix}");
    }
    for finding in wall.findings.iter().filter(|finding| finding.verdict == Verdict::Leaked) {
        let attempt = &finding.attempt;
        let _ = writeln!(
            text,
            "          {} {}: {} {} {}; outside: {}",
            finding.probe.id,
            finding.probe.title,
            attempt.reply.call,
            printable(&attempt.reply.arg),
            attempt.reply.shown(),
            attempt.outside
        );
    }
    text
}
