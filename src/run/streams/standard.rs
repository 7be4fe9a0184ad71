//! The three standard streams of this process, and what CMD gets in their places.

use crate::error::printable;
use rustix::fd::BorrowedFd;
use rustix::io::Result;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use std::ffi::CString;

/// The name of each standard stream.
pub const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// The three of this process.
pub fn descriptors() -> [BorrowedFd<'static>; 3] {
    [stdin(), stdout(), stderr()]
}

/// What CMD gets as a standard stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The container's terminal.
    Terminal,
    /// The caller's, as it is: a pipe or a socket, or whatever it is with `--stdio inherit`.
    Passed,
    /// The container's own device node of this name.
    Node(&'static str),
    /// A read-only view, opened by the parent.
    View,
    /// A read-only view, opened by the child from this path, since the parent lacks the right for
    /// the mount.
    ViewByPath(CString),
    /// A pipe that the parent fills from it, the one for the stream of this number.
    Input(usize),
    /// A pipe that the parent empties into it, the one for the stream of this number.
    Output(usize),
}

/// Puts a descriptor in the place of a standard stream.
///
/// # Errors
/// EINTR, EBUSY: dup2(2).
pub fn replace(number: usize, by: BorrowedFd<'_>) -> Result<()> {
    match number {
        0 => dup2_stdin(by),
        1 => dup2_stdout(by),
        _ => dup2_stderr(by),
    }
}

/// What CMD gets, in words, for -v and for what is said of the step.
pub fn shown(number: usize, stream: &Stream) -> String {
    let what = match stream {
        Stream::Terminal => "the container's terminal".to_owned(),
        Stream::Passed => "passed as it is".to_owned(),
        Stream::Node(name) => format!("the container's own /dev/{name}"),
        Stream::View => "a read-only view".to_owned(),
        Stream::ViewByPath(path) => {
            format!("a read-only view of {}", printable(&path.to_string_lossy()))
        }
        Stream::Input(_) => "a pipe, filled by the parent".to_owned(),
        Stream::Output(_) => "a pipe, emptied by the parent".to_owned(),
    };
    format!("{}: {what}", NAMES[number])
}
