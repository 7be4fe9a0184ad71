//! What runs in a machine, and what must come of it.

use super::machine::Machine;
use crate::support::Ran;

/// A script, and what must come of it.
pub(super) struct Case {
    script: String,
    code: i32,
    words: Vec<String>,
    forbidden: Option<&'static str>,
}

impl Case {
    /// It ends with this code, and each of these words is in what it says.
    pub(super) fn new(script: impl Into<String>, code: i32, words: &[&str]) -> Self {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        Self { script: script.into(), code, words, forbidden: None }
    }

    /// This is not in what it says.
    pub(super) fn but_not(mut self, word: &'static str) -> Self {
        self.forbidden = Some(word);
        self
    }

    /// The container runs.
    pub(super) fn runs(options: &str) -> Self {
        Self::new(format!("{options} echo it runs inside"), 0, &["it runs inside"])
    }

    /// rustic refuses it in one message, with these words.
    pub(super) fn refused(script: impl Into<String>, words: &[&str]) -> Self {
        let mut case = Self::new(script, 125, words);
        case.words.push("rustic: ".into());
        case
    }

    fn fails(&self, ran: &Ran) -> Option<String> {
        // Where a line ends depends on the width of a table.
        let all = format!("{}\n{}", ran.stdout, ran.stderr);
        let unfolded = all.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_there = |word: &&String| {
            all.contains(word.as_str())
                || (!word.contains('\n') && unfolded.contains(word.as_str()))
        };
        let missing = self.words.iter().find(|word| !is_there(word));
        let told = format!("{}\nended with {}, and said:\n{all}", self.script, ran.code);
        if let Some(word) = self.forbidden.filter(|word| all.contains(word)) {
            return Some(format!("'{word}' is there: {told}"));
        }
        match (ran.code == self.code, missing) {
            (true, None) => None,
            (false, _) => Some(format!("not {}: {told}", self.code)),
            (true, Some(word)) => Some(format!("'{word}' is missing: {told}")),
        }
    }
}

/// Boots a machine once for all of them. Every one that fails is told.
#[track_caller]
pub(super) fn hold(machine: Machine, cases: &[Case]) {
    let scripts: Vec<&String> = cases.iter().map(|case| &case.script).collect();
    let ran = machine.boots(&scripts);
    let failed: Vec<String> =
        cases.iter().zip(&ran).filter_map(|(case, ran)| case.fails(ran)).collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n\n"));
}
