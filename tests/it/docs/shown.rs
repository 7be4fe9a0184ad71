//! What a page shows beside what came. What changes from start to start is masked on both sides, and
//! how lines are folded is nobody's business.

use regex_lite::Regex;

/// What changes, and what stands for it.
const CHANGING: [(&str, &str); 14] = [
    (r"rustic\.[a-z2-7]{8,26}", "rustic.RANDOM"),
    (r"stage-[a-z2-7]{12}", "stage-RANDOM"),
    (r"nonce [a-z2-7]{8}", "nonce RANDOM"),
    (r#""[a-z2-7]{16}""#, "SECRET"),
    (r#"it is in "[^"]*""#, "it is in PATH"),
    (r"linux \d\S*", "linux VERSION"),
    (r"/\S+/box\.tar\.gz", "PATH/box.tar.gz"),
    (r"\b[0-9a-f]{12}\b", "DIGEST"),
    (r#""ms":[0-9.]+"#, "MS"),
    // What a machine has, and what its kernel answers.
    (r"tells \d+ facts of the host: [a-z ,]+", "FACTS "),
    (r"surface: of \d+ calls that launchers close \d+ answer: [a-z0-9_ ]+", "SURFACE "),
    (r"of \d+ rights over the machine there are: [A-Z_ ]+", "RIGHTS "),
    (r"\b\d+(\.\d+)? (B|KiB|MiB|GiB|s|min|h|d)\b", "QUANTITY"),
    (r"\b\d{2,}\b", "NUMBER"),
];

fn masked(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    CHANGING.iter().fold(words.join(" "), |text, (changing, mask)| {
        Regex::new(changing).unwrap().replace_all(&text, *mask).into_owned()
    })
}

/// Whether these lines show a text; a line `…` stands for lines that are left out.
pub(super) fn shows(lines: &[String], text: &str) -> bool {
    let text = masked(text);
    let mut parts = lines.split(|line| line == "…").map(|part| masked(&part.join("\n")));
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(&first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(&part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    // What stands behind the last `…` ends it, and where there is none nothing follows.
    last.map_or(rest.is_empty(), |last| last.is_empty() || text.ends_with(&last))
}

#[test]
fn what_is_shown_is_what_came_but_for_what_changes() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (shown, came) in [
        ("a b\nc", "a  b c\n"),
        ("child 17 ended with 0", "child 4711 ended with 0"),
        ("queue /rustic.abcdefgh", "queue /rustic.zyxwvuts"),
        ("a\n…\nd", "a\nb\nc\nd\n"),
        ("a\n…", "a\nb\n"),
    ] {
        assert!(shows(&lines(shown), came), "{shown:?} {came:?}");
    }
    for (shown, came) in [
        ("a b", "a b c"),
        ("child 17 ended with 0", "child 17 ended with 1"),
        ("held", "shared"),
        ("a\n…\nd", "a\nb\nc\n"),
        ("a\n…\nd", "a\nd\nc\n"),
    ] {
        assert!(!shows(&lines(shown), came), "{shown:?} {came:?}");
    }
}
