//! The table: a row a wall, one line at the end. Words always; a mark and a colour on top.

use super::{Report, WallReport};
use crate::failure::printable;
use crate::verify::probes::{Direction, Effect, catalogue};
use crate::verify::verdict::Verdict;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// Wider cells are cut: the whole story is `--why`'s.
const WIDEST: usize = 40;

/// The mark, the colour of a verdict.
struct Look {
    mark: &'static str,
    style: Style,
}

fn look(verdict: &Verdict) -> Look {
    let (mark, plain, color) = match verdict {
        Verdict::Held => ("✔", "+", AnsiColor::Green),
        Verdict::Shared => ("◐", "~", AnsiColor::Yellow),
        Verdict::Leaked => ("✖", "!", AnsiColor::Red),
        Verdict::Unknown(_) => ("?", "?", AnsiColor::Magenta),
        Verdict::Untried(_) => ("-", "-", AnsiColor::White),
    };
    Look { mark: if speaks_utf8() { mark } else { plain }, style: color.on_default() }
}

/// Whether the locale has more than ASCII, locale(7); where nothing is said, it has.
fn speaks_utf8() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    said.is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Where a conclusion follows.
pub(super) fn arrow() -> &'static str {
    if speaks_utf8() { "→" } else { "->" }
}

/// The first line: on what kernel, from what stage, under what name.
pub(super) fn title(report: &Report) -> String {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let dot = if speaks_utf8() { "·" } else { "-" };
    match &report.nonce {
        Some(nonce) => format!("rustic verify {dot} linux {kernel} {dot} stage: {} {dot} nonce {nonce}", report.stage.join(" ")),
        None => format!("rustic verify {dot} linux {kernel}"),
    }
}

/// A word with its mark and colour.
pub(super) fn styled(verdict: &Verdict) -> String {
    let Look { mark, style } = look(verdict);
    let word = if *verdict == Verdict::Leaked { "LEAKED" } else { verdict.word() };
    format!("{style}{mark} {word}{style:#}")
}

fn cut(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= WIDEST { text } else { text.chars().take(WIDEST - 1).chain(['…']).collect() }
}

impl Report {
    /// The table and what follows from it.
    pub fn table(&self) -> String {
        let mut text = title(self) + "\n\n";
        // Where nothing was tried the reason is the same for all.
        let tried = self.walls.iter().any(|wall| !wall.findings.is_empty());
        let common = self.walls.first().filter(|_| !tried).and_then(|wall| wall.verdict.because());
        let heads = ["wall", "verdict", "ordered", "tries", "crossing tried inside", "answer", "seen outside"].map(str::to_owned);
        let rows: Vec<[String; 7]> = std::iter::once(heads).chain(self.walls.iter().map(row)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..7).map(width).collect();
        for (number, row) in rows.iter().enumerate() {
            let mut line = String::from("  ");
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let blanks = " ".repeat(width - cell.chars().count());
                match (column, number.checked_sub(1).map(|wall| &self.walls[wall])) {
                    (1, Some(wall)) => line.push_str(&format!("{}{blanks}  ", styled(&wall.verdict))),
                    _ => line.push_str(&format!("{cell}{blanks}  ")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
            if let Some(wall) = number.checked_sub(1).map(|wall| &self.walls[wall]).filter(|_| common.is_none()) {
                text.push_str(&notes(wall));
            }
        }
        if let Some(reason) = common {
            let _ = writeln!(text, "\n  Nothing could be tried: {}.", printable(reason));
        }
        let _ = write!(text, "\n{}", self.controls_told());
        let _ = writeln!(text, "{} {}", arrow(), self.conclusion());
        text
    }

    pub(super) fn controls_told(&self) -> String {
        if self.nonce.is_none() {
            return String::new();
        }
        let (open, closed) = (self.controls.open, self.controls.closed);
        let with_all = match &self.controls.not_started {
            Some(reason) => format!("with all walls there was nothing to try: {reason}"),
            None => format!("with all walls {} of {}", closed.crossed, closed.of),
        };
        format!("  Control: without walls {} of {} crossings succeed, {with_all}.\n", open.crossed, open.of)
    }

    /// The last line.
    pub fn conclusion(&self) -> String {
        let named = |wanted: fn(&&WallReport) -> bool| -> Vec<&'static str> {
            self.walls.iter().filter(wanted).map(|wall| wall.wall.name()).collect()
        };
        let wrong = named(|wall| !wall.is_as_ordered() && !matches!(wall.verdict, Verdict::Unknown(_)));
        let unknown = named(|wall| matches!(wall.verdict, Verdict::Unknown(_)));
        let doors = named(|wall| wall.verdict == Verdict::Shared && wall.is_as_ordered());
        let mut said = Vec::new();
        if !wrong.is_empty() {
            said.push(format!("Not as ordered: {}.", wrong.join(", ")));
        }
        if !unknown.is_empty() {
            said.push(format!("Unknown: {}.", unknown.join(", ")));
        }
        if let Some(reason) = self.controls.failed().filter(|_| self.nonce.is_some()) {
            said.push(format!("A control failed: {reason}."));
        }
        if said.is_empty() {
            said.push("Every wall is as ordered.".into());
        }
        match doors.len() {
            0 => {}
            1 => said.push(format!("One door is open: {}.", doors.join(", "))),
            count => said.push(format!("{count} doors are open: {}.", doors.join(", "))),
        }
        said.join(" ")
    }
}

fn row(wall: &WallReport) -> [String; 7] {
    let tries = wall.findings.iter().filter(|finding| !matches!(finding.verdict, Verdict::Untried(_))).count();
    let [crossing, answer, outside] = match wall.decisive() {
        Some(finding) => {
            let attempt = &finding.attempt;
            [format!("{} {}", attempt.reply.call, attempt.reply.arg).trim_end().to_owned(), attempt.reply.shown(), attempt.outside.clone()]
        }
        None => ["-", "-", "-"].map(str::to_owned),
    };
    let word = format!("  {}", wall.verdict.word());
    [wall.wall.name().into(), word, wall.ordered.word().into(), tries.to_string(), cut(&crossing), cut(&answer), cut(&outside)]
}

/// What a row cannot hold: the further ways of a leak, the reason of a doubt.
fn notes(wall: &WallReport) -> String {
    let mut text = String::new();
    if let Some(reason) = wall.verdict.because() {
        let _ = writeln!(text, "          because {}", printable(reason));
    }
    if let Some(remark) = wall.remark {
        let _ = writeln!(text, "          {remark}");
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

/// The catalogue: what is tried, and what it touches.
pub fn list() -> String {
    let mut text = String::new();
    for probe in catalogue() {
        let _ = writeln!(
            text,
            "{:<11}  {:<8}  {:<9}  {:<10}  {}",
            probe.id,
            probe.wall.name(),
            probe.direction.word(),
            probe.effect.word(),
            probe.title
        );
    }
    let lines = [
        format!(
            "\n{}: the inside changes something outside. {}: something of the outside is seen inside.",
            Direction::Out.word(),
            Direction::In.word()
        ),
        format!(
            "What each touches: {} nothing; the {}, a throw-away host of new uts, ipc, net, mount and time namespaces; or an {}",
            Effect::None.word(),
            Effect::Stage.word(),
            Effect::OwnObject.word()
        ),
        "that the verifier makes on the host under a random name and removes: a cgroup, a file without a name, a key.".to_owned(),
        "No probe sends a signal, attaches to a process, or sets a clock; no packet leaves the machine.".to_owned(),
    ];
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    text
}
