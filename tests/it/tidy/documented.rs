//! What other files may name says what it is. The compiler asks it of what the crate shows to
//! others, which is little: the modules are private.

use super::{code, sources};

/// The items of a file that others may name and that no line documents.
fn undocumented(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_item = |line: &str| {
        let rest = line.trim_start().strip_prefix("pub ").unwrap_or_default();
        ["fn ", "struct ", "enum ", "trait ", "const ", "type ", "unsafe fn ", "static "]
            .into_iter()
            .any(|kind| rest.starts_with(kind))
    };
    let documented = |at: usize| {
        let above = lines[..at].iter().rev().map(|line| line.trim_start());
        let mut above = above.skip_while(|line| line.starts_with("#[") || line.ends_with(")]"));
        above.next().is_some_and(|line| line.starts_with("///"))
    };
    let items = lines.iter().enumerate().filter(|(_, line)| is_item(line));
    items.filter(|(at, _)| !documented(*at)).map(|(_, line)| line.trim().to_owned()).collect()
}

#[test]
fn what_other_files_may_name_is_documented() {
    let mut count = 0;
    for (name, text) in sources() {
        let own = &text[..text.find("#[cfg(test)]").unwrap_or(text.len())];
        count += code(&text).matches("pub fn ").count();
        assert_eq!(undocumented(own), Vec::<String>::new(), "{name}");
    }
    assert!(count > 400, "the items are found: {count}");
}

#[test]
fn an_item_without_a_word_is_seen() {
    let text = "/// Said.\n#[must_use]\npub fn said() {}\n\npub const UNSAID: u8 = 1;\n";
    assert_eq!(undocumented(text), ["pub const UNSAID: u8 = 1;"]);
}
