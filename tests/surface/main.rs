//! What a hostile root finds open: a static program that tries files, calls, sockets and mounts
//! where it is started, and prints a row for each: kind, name and answer, separated by tabs.
//! Nothing outside of it is changed: files are opened and closed, calls are given arguments that
//! they refuse or that are about this process alone. An answer is the errno, or `open`; of a file
//! that opens and has no write operation `takes nothing`.
#![allow(
    unsafe_code,
    clippy::print_stdout,
    reason = "its output is its job, and what it tries has no safe wrapper"
)]

mod answer;
mod calls;
mod child;
mod files;
mod mounts;
mod sockets;

use answer::{answer, row};
use calls::{calls, capabilities, terminals};
use files::{READ, first_byte, written_below};
use mounts::fresh_mounts;
use sockets::sockets;

fn main() {
    written_below("/proc");
    written_below("/sys");
    for path in READ {
        row("read", path, &answer(first_byte(path)));
    }
    calls();
    sockets();
    terminals();
    fresh_mounts();
    capabilities();
}
