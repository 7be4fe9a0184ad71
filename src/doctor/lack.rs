//! A check and what lacks, in the words of `run`.

/// A check, and how it went.
pub(super) struct Checked {
    /// What was tried.
    pub(super) name: &'static str,
    /// What it said, where it failed.
    pub(super) lack: Option<Lack>,
}

/// Why something cannot be had here, in the words of `run`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) what: String,
    pub(super) why: Option<String>,
    pub(super) remedy: Option<String>,
    pub(super) man: Option<String>,
}

impl Lack {
    /// Of what `run` has written; of how it ended, where it wrote nothing.
    pub(super) fn of(said: &str, ended: &str) -> Self {
        let line = |label: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(label));
            found.map(|text| text.trim().to_owned())
        };
        let last = said.lines().rev().find(|line| {
            !line.starts_with(' ') && line.contains(": ") && !line.contains(": warning: ")
        });
        let what = last.and_then(|line| line.split_once(": ")).map(|(_, what)| what);
        Self {
            what: what.unwrap_or(ended).to_owned(),
            why: line("  why "),
            remedy: line("  try "),
            man: line("  man "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_run_says_is_taken_apart() {
        let said = "rustic: warning: something\nrustic: cannot mount proc: EPERM (No)\n  why   a: \
                    b\n  try   --pid no\n  man   proc(5)\n";
        let text = |text: &str| Some(text.to_owned());
        let (what, why) = ("cannot mount proc: EPERM (No)".to_owned(), text("a: b"));
        let whole = Lack { what, why, remedy: text("--pid no"), man: text("proc(5)") };
        assert_eq!(Lack::of(said, ""), whole);
        let silent = Lack { what: "signal: 9 (SIGKILL)".into(), ..Lack::default() };
        assert_eq!(Lack::of("", "signal: 9 (SIGKILL)"), silent);
    }
}
