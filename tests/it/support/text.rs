//! What is read out of the text of a program.

use std::collections::BTreeMap;

/// The number behind these words in a text, such as the pid in "PID of child is 17".
pub(crate) fn number_after<T: std::str::FromStr>(text: &str, words: &str) -> Option<T> {
    let rest = &text[text.find(words)? + words.len()..];
    rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A text that was folded into lines, in one.
pub(crate) fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The calls in an output of `strace -f -o`, with the pid that made each: one that another process
/// interrupted is put together again.
pub(crate) fn traced(text: &str) -> Vec<(String, String)> {
    let mut begun = BTreeMap::<&str, &str>::new();
    let mut calls = Vec::new();
    for (pid, call) in text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(pid, call)| (pid, call.trim_start()))
    {
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            begun.insert(pid, start);
        } else if let Some((_, end)) =
            call.strip_prefix("<... ").and_then(|rest| rest.split_once("resumed>"))
        {
            calls.push((pid.to_owned(), format!("{}{end}", begun.remove(pid).unwrap_or_default())));
        } else {
            calls.push((pid.to_owned(), call.to_owned()));
        }
    }
    calls.extend(begun.into_iter().map(|(pid, start)| (pid.to_owned(), start.to_owned())));
    calls
}
