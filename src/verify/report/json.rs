//! The report as JSON: `schema/verify.json` says what it is. Members are added, never taken away or
//! given another meaning.

use super::VerifyReport;
use super::controls::Tally;
use super::wall::{Finding, NamespaceIds, Same, WallReport};
use crate::namespace::Switch;
use crate::spec::Door;
use crate::verify::judged::Subject;
use crate::verify::protocol::{Outcome, errno_name};
use crate::verify::verdict::{Control, Receipt, Verdict};
use serde_json::{Value, json};

/// How much of a report is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every probe.
    Whole,
    /// Of probes only those that something crosses by, or that nothing is known of.
    Brief,
}

impl VerifyReport {
    /// One JSON value.
    pub fn json(&self, detail: Detail) -> Value {
        let uname = rustix::system::uname();
        json!({
            "format": "rustic-verify",
            "version": 1,
            "rustic": env!("CARGO_PKG_VERSION"),
            "nonce": self.nonce,
            "kernel": {
                "release": uname.release().to_string_lossy(),
                "arch": uname.machine().to_string_lossy(),
            },
            "caller": {
                "host": self.caller.host,
                "uid": self.caller.uid,
                "time": self.caller.time,
            },
            "stage": self.stage,
            "target": self.target(),
            "summary": {
                "held": self.count("held"),
                "shared": self.count("shared"),
                "leaked": self.count("leaked"),
                "unknown": self.count("unknown"),
                "as_ordered": self.walls.iter().all(WallReport::is_as_ordered),
                "tried": self.walls.iter().filter(|wall| wall.is_tried()).count(),
                "exit": self.exit().code(),
            },
            "controls": {
                "open": tally(self.controls.open),
                "closed": tally(self.controls.closed),
                "unplanted": self.controls.unplanted,
                "failed": self.controls.failed(),
            },
            "doors": self
                .doors
                .iter()
                .map(door)
                .collect::<Vec<_>>(),
            "tells": self.besides.tells,
            "surface": { "asked": self.besides.asked, "answers": self.besides.surface },
            "walls": self.walls.iter().map(|one| wall(one, detail)).collect::<Vec<_>>(),
        })
    }
}

impl VerifyReport {
    fn target(&self) -> Value {
        let argv: Vec<_> = self.subject.argv().iter().map(|word| word.to_string_lossy()).collect();
        let (kind, name, notes) = match &self.subject {
            Subject::Container(_) => ("run", None, &[][..]),
            Subject::Process(_, notes) => ("process", None, notes.as_slice()),
            Subject::Launcher { name, notes, .. } => ("launcher", Some(name), notes.as_slice()),
        };
        let is_recipe = matches!(&self.subject, Subject::Launcher { recipe: true, .. });
        json!({
            "kind": kind,
            "argv": argv,
            "pid": self.pid,
            "name": name,
            "recipe": name.filter(|_| is_recipe),
            "notes": notes,
            "chatter": self.chatter,
        })
    }
}

fn door(door: &Door) -> Value {
    let files = door.opening.files();
    json!({
        "kind": door.opening.word(),
        "name": door.name,
        "what": door.what,
        "source": files.map(|files| files.source.to_string_lossy()),
        "target": files.map(|files| files.target.to_string_lossy()),
        "writable": files.map(|files| files.writable == Switch::Yes),
    })
}

fn tally(tally: Tally) -> Value {
    json!({ "crossed": tally.crossed, "of": tally.of })
}

fn wall(wall: &WallReport, detail: Detail) -> Value {
    let told = |finding: &&Finding| {
        detail == Detail::Whole || !matches!(finding.verdict, Verdict::Held | Verdict::Untried(_))
    };
    json!({
        "wall": wall.wall,
        "verdict": wall.verdict.word(),
        "ordered": wall.ordered.as_ref().map(Verdict::word),
        "expected": wall.expected,
        "ok": wall.is_as_ordered(),
        "because": wall.verdict.because(),
        "doors": wall.doors,
        "fix": wall.fix(),
        "remarks": wall.remarks,
        "identity": wall.sides.as_ref().map(identity),
        "probes": wall.findings.iter().filter(told).map(finding).collect::<Vec<_>>(),
    })
}

fn identity(identity: &NamespaceIds) -> Value {
    let side = |(ino, id): (u64, Option<u64>)| json!({ "ino": ino, "id": id });
    json!({
        "outside": side(identity.outside),
        "inside": side(identity.inside),
        "same": identity.same == Same::Yes,
    })
}

/// As much of what was brought back as says what it is.
fn start_of(data: &str) -> &str {
    const LONGEST: usize = 256;
    &data[..data.floor_char_boundary(LONGEST)]
}

fn finding(finding: &Finding) -> Value {
    let reply = &finding.attempt.reply;
    let (result, errno, data) = match &reply.outcome {
        Outcome::Done(result, data) => {
            (Some(*result), None, Some(start_of(data)).filter(|data| !data.is_empty()))
        }
        Outcome::Refused(errno) => (Some(-1), Some(errno_name(*errno)), None),
        Outcome::Untried(_) | Outcome::Killed(_) | Outcome::Silent => (None, None, None),
    };
    let control = match finding.control {
        Control::Crossed => "crossed",
        Control::Failed(_) => "failed",
        Control::Unplanted(_) => "unplanted",
        Control::Untried(_) => "untried",
    };
    let closed = finding.closed.map(|receipt| match receipt {
        Receipt::Absent => "stopped",
        Receipt::Arrived | Receipt::Admitted => "crossed",
    });
    json!({
        "id": finding.probe.id,
        "title": finding.probe.title,
        "direction": finding.probe.direction,
        "effect": finding.probe.effect,
        "inside": {
            "call": reply.call,
            "arg": reply.arg,
            "ret": result,
            "errno": errno,
            "data": data,
        },
        "outside": {
            "saw": finding.attempt.outside,
            "arrived": finding.attempt.receipt != Receipt::Absent,
        },
        "door": finding.attempt.door,
        "control": control,
        "closed": closed,
        "verdict": finding.verdict.word(),
        "because": finding.verdict.because(),
        "ns": finding.nanoseconds,
    })
}
