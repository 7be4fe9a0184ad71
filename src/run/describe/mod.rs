//! What is said about a step: its call, why it is there, its manual page. What its errors mean
//! stands in [`crate::run::diagnose`].

mod child;
mod mount;
mod parent;
mod root;
mod warden;

use crate::error::printable;
use crate::run::step::{Mount, Step};
use crate::run::streams;
use std::ffi::{CStr, CString};

/// What is said of a step.
pub struct Description {
    /// The call, with its arguments.
    pub call: String,
    /// The end of "rustic: cannot …".
    pub cannot: String,
    /// Why the step is there.
    pub why: &'static str,
    /// The manual page.
    pub man: &'static str,
    /// What -v tells of it when it is done.
    pub story: Option<String>,
}

impl Step {
    /// What is said of it.
    pub fn describe(&self) -> Description {
        match self {
            Self::Parent(step) => step.describe(),
            Self::Warden(step) => step.describe(),
            Self::Builder(step) | Self::Rootfs(step) => step.describe(),
            Self::Child(step) => step.describe(),
        }
    }
}

impl Description {
    /// With what -v tells of it when it is done: the article's lines, and nothing of the steps
    /// that every container takes.
    fn told(self, story: impl Into<String>) -> Self {
        Self { story: Some(story.into()), ..self }
    }
}

fn described(call: String, cannot: String, why: &'static str, man: &'static str) -> Description {
    Description { call, cannot, why, man, story: None }
}

fn stream_names<'a>(numbers: impl Iterator<Item = &'a usize>) -> String {
    numbers.map(|&number| streams::NAMES[number]).collect::<Vec<_>>().join(" ")
}

/// A word for people.
pub(super) fn text(word: &CStr) -> String {
    printable(&word.to_string_lossy())
}

/// The command, without its arguments.
fn first_word(cmd: &[CString]) -> String {
    cmd.first().map(|word| text(word)).unwrap_or_default()
}

/// Where a mount is, seen from inside.
pub(super) fn inside(mount: &Mount) -> String {
    printable(&format!("/{}", mount.target.display()))
}
