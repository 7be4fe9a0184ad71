//! The table: a row a wall, one line at the end. Words always; a mark and a colour on top.

use super::{Report, WallReport};
use crate::error::printable;
use crate::verify::probes::catalogue;
use crate::verify::verdict::Verdict;
use crate::verify::wall::Wall;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

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
    let said = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|value| !value.is_empty());
    said.is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Where a conclusion follows.
pub(super) fn arrow() -> &'static str {
    if speaks_utf8() { "→" } else { "->" }
}

/// What separates, and what stands for nothing.
pub(super) fn dot() -> &'static str {
    if speaks_utf8() { "·" } else { "." }
}

/// The first line: on what kernel, from what stage, under what name.
pub(super) fn title(report: &Report) -> String {
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

/// A word with its mark and colour.
pub(super) fn styled(verdict: &Verdict) -> String {
    let Look { mark, style } = look(verdict);
    let word = if *verdict == Verdict::Leaked { "LEAKED" } else { verdict.word() };
    format!("{style}{mark} {word}{style:#}")
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

impl Report {
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

    pub(super) fn controls_told(&self) -> String {
        if self.nonce.is_none() {
            return String::new();
        }
        let (open, closed) = (self.controls.open, self.controls.closed);
        let mut text =
            format!("  Control: without walls {} of {} crossings succeed", open.crossed, open.of);
        match &self.controls.not_started {
            Some(reason) => text.push_str(&format!(
                "; with all walls nothing could be tried: {}",
                printable(reason)
            )),
            None => text.push_str(&format!(", with all walls {} of {}", closed.crossed, closed.of)),
        }
        // Rights over what a container's own user namespace owns, and what has no way there behind
        // every wall.
        match open.crossed.saturating_sub(closed.of) {
            missing if missing > 0 && self.controls.not_started.is_none() => {
                text.push_str(&format!(" ({missing} have nothing to try there)"));
            }
            _ => {}
        }
        text + ".\n"
    }

    /// The last line.
    pub fn conclusion(&self) -> String {
        let named = |wanted: fn(&&WallReport) -> bool| -> Vec<&'static str> {
            self.walls.iter().filter(wanted).map(|wall| wall.wall.name()).collect()
        };
        let wrong =
            named(|wall| !wall.is_as_ordered() && !matches!(wall.verdict, Verdict::Unknown(_)));
        let doubtful =
            named(|wall| !wall.is_as_ordered() && matches!(wall.verdict, Verdict::Unknown(_)));
        let doors: Vec<&str> = self.doors.iter().map(|door| door.name.as_str()).collect();
        let whose = if self.walls.iter().any(|wall| wall.expected.is_some()) {
            "expected"
        } else {
            "ordered"
        };
        let mut said = Vec::new();
        if !wrong.is_empty() {
            said.push(format!("Not as {whose}: {}.", wrong.join(", ")));
        }
        if !doubtful.is_empty() {
            said.push(format!("Unknown: {}.", doubtful.join(", ")));
        }
        if !self.doubts().is_empty() {
            said.push(format!("Nothing is known of {}.", self.doubts().join(", ")));
        }
        if let Some(reason) = self.controls.failed().filter(|_| self.was_tried()) {
            said.push(format!("A control failed: {reason}."));
        }
        let (tried, all) =
            (self.walls.iter().filter(|wall| wall.is_tried()).count(), Wall::ALL.len());
        let every = match (self.was_tried(), self.walls.len() == all) {
            (false, _) => "Nothing was tried.".into(),
            (true, true) => format!("Every wall is as {whose}."),
            (true, false) => format!("Every wall that was tried is as {whose}."),
        };
        if said.is_empty() {
            said.push(every);
        }
        let not_looked_at = named(|wall| {
            wall.expected.is_none()
                && wall.by_namespace == Verdict::Shared
                && matches!(wall.verdict, Verdict::Unknown(_))
        });
        if !not_looked_at.is_empty() && self.was_tried() {
            said.push(format!(
                "Not looked at, and not ordered to hold: {}.",
                not_looked_at.join(", ")
            ));
        }
        if tried < all && self.was_tried() {
            let were = if tried == 1 { "was" } else { "were" };
            said.push(format!("{tried} of {all} walls {were} tried."));
        }
        match doors.len() {
            0 => {}
            1 => said.push(format!("One door is open: {}.", doors.join(", "))),
            count => said.push(format!("{count} doors are open: {}.", doors.join(", "))),
        }
        said.join(" ")
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

/// The catalogue: what is tried, and what it touches.
pub fn list(walls: &[Wall]) -> String {
    let mut text = String::new();
    let mut line = |cells: [&str; 5]| {
        let [id, wall, direction, effect, title] = cells;
        let _ = writeln!(text, "{id:<11}  {wall:<8}  {direction:<9}  {effect:<10}  {title}");
    };
    line(["probe", "wall", "direction", "touches", "what is tried"]);
    for probe in catalogue().filter(|probe| walls.contains(&probe.wall)) {
        line([
            probe.id,
            probe.wall.name(),
            probe.direction.word(),
            probe.effect.word(),
            probe.title,
        ]);
    }
    text + NOTES
}

const NOTES: &str = "
in-to-out   the inside changes something outside
out-to-in   something of the outside is seen inside
none        nothing is touched
stage       a throw-away host of new uts, ipc, net, mnt and time namespaces, which the verifier makes for itself
own-object  what the verifier makes on the host under a random name and removes: a cgroup, a file without a name, a key, a port of AF_VSOCK

The stage lies on an empty directory that is made in the folder for temporary files, and removed. The store of images is used as by run.
No probe sends a signal or sets a clock, and no packet leaves the machine. The one process that is traced is the verifier's own, and is not
stopped. Parameters of the kernel and disks are opened, and neither written nor read. A disk that the host has mounted is mounted once more. Numbers that are missing are no probes.
";
