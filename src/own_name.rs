//! The name that this program was called by. Another program is called rustic too, one that makes
//! backups, and who has that one installs this one under a name of his own.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

/// What it is called where nothing else is known.
const USUAL: &str = "rustic";

/// The commands that texts tell the user to type.
const COMMANDS: [&str; 6] = ["run", "verify", "rootfs", "invoke", "completions", "help"];

static NAME: OnceLock<String> = OnceLock::new();

/// Takes it from the first word of the command line. What rustic calls itself by inside of a
/// container is no name that anybody types.
pub fn learn(first: &OsStr) {
    let name = Path::new(first).file_name().and_then(OsStr::to_str).filter(|name| is_name(name));
    if let Some(name) = name {
        let _ = NAME.set(name.to_owned());
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    !["rustic-init", "rustic-probe"].contains(&name) && name.bytes().all(is_plain)
}

/// The name.
pub fn get() -> &'static str {
    NAME.get().map_or(USUAL, String::as_str)
}

/// A text with that name in each command that it tells the user to type.
pub fn within(text: &str) -> Cow<'_, str> {
    under(get(), text)
}

fn under<'a>(name: &str, text: &'a str) -> Cow<'a, str> {
    if name == USUAL {
        return Cow::Borrowed(text);
    }
    let named = COMMANDS.into_iter().fold(text.to_owned(), |text, command| {
        text.replace(&format!("{USUAL} {command}"), &format!("{name} {command}"))
    });
    Cow::Owned(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_named_and_the_program_is_not() {
        let text = "rustic has it: rustic rootfs list, or lz4 -dc FILE | rustic rootfs import";
        assert_eq!(under("rustic", text), text);
        assert_eq!(
            under("box", text),
            "rustic has it: box rootfs list, or lz4 -dc FILE | box rootfs import"
        );
    }

    #[test]
    fn what_is_no_word_to_type_is_no_name() {
        assert!(is_name("rustic") && is_name("rustic-box") && is_name("r2"));
        assert!(!is_name("rustic-init") && !is_name("a b") && !is_name("x\u{1b}"));
    }
}
