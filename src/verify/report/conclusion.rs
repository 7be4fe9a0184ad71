//! What follows from all walls together, in words.

use super::VerifyReport;
use super::fold::folded;
use super::wall::WallReport;
use crate::error::printable;
use crate::verify::verdict::Verdict;
use crate::verify::wall::Wall;

impl VerifyReport {
    /// What the controls have shown; nothing where there was no stage for them.
    pub(super) fn controls_told(&self) -> String {
        if self.nonce.is_none() {
            return String::new();
        }
        let (open, closed) = (self.controls.open, self.controls.closed);
        let mut text =
            format!("Control: without walls {} of {} crossings succeed", open.crossed, open.of);
        match &self.controls.not_started {
            Some(reason) => text.push_str(&format!(
                "; with all walls nothing could be tried: {}",
                printable(reason)
            )),
            None => text.push_str(&format!(", with all walls {} of {}", closed.crossed, closed.of)),
        }
        // Rights over what a container's own user namespace owns, and what has no way there behind
        // every wall.
        let missing = open.crossed.saturating_sub(closed.of);
        if missing > 0 && self.controls.not_started.is_none() {
            text.push_str(&format!(" ({missing} have nothing to try there)"));
        }
        folded("  ", &(text + "."), 2)
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
            wall.expected.is_none() && !wall.to_hold && matches!(wall.verdict, Verdict::Unknown(_))
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
