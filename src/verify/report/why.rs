//! The story of one wall.

use super::VerifyReport;
use super::fold::each_folded;
use super::marks::styled;
use super::wall::{Finding, Same, WallReport};
use crate::error::printable;
use crate::verify::protocol::Outcome;
use crate::verify::verdict::{Control, Receipt, Verdict};
use std::fmt::Write;

impl VerifyReport {
    /// Every probe of every wall that was tried: what was called, what was answered, what was seen.
    pub fn why(&self) -> String {
        let mut text = String::new();
        for wall in &self.walls {
            text.push_str(&each_folded(&story(wall)));
        }
        text.push_str(&self.controls_told());
        text
    }
}

fn story(wall: &WallReport) -> String {
    let as_ordered = match (wall.is_as_ordered(), &wall.verdict) {
        (true, _) => match wall.expected {
            Some(_) => "as expected".to_owned(),
            None => "as ordered".to_owned(),
        },
        (false, Verdict::Unknown(reason)) => format!("because {}", printable(reason)),
        (false, _) => format!("and {} was {}", wall.wanted(), wall.whose()),
    };
    let mut text = format!("{}  {}, {as_ordered}\n", wall.wall.name(), styled(&wall.verdict));
    let _ = writeln!(text, "  when it holds, {}: {}", wall.wall.about(), wall.wall.man());
    if let (Some(namespace), Some(sides)) = (wall.wall.namespace(), &wall.sides) {
        let entry = namespace.proc_entry();
        let same = match sides.same {
            Same::Yes => "the same",
            Same::No => "different",
        };
        let _ = writeln!(
            text,
            "  outside {entry}:[{}], inside {entry}:[{}]: {same}",
            sides.outside.0, sides.inside.0
        );
    }
    if let Some(fix) = wall.fix() {
        let _ = writeln!(text, "  fix: {fix}");
    }
    for remark in &wall.remarks {
        let _ = writeln!(text, "  {}", printable(remark));
    }
    for finding in &wall.findings {
        text.push_str(&found(finding));
    }
    text.push('\n');
    text
}

fn found(finding: &Finding) -> String {
    let reply = &finding.attempt.reply;
    let mut text = format!("\n  {}  {}\n", finding.probe.id, finding.probe.title);
    let mut line = |label: &str, said: &str| {
        let _ = writeln!(text, "    {label:<15}{}", printable(said));
    };
    if let Verdict::Untried(reason) = &finding.verdict {
        line("not tried", reason);
        return text;
    }
    line(
        "without walls",
        match &finding.control {
            Control::Crossed => "it crosses: the control",
            Control::Failed(reason) | Control::Unplanted(reason) | Control::Untried(reason) => {
                reason
            }
        },
    );
    match finding.closed {
        Some(Receipt::Arrived | Receipt::Admitted) => line("with all walls", "it crosses"),
        Some(Receipt::Absent) => line("with all walls", "it does not"),
        None => {}
    }
    let answer = match &reply.outcome {
        Outcome::Refused(errno) => {
            crate::error::errno_text(rustix::io::Errno::from_raw_os_error(*errno))
        }
        Outcome::Done(..) | Outcome::Untried(_) | Outcome::Killed(_) | Outcome::Silent => {
            reply.shown()
        }
    };
    line("inside", &format!("{}({}): {answer}", reply.call, reply.arg));
    line("outside", &finding.attempt.outside);
    if let Some(door) = &finding.attempt.door {
        line("by the door", door);
    }
    line(
        "verdict",
        &match finding.verdict.because() {
            Some(reason) => format!("{}, because {reason}", finding.verdict.word()),
            None => finding.verdict.word().to_owned(),
        },
    );
    text
}
