//! `rustic verify` and its options.

use super::container::Container;
use super::values::completed;
use crate::error::without_number;
use crate::rootfs::command::OutputFormat;
use crate::spec::RunOptions;
use crate::verify::VerifyOptions;
use crate::verify::foreign::recipes::{self, Recipe};
use crate::verify::foreign::words::Command;
use crate::verify::report::json::Detail;
use crate::verify::role::Through;
use crate::verify::stage::Ground;
use crate::verify::verdict::Verdict;
use crate::verify::wall::Wall;
use clap::{Args, ValueHint};
use std::ffi::OsString;
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

/// Whose container is verified.
#[derive(Debug)]
pub enum Whose {
    /// Rustic's own.
    Rustic,
    /// What other launchers make, one after another.
    Launchers {
        /// The launchers.
        launchers: Vec<Other>,
        /// What they get as standard streams.
        through: Through,
        /// Where a command line of the caller's own stands.
        ground: Ground,
    },
}

/// Another launcher.
#[derive(Clone, Debug)]
pub enum Other {
    /// One that has a recipe.
    Recipe(&'static Recipe),
    /// A command line.
    Command(Command),
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

    /// Verify what these launchers make, each called as their recipe says: a row each
    #[arg(
        long, value_name = "NAME,...", value_delimiter = ',', help_heading = OTHERS,
        value_parser = completed(&RECIPES, recipe), conflicts_with_all = ["flip", "list"],
    )]
    with: Vec<&'static Recipe>,
    /// Show the recipes
    #[arg(long, help_heading = OTHERS, conflicts_with_all = ["flip", "with", "launcher"])]
    list_recipes: bool,
    /// Give LAUNCHER a terminal in raw mode as stdin and stdout, in place of pipes
    #[arg(long, help_heading = OTHERS, requires = "launcher")]
    tty: bool,
    /// Put the probe's program into DIR, the root that LAUNCHER gives, and take it away afterwards:
    /// {probe} and {bin} are its path in there
    #[arg(
        long, value_name = "DIR", help_heading = OTHERS, requires = "launcher",
        value_hint = ValueHint::DirPath, value_parser = absolute_directory,
    )]
    plant: Option<PathBuf>,
    /// LAUNCHER asks a daemon, whose containers are on the real host: try only what changes nothing
    /// there
    #[arg(long, help_heading = OTHERS, requires = "launcher")]
    no_stage: bool,
    /// Verify what this command makes. {probe} in it stands for the probe and its arguments; {bin},
    /// {nonce}, {name} and {dir} for the probe's program, its argument, a name, and a root file
    /// system: --rootfs, or the built-in one
    #[arg(
        last = true, value_name = "LAUNCHER", help_heading = OTHERS, conflicts_with_all = ["flip", "with", "list"],
    )]
    launcher: Vec<OsString>,

    #[command(flatten)]
    container: Container,
}

const OTHERS: &str = "Other launchers";

const RECIPES: [&str; recipes::ALL.len()] = {
    let (mut names, mut at) = ([""; recipes::ALL.len()], 0);
    while at < names.len() {
        names[at] = recipes::ALL[at].name;
        at += 1;
    }
    names
};

fn recipe(text: &str) -> Result<&'static Recipe, String> {
    Recipe::named(text.trim())
        .ok_or_else(|| format!("no such recipe; there are {}", RECIPES.join(" ")))
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

fn absolute_directory(text: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(text).map_err(|error| without_number(&error))?;
    if path.is_dir() { Ok(path) } else { Err("there is no such directory".into()) }
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
            _ if self.list_recipes => Show::Recipes,
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

        let command = (!self.launcher.is_empty()).then(|| Command::new(self.launcher));
        let others = self.with.into_iter().map(Other::Recipe);
        let launchers: Vec<Other> = others.chain(command.map(Other::Command)).collect();
        let through = if self.tty { Through::Terminal } else { Through::Pipes };
        let ground = if self.no_stage { Ground::Host } else { Ground::Stage };
        let whose = if launchers.is_empty() {
            Whose::Rustic
        } else {
            Whose::Launchers { launchers, through, ground }
        };
        let output = if self.json { OutputFormat::Json } else { OutputFormat::Text };
        VerifyOrder {
            wanted: self.container.wanted(),
            whose,
            order: VerifyOptions { walls, expected: self.expect, plant: self.plant },
            show,
            output,
            detail: if self.brief { Detail::Brief } else { Detail::Whole },
            junit: self.junit,
            markdown: self.markdown,
        }
    }
}
