//! What was found, as data: for the table, for `--why`, for JSON; and what follows from all walls
//! together.

mod flip;
mod json;
mod table;
mod why;

pub use table::list;

use crate::error::Failure;
use crate::exit::Exit;
use crate::namespace::Namespaces;
use crate::spec::Door;
use crate::sys;
use crate::verify::Order;
use crate::verify::probes::{Probe, Try};
use crate::verify::remarks::Remarks;
use crate::verify::stage::Stage;
use crate::verify::target::Sides;
use crate::verify::verdict::{Control, Receipt, Verdict};
use crate::verify::wall::Wall;
use rustix::process::geteuid;
use rustix::system::uname;
use std::ffi::OsString;
use std::time::SystemTime;

/// What was found of one container.
pub struct Report {
    /// Stands in every name that was used; `None` where nothing was tried.
    pub nonce: Option<String>,
    /// The host's name and who called, when.
    pub caller: Caller,
    /// The namespaces of the stage, by their names.
    pub stage: Vec<&'static str>,
    /// The command line that was verified.
    pub argv: Vec<OsString>,
    /// The process inside, as the verifier's pid namespace numbers it.
    pub pid: Option<i32>,
    /// What the controls have shown.
    pub controls: Controls,
    /// Wall by wall.
    pub walls: Vec<WallReport>,
    /// What was ordered and opens a wall.
    pub doors: Vec<Door>,
    /// What is seen of the host besides.
    pub besides: Remarks,
}

/// Who verifies, where and when.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The host's name.
    pub host: String,
    /// The user id.
    pub uid: u32,
    /// Seconds since 1970, UTC.
    pub time: u64,
}

impl Caller {
    /// This process, now.
    pub fn here() -> Self {
        let time = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Self {
            host: uname().nodename().to_string_lossy().into_owned(),
            uid: geteuid().as_raw(),
            time,
        }
    }
}

/// What was found of one wall.
pub struct WallReport {
    /// Which.
    pub wall: Wall,
    /// What was ordered: held, or shared by its namespace or a door.
    pub ordered: Verdict,
    /// What its namespace says alone.
    pub by_namespace: Verdict,
    /// What is expected of it in place of that, `--expect`.
    pub expected: Option<&'static str>,
    /// What is true.
    pub verdict: Verdict,
    /// The namespace's two sides.
    pub sides: Option<Identity>,
    /// Probe by probe.
    pub findings: Vec<Finding>,
    /// The doors that something came through.
    pub doors: Vec<String>,
    /// What a reader must know besides.
    pub remarks: Vec<String>,
}

/// What one probe has found.
pub struct Finding {
    /// Which.
    pub probe: &'static Probe,
    /// What came of it.
    pub attempt: Try,
    /// What the same crossing did without a wall.
    pub control: Control,
    /// What it did with all walls; `None` where it was not tried there.
    pub closed: Option<Receipt>,
    /// What follows.
    pub verdict: Verdict,
    /// How long it took.
    pub nanoseconds: u64,
}

/// A namespace on both sides.
pub struct Identity {
    /// The inode number on nsfs, and the number that is never used anew (Linux 6.18).
    pub outside: (u64, Option<u64>),
    /// The same inside.
    pub inside: (u64, Option<u64>),
    /// Whether they are one.
    pub same: Same,
}

/// Whether two sides are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// They are.
    Yes,
    /// They are not.
    No,
}

impl Identity {
    /// Reads it, while both are held open.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn of(sides: &Sides) -> rustix::io::Result<Self> {
        let [outside, inside] = sides.files()?;
        let id = |fd| sys::namespace_id(fd).ok();
        Ok(Self {
            outside: (outside.1, id(&sides.outside)),
            inside: (inside.1, id(&sides.inside)),
            same: if outside == inside { Same::Yes } else { Same::No },
        })
    }
}

/// How many of the crossings that were tried have crossed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// These.
    pub crossed: usize,
    /// Of these.
    pub of: usize,
}

impl FromIterator<bool> for Tally {
    fn from_iter<T: IntoIterator<Item = bool>>(crossed: T) -> Self {
        crossed.into_iter().fold(Self::default(), |tally, crossed| Self {
            crossed: tally.crossed + usize::from(crossed),
            of: tally.of + 1,
        })
    }
}

/// What the controls have shown.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    /// Without walls: all must cross.
    pub open: Tally,
    /// With all walls: none may.
    pub closed: Tally,
    /// What was not tried, because what it was to reach could not be set up.
    pub unplanted: usize,
    /// Why the container with all walls could not be started.
    pub not_started: Option<String>,
}

impl Controls {
    /// What has gone wrong with them.
    pub fn failed(&self) -> Option<String> {
        let (open, closed) = (self.open, self.closed);
        if open.crossed < open.of {
            Some(format!("without walls only {} of {} crossings succeed", open.crossed, open.of))
        } else if closed.crossed > 0 {
            Some(format!("with all walls {} of {} crossings succeed", closed.crossed, closed.of))
        } else if self.unplanted > 0 {
            Some(format!("{} crossings could not be set up", self.unplanted))
        } else {
            self.not_started.as_ref().map(|reason| {
                format!("the container with all walls could not be started: {reason}")
            })
        }
    }
}

