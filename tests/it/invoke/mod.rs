//! The article's program: its words, their order on each side, its exit codes, and the faults that
//! were mended.

mod jail;
mod messages;
mod queue;
mod words;

use crate::support::{Ran, binary, finish, piped, shared};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// The program under the article's name, in an IPC namespace of its own, so that its one queue name
/// is nobody else's.
fn invoke(args: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new("unshare");
    told(command.arg("--ipc").arg(named()).args(args), input)
}

/// Runs it to its end with this input.
fn told(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = piped(command);
    let _ = child.stdin.take().unwrap().write_all(input);
    finish(child)
}

fn named() -> PathBuf {
    let link = shared().join("invoke_ns");
    let _ = symlink(binary(), &link);
    link
}

/// The lines of one side, with numbers left out and the program's own path as PROG.
fn side(text: &str, who: &str) -> Vec<String> {
    let text = text.replace(named().to_str().unwrap(), "PROG");
    let lines = text.lines().filter(|line| line.trim_start().starts_with(who));
    lines.map(|line| line.chars().filter(|c| !c.is_ascii_digit()).collect()).collect()
}
