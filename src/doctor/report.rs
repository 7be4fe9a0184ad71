//! What the doctor says: lines for people, or one JSON object.

use super::diagnosis::Diagnosis;
use super::lack::{Checked, Lack};
use crate::host::Host;
use crate::own_name;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// People: lines of at most 80 columns.
    Text,
    /// Programs: one JSON object.
    Json,
}

const COLUMNS: usize = 80;

impl Diagnosis {
    /// The whole text, with its last line end.
    pub fn text(&self, form: Form, host: &Host) -> String {
        match form {
            Form::Text => self.lines(host),
            Form::Json => format!("{}\n", self.json(host)),
        }
    }

    fn lines(&self, host: &Host) -> String {
        let who = if host.uid == 0 { "root" } else { "a plain user" };
        let place = match &self.around.container {
            Some(container) => format!("in a container of {container}"),
            None => "in no container that is known".to_owned(),
        };
        let mut text = format!("rustic doctor: Linux {}, {who}, {place}\n\n", self.around.kernel);
        for Checked { name, lack } in &self.checks {
            let verdict = if lack.is_some() { "lacks" } else { "works" };
            let _ = writeln!(text, "  {verdict}  {name}");
            if let Some(Lack { what, why, remedy, man }) = lack {
                folded(&mut text, "", what);
                for (label, said) in [("why ", why), ("try ", remedy), ("man ", man)] {
                    said.iter().for_each(|said| folded(&mut text, label, &own_name::within(said)));
                }
            }
        }
        for note in &self.around.notes {
            let _ = writeln!(text, "  note   {note}");
        }
        if !self.options.is_empty() {
            text.push_str("\nOptions of the launcher around rustic that would help:\n");
            self.options.iter().for_each(|option| {
                let _ = writeln!(text, "  {option}");
            });
        }
        let lacking = self.checks.iter().filter(|check| check.lack.is_some()).count();
        let _ = writeln!(
            text,
            "\n{} of {} work here, each tried by a start of rustic's own.",
            self.checks.len() - lacking,
            self.checks.len()
        );
        text
    }

    fn json(&self, host: &Host) -> Value {
        let check = |Checked { name, lack }: &Checked| match lack {
            None => json!({ "name": name, "works": true }),
            Some(Lack { what, why, remedy, man }) => json!({
                "name": name, "works": false, "what": what, "why": why, "try": remedy, "man": man
            }),
        };
        json!({
            "kernel": self.around.kernel,
            "root": host.uid == 0,
            "container": self.around.container,
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
            "notes": self.around.notes,
            "options": self.options,
        })
    }
}

/// A text below a check, its further lines below its first.
fn folded(text: &mut String, label: &str, said: &str) {
    let first = format!("         {label}");
    let rest = " ".repeat(first.chars().count());
    let options = textwrap::Options::new(COLUMNS)
        .initial_indent(&first)
        .subsequent_indent(&rest)
        .break_words(false);
    let _ = writeln!(text, "{}", textwrap::fill(said, options));
}
