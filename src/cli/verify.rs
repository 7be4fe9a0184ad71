//! `rustic verify` and its options.

use super::container::Container;
use super::others::{Others, Whose};
use super::values::completed;
use crate::namespace::Switch;
use crate::rootfs::command::OutputFormat;
use crate::spec::RunOptions;
use crate::verify::VerifyOptions;
use crate::verify::report::json::Detail;
use crate::verify::verdict::Verdict;
use crate::verify::wall::Wall;
use clap::{Args, ValueHint};
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  sudo rustic verify                       rustic's own defaults
  sudo rustic verify --ipc no              the same options as run
  sudo rustic verify --only ipc,net        these walls alone
  sudo rustic verify --why ipc             one wall, probe by probe
  sudo rustic verify --expect time=held    exit code 1 unless it is
  rustic verify --list                     what would be tried, and what that touches
  sudo rustic verify --with bwrap,unshare  what other launchers make, a row each
  sudo rustic verify -- bwrap --ro-bind / / --unshare-all {probe}
                                           any launcher, called as you call it
  sudo rustic verify --flip                toggle each namespace in turn: its own wall must follow";

pub(super) const NOTES: &str = "\
Verdicts:
  held      the crossings fail, and work without the wall
  shared    both sides have the same namespace, or it was ordered otherwise: a door
  leaked    the wall is there, and a crossing works all the same
  unknown   nothing can be said, and why
A probe that has nothing to try says so, and does not count. A held wall
means that these crossings failed here, today.

Exit code:
  0    every wall is as ordered, or as expected
  1    one is not
  2    called wrongly
  3    an ordered wall is unknown, or a control failed
  125  rustic failed";

/// What `rustic verify` is asked for.
pub struct VerifyOrder {
    /// The container.
    pub wanted: RunOptions,
    /// Whose container is verified.
    pub whose: Whose,
    /// The walls, and what is expected of them.
    pub order: VerifyOptions,
    /// What is shown of it.
    pub show: Show,
    /// Whom the text is for.
    pub output: OutputFormat,
    /// How much is told.
    pub detail: Detail,
    /// A file for JUnit's XML.
    pub junit: Option<PathBuf>,
    /// A file for Markdown.
    pub markdown: Option<PathBuf>,
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A row a wall.
    Table,
    /// Every probe of a wall.
    Why,
    /// What each namespace's switch does to the walls.
    Flip,
    /// The catalogue, with nothing tried.
    List,
    /// The recipes, likewise.
    Recipes,
}

#[derive(Args)]
pub(super) struct Verify {
    /// Try these walls alone
    #[arg(
        long, value_name = "WALL,...", value_delimiter = ',', help_heading = "What is tried",
        value_parser = completed(&WALLS, wall),
    )]
    only: Vec<Wall>,
    /// Toggle each namespace in turn, and show what that does to every wall
    #[arg(long, help_heading = "What is tried", conflicts_with = "why")]
    flip: bool,
    /// Show these walls alone, probe by probe: the call, the answer, what was seen outside
    #[arg(
        long,
        value_name = "WALL,...",
        value_delimiter = ',',
        help_heading = "What is shown",
        conflicts_with = "only",
        value_parser = completed(&WALLS, wall),
    )]
    why: Vec<Wall>,
    /// Show what would be tried and what that touches; try nothing
    #[arg(
        long,
        help_heading = "What is shown",
        conflicts_with_all = ["why", "flip", "expect", "junit", "markdown"],
    )]
    list: bool,
    /// Judge these walls by what is expected of them, whatever was ordered
    #[arg(
        long, value_name = "WALL=VERDICT,...", value_delimiter = ',', value_parser = expectation,
        help_heading = "What is tried", conflicts_with = "flip",
    )]
    expect: Vec<(Wall, &'static str)>,
    /// Print one JSON value in place of text; schema/verify.json describes it
    #[arg(long, help_heading = "What is shown")]
    json: bool,
    /// Tell only what is not as ordered, and in JSON of the probes only those that something crosses
    /// by or that nothing is known of
    #[arg(long, help_heading = "What is shown", conflicts_with_all = ["why", "list"])]
    brief: bool,
    /// Write the result to FILE too, as XML in the form of JUnit
    #[arg(long, value_name = "FILE", help_heading = "What is shown", value_hint = ValueHint::FilePath)]
    junit: Option<PathBuf>,
    /// Write the result to FILE too, as Markdown
    #[arg(long, value_name = "FILE", help_heading = "What is shown", value_hint = ValueHint::FilePath)]
    markdown: Option<PathBuf>,

    #[command(flatten)]
    others: Others,

    #[command(flatten)]
    container: Container,
}

const WALLS: [&str; Wall::ALL.len()] = {
    let (mut names, mut at) = ([""; Wall::ALL.len()], 0);
    while at < names.len() {
        names[at] = Wall::ALL[at].name();
        at += 1;
    }
    names
};

fn wall(text: &str) -> Result<Wall, String> {
    text.parse()
}

/// A wall with the verdict that is expected of it.
fn expectation(text: &str) -> Result<(Wall, &'static str), String> {
    let (wall, verdict) =
        text.split_once('=').ok_or("it is spelled WALL=VERDICT, as in ipc=held")?;
    let word = Verdict::WORDS.into_iter().find(|word| *word == verdict.trim());
    let word =
        word.ok_or_else(|| format!("no such verdict; there are {}", Verdict::WORDS.join(" ")))?;
    Ok((wall.parse()?, word))
}

impl Verify {
    pub(super) fn order(self) -> VerifyOrder {
        let show = match (self.list, self.flip, self.why.is_empty()) {
            _ if self.others.list_recipes => Show::Recipes,
            (true, ..) => Show::List,
            (_, true, _) => Show::Flip,
            (.., false) => Show::Why,
            (.., true) => Show::Table,
        };
        let chosen: Vec<Wall> = self.only.into_iter().chain(self.why).collect();
        let walls = Wall::ALL
            .into_iter()
            .filter(|wall| chosen.is_empty() || chosen.contains(wall))
            .collect();

        let plant = self.others.plant.clone();
        let control_each = if self.others.control_each { Switch::Yes } else { Switch::No };
        let output = if self.json { OutputFormat::Json } else { OutputFormat::Text };
        VerifyOrder {
            wanted: self.container.wanted(),
            whose: self.others.whose(),
            order: VerifyOptions { walls, expected: self.expect, plant, control_each },
            show,
            output,
            detail: if self.brief { Detail::Brief } else { Detail::Whole },
            junit: self.junit,
            markdown: self.markdown,
        }
    }
}
