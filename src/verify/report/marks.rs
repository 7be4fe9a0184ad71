//! Marks and colours, on top of words.

use crate::verify::verdict::Verdict;
use anstyle::{AnsiColor, Style};

/// The mark, the colour of a verdict.
struct Mark {
    mark: &'static str,
    style: Style,
}

fn mark(verdict: &Verdict) -> Mark {
    let (mark, plain, color) = match verdict {
        Verdict::Held => ("✔", "+", AnsiColor::Green),
        Verdict::Shared => ("◐", "~", AnsiColor::Yellow),
        Verdict::Leaked => ("✖", "!", AnsiColor::Red),
        Verdict::Unknown(_) => ("?", "?", AnsiColor::Magenta),
        Verdict::Untried(_) => ("-", "-", AnsiColor::White),
    };
    Mark { mark: if speaks_utf8() { mark } else { plain }, style: color.on_default() }
}

/// Whether the locale has more than ASCII, locale(7); where nothing is said, it has.
pub(super) fn speaks_utf8() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|value| !value.is_empty());
    said.is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Where a conclusion follows.
pub(super) fn arrow() -> &'static str {
    if speaks_utf8() { "→" } else { "->" }
}

/// What separates, and what stands for nothing.
pub(super) fn dot() -> &'static str {
    if speaks_utf8() { "·" } else { "." }
}

/// The mark alone, with its colour.
pub(super) fn marked(verdict: &Verdict) -> String {
    let Mark { mark, style } = mark(verdict);
    format!("{style}{mark}{style:#}")
}

/// What the marks stand for.
pub(super) fn legend() -> String {
    let unknown = Verdict::Unknown(String::new());
    let all = [Verdict::Held, Verdict::Shared, Verdict::Leaked, unknown];
    all.map(|verdict| format!("{} {}", marked(&verdict), verdict.word())).join(", ")
}

/// A word with its mark and colour.
pub(super) fn styled(verdict: &Verdict) -> String {
    let Mark { mark, style } = mark(verdict);
    let word = if *verdict == Verdict::Leaked { "LEAKED" } else { verdict.word() };
    format!("{style}{mark} {word}{style:#}")
}
