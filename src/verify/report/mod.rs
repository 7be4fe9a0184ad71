//! What was found, as data: for the table, for `--why`, for JSON; and what follows from all walls
//! together.

pub mod annotations;
pub mod catalogue;
mod conclusion;
pub mod controls;
mod flip;
mod fold;
pub mod json;
pub mod junit;
pub mod launchers;
pub mod markdown;
mod marks;
pub mod parts;
mod table;
pub mod wall;
mod why;

use crate::error::printable;
use crate::exit::Exit;
use crate::spec::Door;
use crate::verify::caller::Caller;
use crate::verify::judged::Subject;
use crate::verify::options::VerifyOptions;
use crate::verify::remarks::Remarks;
use crate::verify::stage::Stage;
use crate::verify::verdict::Verdict;
use crate::verify::wall::Wall;
use controls::Controls;
use wall::WallReport;

/// What was found of one container.
pub struct VerifyReport {
    /// Stands in every name that was used; `None` where nothing was tried.
    pub nonce: Option<String>,
    /// The host's name and who called, when.
    pub caller: Caller,
    /// The namespaces of the stage, by their names.
    pub stage: Vec<&'static str>,
    /// What was verified.
    pub subject: Subject,
    /// What came besides the messages of its probe.
    pub chatter: Vec<String>,
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

impl VerifyReport {
    /// Puts it together.
    pub fn new(
        stage: &Stage,
        controls: Controls,
        subject: Subject,
        walls: Vec<WallReport>,
    ) -> Self {
        let names = stage.namespaces.iter().map(|namespace| namespace.proc_entry()).collect();
        Self {
            nonce: Some(stage.nonce.clone()),
            caller: stage.caller.clone(),
            stage: names,
            subject,
            chatter: Vec::new(),
            pid: None,
            controls,
            walls,
            doors: Vec::new(),
            besides: Remarks::default(),
        }
    }

    /// Where nothing can be tried, nothing is known. `ordered` is what was ordered of each wall.
    pub fn untried(
        order: &VerifyOptions,
        ordered: impl Fn(Wall) -> Option<Verdict>,
        subject: Subject,
        reason: &str,
    ) -> Self {
        let untried = |&wall: &Wall| WallReport {
            expected: order.expected(wall),
            ..WallReport::untried(wall, ordered(wall), reason)
        };
        Self {
            nonce: None,
            caller: Caller::here(),
            stage: Vec::new(),
            subject,
            chatter: Vec::new(),
            pid: None,
            controls: Controls::default(),
            walls: order.walls.iter().map(untried).collect(),
            doors: Vec::new(),
            besides: Remarks::default(),
        }
    }

    /// What is called so here: the launcher, or rustic.
    pub fn name(&self) -> String {
        match &self.subject {
            Subject::Launcher { name, .. } => name.clone(),
            Subject::Process(pid, _) => format!("process {pid}"),
            Subject::Container(_) => "rustic".into(),
        }
    }

    /// The same with something more that a reader must know.
    pub fn with_note(mut self, note: String) -> Self {
        match &mut self.subject {
            Subject::Launcher { notes, .. } | Subject::Process(_, notes) => notes.push(note),
            Subject::Container(_) => {}
        }
        self
    }

    /// How it was started, for a reader.
    pub fn command_line(&self) -> String {
        let words: Vec<_> = self.subject.argv().iter().map(|word| word.to_string_lossy()).collect();
        printable(&words.join(" "))
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
        let decided = self
            .walls
            .iter()
            .filter(|wall| wall.to_hold && !matches!(wall.verdict, Verdict::Unknown(_)));
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
