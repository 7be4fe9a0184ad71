//! No two files know each other, directly or through others: whoever reads one can stop at what
//! stands below it.

use super::{code, sources};
use std::collections::{BTreeMap, BTreeSet};

/// The module of a file, its parts from the crate's root.
fn module(name: &str) -> Vec<String> {
    let path = name.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// The words of a text that can be part of a path, each with what stands right before it.
fn paths(text: &str) -> Vec<Vec<String>> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    text.split(|c: char| !part(c))
        .filter(|word| word.contains("::") && !word.starts_with(':'))
        .map(|word| word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect())
        .collect()
}

/// A text with each group of a `use` spelled out: `a::{b, c::{d}}` is `a::b a::c::d`.
pub(super) fn spelled_out(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("::{") {
        let start = rest[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let (before, prefix) = rest[..at].split_at(start.map_or(0, |start| start + 1));
        let (mut depth, mut end) = (0, rest.len());
        for (place, c) in rest[at + 2..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                end = at + 2 + place;
                break;
            }
        }
        out.push_str(before);
        let (mut depth, mut item) = (0, String::new());
        for c in rest[at + 3..end].chars().chain([',']) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if c == ',' && depth == 0 {
                let item = std::mem::take(&mut item);
                out.push_str(&spelled_out(&format!(" {prefix}::{} ", item.trim())));
            } else {
                item.push(c);
            }
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    out + rest
}

/// The files that each file knows. What the front of a room shows of its files to others, `pub use`,
/// is no knowledge of its own.
fn arrows(sources: &[(String, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let files: BTreeMap<Vec<String>, String> =
        sources.iter().map(|(name, _)| (module(name), name.clone())).collect();
    let known = |name: &String, text: &String| {
        let own = module(name);
        let is_front = files.keys().any(|other| other.len() > own.len() && other.starts_with(&own));
        let parent = &own[..own.len().saturating_sub(1)];
        let code = code(text);
        let own_use: String =
            code.split_inclusive(';').filter(|part| !is_re_export(part)).collect();
        let mut found = BTreeSet::new();
        for path in paths(&spelled_out(&own_use)) {
            let supers = path.iter().take_while(|part| *part == "super").count();
            let absolute: Vec<String> = match path[0].as_str() {
                "crate" => path[1..].to_vec(),
                "self" => own.iter().chain(&path[1..]).cloned().collect(),
                "super" => {
                    let up = parent.len().saturating_sub(supers - 1);
                    parent[..up].iter().chain(&path[supers..]).cloned().collect()
                }
                _ if is_front => own.iter().chain(&path).cloned().collect(),
                _ => continue,
            };
            // A plain path of a front is its own module's, or another crate's.
            let relative = !matches!(path[0].as_str(), "crate" | "self" | "super");
            let shortest = if relative { own.len() + 1 } else { 0 };
            let file =
                (shortest..=absolute.len()).rev().find_map(|end| files.get(&absolute[..end]));
            found.extend(file.filter(|file| *file != name).cloned());
        }
        found
    };
    sources.iter().map(|(name, text)| (name.clone(), known(name, text))).collect()
}

fn is_re_export(part: &str) -> bool {
    let part = part.trim_start();
    part.starts_with("pub use ") || part.starts_with("pub(")
}

/// A way from a file back to itself.
fn circle(from: &str, arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![vec![from.to_owned()]]);
    while let Some(way) = next.pop() {
        for to in arrows.get(way.last()?).into_iter().flatten() {
            if to == from {
                return Some(way);
            }
            if seen.insert(to.clone()) {
                next.push(way.iter().cloned().chain([to.clone()]).collect());
            }
        }
    }
    None
}

#[test]
fn no_file_knows_one_that_knows_it() {
    let arrows = arrows(&sources());
    let count: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(count > 500, "the arrows are found: {count}");
    let circles: Vec<_> = arrows.keys().filter_map(|name| circle(name, &arrows)).collect();
    assert_eq!(circles, Vec::<Vec<String>>::new());
}

#[test]
fn a_circle_is_seen() {
    let file = |name: &str, text: &str| (format!("src/{name}.rs"), text.to_owned());
    let direct = [file("a", "use crate::b::X;"), file("b", "use crate::{c, a::Y};"), file("c", "")];
    let found = arrows(&direct);
    assert!(circle("src/a.rs", &found).is_some() && circle("src/c.rs", &found).is_none());
    let nested = [
        file("room/mod", "mod one;\nuse one::X;"),
        file("room/one", "use super::two::{Z, W};\nuse super::two;"),
        file("room/two", "use crate::room::Y;"),
    ];
    let way = circle("src/room/mod.rs", &arrows(&nested)).unwrap();
    assert_eq!(way, ["src/room/mod.rs", "src/room/one.rs", "src/room/two.rs"]);
    let front = [file("room/mod", "pub use one::X;"), file("room/one", "use super::Y;")];
    assert!(circle("src/room/mod.rs", &arrows(&front)).is_none());
}
