//! Markdown, for the summary of a CI job or a page: a table of walls, and the story of each folded
//! away below it.

use super::parts::{Part, Report, told};
use super::table::evidence;
use super::wall::WallReport;
use crate::verify::verdict::Verdict;
use std::fmt::Write;

/// The text of a file of that form.
pub fn markdown(reports: &impl Report) -> String {
    let parts = reports.parts();
    let mut text = String::from("# rustic verify\n\n");
    if parts.len() > 1 {
        text.push_str(&overview(&parts));
    }
    for part in &parts {
        text.push_str(&of_part(part));
    }
    text
}

/// A row a container, a column a wall.
fn overview(parts: &[Part<'_>]) -> String {
    let Some(first) = parts.first() else { return String::new() };
    let walls = || first.report.walls.iter();
    let names: String = walls().map(|wall| format!(" {} |", wall.wall.name())).collect();
    let lines: String = walls().map(|_| " --- |").collect();
    let mut text = format!("| |{names}\n| --- |{lines}\n");
    for part in parts {
        let cells: String =
            part.report.walls.iter().map(|wall| format!(" {} |", cell(wall))).collect();
        let _ = writeln!(text, "| **{}** |{cells}", escaped(&part.name));
    }
    text + "\n✔ held, ◐ shared, ✖ leaked, ? unknown; in brackets: not ordered\n\n"
}

fn mark(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "✔",
        Verdict::Shared => "◐",
        Verdict::Leaked => "✖",
        Verdict::Unknown(_) | Verdict::Untried(_) => "?",
    }
}

fn cell(wall: &WallReport) -> String {
    let mark = mark(&wall.verdict);
    if wall.ordered.is_none() { format!("({mark})") } else { mark.to_owned() }
}

fn of_part(part: &Part<'_>) -> String {
    let report = part.report;
    let mut text = format!("## {}\n\n", escaped(&part.name));
    let argv = report.command_line();
    if !argv.is_empty() {
        let _ = writeln!(text, "{}\n", code(&argv));
    }
    text.push_str("| wall | verdict | tried inside → its answer; seen outside |\n");
    text.push_str("| --- | --- | --- |\n");
    for wall in &report.walls {
        let said = match wall.decisive() {
            Some(finding) => evidence(finding),
            None => wall.verdict.because().unwrap_or("-").to_owned(),
        };
        let (mark, word) = (mark(&wall.verdict), wall.verdict.word());
        let verdict = if wall.is_as_ordered() {
            format!("{mark} {word}")
        } else {
            format!("**{mark} {word}**, {} was {}", wall.wanted(), wall.whose())
        };
        let _ = writeln!(text, "| {} | {verdict} | {} |", wall.wall.name(), code(&said));
    }
    text.push('\n');
    text.push_str(&escaped(&report.conclusion()));
    text.push_str("\n\n");
    for wall in report.walls.iter().filter(|wall| !wall.findings.is_empty()) {
        text.push_str(&story(wall));
    }
    text
}

/// Every probe of a wall, folded away.
fn story(wall: &WallReport) -> String {
    let mut text = format!("<details><summary>{}</summary>\n\n", escaped(&told(wall)));
    for finding in &wall.findings {
        let said = match finding.verdict.because() {
            Some(reason) => escaped(reason),
            None => code(&evidence(finding)),
        };
        let (probe, word) = (finding.probe, finding.verdict.word());
        let _ = writeln!(text, "- {} {}: **{word}**, {said}", probe.id, escaped(probe.title));
    }
    text + "\n</details>\n\n"
}

/// Text that is shown as it is.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => shown.extend(['\\', c]),
            _ => shown.push(c),
        }
    }
    shown
}

/// The same as what a machine has said. HTML, since the sign of a column cannot stand in a span of
/// Markdown's own.
fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_found_is_taken_for_markdown() {
        assert_eq!(escaped("a|b <c> `d` *e* \\f"), "a\\|b &lt;c&gt; \\`d\\` \\*e\\* \\\\f");
    }
}
