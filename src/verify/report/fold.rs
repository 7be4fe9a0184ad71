//! Text in lines that can be read everywhere: on a narrow terminal, in the log of a CI, in a file.

use super::marks::speaks_utf8;
use textwrap::{Options, WordSeparator, WordSplitter};

/// As wide as a line is, at most; on a narrower terminal less.
const WIDEST: usize = 80;
const NARROWEST: usize = 50;

fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(rustix::stdio::stdout())
        .map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { WIDEST } else { columns.clamp(NARROWEST, WIDEST) }
}

/// A text in lines of that width, the first behind what is there already, the others behind blanks.
pub(super) fn folded(first: &str, text: &str, blanks: usize) -> String {
    let blanks = " ".repeat(blanks);
    let options = Options::new(width())
        .initial_indent(first)
        .subsequent_indent(&blanks)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    let plain = if speaks_utf8() { text.into() } else { text.replace('…', "...") };
    textwrap::fill(&plain, options) + "\n"
}

/// The lines of a text, each folded below its own beginning.
pub(super) fn each_folded(text: &str) -> String {
    const BELOW: usize = 4;
    text.lines()
        .map(|line| {
            let content = line.trim_start_matches(' ');
            let blanks = line.len() - content.len();
            folded(&line[..blanks], content, blanks + BELOW)
        })
        .collect()
}
