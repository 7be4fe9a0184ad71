//! An independent witness: what a program inside a container reaches of the outside, tried without
//! any of rustic's own code, beside what `rustic verify` says of the same container.
//!
//! `truth outside DIR RUSTIC ROOTFS` makes itself an outside of new namespaces with something to be
//! reached in each, then reads a case a line: its number and the options of `rustic run`, separated
//! by tabs. For each it starts `truth cross` inside, verifies the same container, and prints a JSON
//! object a line: which walls were crossed and how, and each wall's verdict.
#![allow(
    unsafe_code,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "its output is its job, it ends where something is missing outside, and what it tries \
        has no safe wrapper"
)]

mod canaries;
mod cross;
mod outside;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("cross") => cross::main(&words[1..]),
        Some("outside") => outside::main(&words[1], &words[2], &words[3]),
        _ => std::process::exit(2),
    }
}
