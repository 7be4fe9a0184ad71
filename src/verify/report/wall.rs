//! What was found of one wall.

use crate::sys;
use crate::verify::attempt::Try;
use crate::verify::probe::Probe;
use crate::verify::sides::Sides;
use crate::verify::verdict::{Control, Receipt, Verdict};
use crate::verify::wall::Wall;

/// What was found of one wall.
pub struct WallReport {
    /// The wall.
    pub wall: Wall,
    /// What was ordered: held, or shared by its namespace or a door; `None` where it may be as it
    /// is.
    pub ordered: Option<Verdict>,
    /// Whether it is to hold as far as its namespace says, doors apart.
    pub to_hold: bool,
    /// What is expected of it in place of that, `--expect`.
    pub expected: Option<&'static str>,
    /// What is true.
    pub verdict: Verdict,
    /// The namespace's two sides.
    pub sides: Option<NamespaceIds>,
    /// Probe by probe.
    pub findings: Vec<Finding>,
    /// The doors that something came through.
    pub doors: Vec<String>,
    /// What a reader must know besides.
    pub remarks: Vec<String>,
}

/// What one probe has found.
pub struct Finding {
    /// The probe.
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
pub struct NamespaceIds {
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

impl NamespaceIds {
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

impl WallReport {
    /// A wall that nothing is known of.
    pub fn untried(wall: Wall, ordered: Option<Verdict>, reason: &str) -> Self {
        let verdict = Verdict::Unknown(reason.to_owned());
        Self {
            wall,
            to_hold: ordered == Some(Verdict::Held),
            ordered,
            expected: None,
            verdict,
            sides: None,
            findings: Vec::new(),
            doors: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Whether it is as ordered, or as expected where that was said. Of a wall that is shared by
    /// order nothing has to be known; one that nothing was ordered of may be anything, but a
    /// namespace that is there must hold.
    pub fn is_as_ordered(&self) -> bool {
        match (self.expected, &self.ordered, &self.verdict) {
            (Some(word), _, verdict) => verdict.word() == word,
            (None, None, Verdict::Leaked) => self.wall.namespace().is_none(),
            (None, None, _) => true,
            (None, Some(ordered), Verdict::Unknown(_)) => *ordered == Verdict::Shared,
            (None, Some(ordered), verdict) => verdict == ordered,
        }
    }

    /// Whether anything was tried of it.
    pub fn is_tried(&self) -> bool {
        self.findings.iter().any(|finding| finding.attempt.answer.is_tried())
    }

    /// How to mend it, where a crossing works that was not ordered.
    pub fn fix(&self) -> Option<&'static str> {
        let open = matches!(self.verdict, Verdict::Leaked | Verdict::Shared);
        (open && self.ordered == Some(Verdict::Held)).then(|| self.wall.fix())
    }

    /// What it was to be.
    pub fn wanted(&self) -> &'static str {
        self.expected.unwrap_or(self.ordered.as_ref().map_or("held", Verdict::word))
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
