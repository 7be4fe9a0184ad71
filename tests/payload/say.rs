//! Lines that are seen at once, whatever stdout is.

/// Prints a line and holds nothing back.
pub(super) fn say(line: &str) {
    use std::io::Write;
    println!("{line}");
    let _ = std::io::stdout().flush();
}
