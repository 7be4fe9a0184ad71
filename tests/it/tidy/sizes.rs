//! Files and functions that a reader can hold.

use super::files_below;

/// Lines of a file, and of a function.
const FILE: usize = 300;
const FUNCTION: usize = 60;

/// What a file says at its top where it is a longer one, and above a function.
const REASON: &str = "A flat table";

fn all() -> Vec<(String, String)> {
    ["src", "tests", "benches", "fuzz"].into_iter().flat_map(files_below).collect()
}

#[test]
fn a_file_is_short_or_says_why_not() {
    for (name, text) in all() {
        let lines = text.lines().count();
        let reason = text.lines().take(6).any(|line| line.contains(REASON));
        assert!(lines <= FILE || reason, "{name} has {lines} lines");
    }
}

/// The functions of a file, by the indentation of their closing brace: name, lines, and what stands
/// above it.
fn functions(text: &str) -> Vec<(String, usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &str| {
        let words = line.trim_start();
        let words = ["pub ", "pub(super) ", "pub(crate) ", "const ", "unsafe "]
            .into_iter()
            .fold(words, |words, prefix| words.strip_prefix(prefix).unwrap_or(words));
        words.starts_with("fn ").then(|| words[3..].to_owned())
    };
    let function = |(at, line): (usize, &&str)| {
        let name = begins(line)?;
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let length = lines[at..].iter().position(|line| *line == end)? + 1;
        let above = lines[..at].iter().rev().take_while(|line| {
            ["//", "#["].iter().any(|start| line.trim_start().starts_with(start))
        });
        Some((name, length, above.copied().collect::<Vec<_>>().join("\n")))
    };
    lines.iter().enumerate().filter_map(function).collect()
}

#[test]
fn a_function_is_short_or_a_flat_table() {
    let mut count = 0;
    for (name, text) in all() {
        for (function, lines, above) in functions(&text) {
            count += 1;
            assert!(
                lines <= FUNCTION || above.contains(REASON),
                "{name}: {function} has {lines} lines"
            );
        }
    }
    assert!(count > 1500, "the functions are found: {count}");
}

#[test]
fn a_long_function_is_seen() {
    let text = format!(
        "impl X {{\n    pub(super) fn long() {{\n{}    }}\n}}\n",
        "        x;\n".repeat(70)
    );
    assert_eq!(functions(&text)[0].1, 72);
}