impl WallReport {
    /// A wall that nothing is known of.
    pub fn untried(wall: Wall, namespaces: &Namespaces, reason: &str) -> Self {
        let verdict = Verdict::Unknown(reason.to_owned());
        Self {
            wall,
            ordered: ordered(wall, namespaces),
            by_namespace: ordered(wall, namespaces),
            expected: None,
            verdict,
            sides: None,
            findings: Vec::new(),
            doors: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Whether it is as ordered, or as expected where that was said. Of a wall that is shared by
    /// order nothing has to be known.
    pub fn is_as_ordered(&self) -> bool {
        match (self.expected, &self.verdict) {
            (Some(word), verdict) => verdict.word() == word,
            (None, Verdict::Unknown(_)) => self.ordered == Verdict::Shared,
            (None, verdict) => *verdict == self.ordered,
        }
    }

    /// Whether anything was tried of it.
    pub fn is_tried(&self) -> bool {
        self.findings.iter().any(|finding| finding.attempt.answer.is_tried())
    }

    /// How to mend it, where a crossing works that was not ordered.
    pub fn fix(&self) -> Option<&'static str> {
        let open = matches!(self.verdict, Verdict::Leaked | Verdict::Shared);
        (open && self.ordered == Verdict::Held).then(|| self.wall.fix())
    }

    /// What it was to be.
    pub fn wanted(&self) -> &'static str {
        self.expected.unwrap_or(self.ordered.word())
    }

    /// Who says so.
    pub fn whose(&self) -> &'static str {
        if self.expected.is_some() { "expected" } else { "ordered" }
    }

    /// The finding that decides: the first with the wall's own verdict; of a door the first that
    /// something came through.
    pub fn decisive(&self) -> Option<&Finding> {
        let mut own = self.findings.iter().filter(|finding| finding.verdict == self.verdict);
        let arrived = own.clone().find(|finding| finding.attempt.receipt != Receipt::Absent);
        arrived.or_else(|| own.next()).or(self.findings.first())
    }
}

impl Report {
    /// Puts it together.
    pub fn new(
        stage: &Stage,
        controls: Controls,
        argv: Vec<OsString>,
        pid: Option<i32>,
        walls: Vec<WallReport>,
    ) -> Self {
        let names = stage.namespaces.iter().map(|namespace| namespace.proc_entry()).collect();
        Self {
            nonce: Some(stage.nonce.clone()),
            caller: stage.caller.clone(),
            stage: names,
            argv,
            pid,
            controls,
            walls,
            doors: Vec::new(),
            besides: Remarks::default(),
        }
    }

    /// Where nothing can be tried, nothing is known.
    pub fn untried(order: &Order, namespaces: &Namespaces, failure: &Failure) -> Self {
        let reason = failure.in_a_line();
        let walls = order
            .walls
            .iter()
            .map(|&wall| WallReport::untried(wall, namespaces, &reason))
            .collect();
        Self {
            nonce: None,
            caller: Caller::here(),
            stage: Vec::new(),
            argv: Vec::new(),
            pid: None,
            controls: Controls::default(),
            walls,
            doors: Vec::new(),
            besides: Remarks::default(),
        }
    }

    /// Whether anything was tried at all.
    pub fn was_tried(&self) -> bool {
        self.walls.iter().any(WallReport::is_tried)
    }

    /// How many walls have this verdict.
    pub fn count(&self, word: &str) -> usize {
        self.walls.iter().filter(|wall| wall.verdict.word() == word).count()
    }

    /// The probes that nothing is known of behind a wall whose verdict others decide, and which no
    /// namespace shares: a door says nothing of the other ways.
    pub fn doubts(&self) -> Vec<&'static str> {
        let decided = self.walls.iter().filter(|wall| {
            wall.by_namespace == Verdict::Held && !matches!(wall.verdict, Verdict::Unknown(_))
        });
        let doubts = decided
            .flat_map(|wall| &wall.findings)
            .filter(|finding| matches!(finding.verdict, Verdict::Unknown(_)));
        doubts.map(|finding| finding.probe.id).collect()
    }

    /// 0 as ordered, 1 not, 3 inconclusive.
    pub fn exit(&self) -> Exit {
        let unknown = |wall: &&WallReport| matches!(wall.verdict, Verdict::Unknown(_));
        let wrong = self.walls.iter().filter(|wall| !wall.is_as_ordered());
        if wrong.clone().any(|wall| !unknown(&wall)) {
            Exit::NotAsOrdered
        } else if wrong.count() > 0
            || !self.was_tried()
            || self.controls.failed().is_some()
            || !self.doubts().is_empty()
        {
            Exit::Inconclusive
        } else {
            Exit::Command(0)
        }
    }
}

/// What is ordered of a wall: the eight as their options say, the others always.
pub fn ordered(wall: Wall, namespaces: &Namespaces) -> Verdict {
    match wall.namespace() {
        Some(namespace) if !namespaces.is_new(namespace) => Verdict::Shared,
        _ => Verdict::Held,
    }
}
