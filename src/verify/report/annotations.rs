//! What GitHub's runner shows beside a job: a workflow command a wall that is not as it was to be.

use super::parts::{Outcome, Report, told};
use super::table::evidence;

/// A line each; none where everything is as ordered.
pub fn annotations(reports: &impl Report) -> String {
    let mut text = String::new();
    for part in reports.parts() {
        for wall in &part.report.walls {
            let kind = match Outcome::of(wall) {
                Outcome::Failed => "error",
                Outcome::Unknown => "warning",
                Outcome::Passed | Outcome::Skipped => continue,
            };
            let by = wall.decisive().map(|finding| format!(": {}", evidence(finding)));
            let said = format!("{}{}", told(wall), by.unwrap_or_default());
            let title = property(&format!("rustic verify {}", part.name));
            text.push_str(&format!("::{kind} title={title}::{}\n", data(&said)));
        }
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
