//! Whose container `rustic verify` is to verify, where it is not rustic's own.

use super::values::completed;
use crate::error::without_number;
use crate::verify::foreign::recipes::{self, Recipe};
use crate::verify::foreign::words::Command;
use crate::verify::role::Through;
use crate::verify::stage::Scene;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

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
        scene: Scene,
    },
    /// The container that this process is in.
    Process(i32),
}

/// Another launcher.
#[derive(Clone, Debug)]
pub enum Other {
    /// One that has a recipe.
    Recipe(&'static Recipe),
    /// A command line.
    Command(Command),
}

#[derive(Args)]
pub(super) struct Others {
    /// Verify what these launchers make, each called as their recipe says: a row each
    #[arg(
        long, value_name = "NAME,...", value_delimiter = ',', help_heading = OTHERS,
        value_parser = completed(&RECIPES, recipe), conflicts_with_all = ["flip", "list"],
    )]
    with: Vec<&'static Recipe>,
    /// Try what each recipe's launcher makes without walls, as a control of its own: what holds there
    /// too is not owed to its options
    #[arg(long, help_heading = OTHERS, requires = "with")]
    pub(super) control_each: bool,
    /// Verify a container that runs already, of whatever launcher: the one that this process is in.
    /// A probe joins it; what cannot be joined is read, or not tried. --pid PID says the same
    #[arg(
        long = "process", value_name = "PID", help_heading = OTHERS,
        value_parser = clap::value_parser!(i32).range(1..),
        conflicts_with_all = ["flip", "with", "launcher", "list"],
    )]
    pid_of: Option<i32>,
    /// Show the recipes
    #[arg(long, help_heading = OTHERS, conflicts_with_all = ["flip", "with", "launcher"])]
    pub(super) list_recipes: bool,
    /// Give LAUNCHER a terminal in raw mode as stdin and stdout, in place of pipes
    #[arg(long, help_heading = OTHERS, requires = "launcher")]
    tty: bool,
    /// Put the probe's program into DIR, the root that LAUNCHER gives, and take it away afterwards:
    /// {probe} and {bin} are its path in there
    #[arg(
        long, value_name = "DIR", help_heading = OTHERS, requires = "launcher",
        value_hint = ValueHint::DirPath, value_parser = absolute_directory,
    )]
    pub(super) plant: Option<PathBuf>,
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

fn absolute_directory(text: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(text).map_err(|error| without_number(&error))?;
    if path.is_dir() { Ok(path) } else { Err("there is no such directory".into()) }
}

impl Others {
    pub(super) fn whose(self) -> Whose {
        let command = (!self.launcher.is_empty()).then(|| Command::new(self.launcher));
        let mut with = self.with;
        let mut seen = Vec::new();
        with.retain(|recipe| {
            let is_new = !seen.contains(&recipe.name);
            seen.push(recipe.name);
            is_new
        });
        let others = with.into_iter().map(Other::Recipe);
        let launchers: Vec<Other> = others.chain(command.map(Other::Command)).collect();
        let through = if self.tty { Through::Terminal } else { Through::Pipes };
        let scene = if self.no_stage { Scene::Host } else { Scene::Stage };
        match (self.pid_of, launchers.is_empty()) {
            (Some(pid), _) => Whose::Process(pid),
            (None, true) => Whose::Rustic,
            (None, false) => Whose::Launchers { launchers, through, scene },
        }
    }
}

/// `--pid` with a number is no order about a pid namespace: it is the process of `--process`.
pub(super) fn process_by_pid(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_none_or(|word| word != "verify") {
        return args;
    }
    let end = args.iter().position(|word| word == "--").unwrap_or(args.len());
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    for at in 2..end {
        let next = args[..end].get(at + 1).and_then(|word| word.to_str());
        if args[at] == "--pid" && next.is_some_and(is_number) {
            args[at] = "--process".into();
        } else if let Some(number) = args[at].to_str().and_then(|word| word.strip_prefix("--pid="))
            && is_number(number)
        {
            args[at] = format!("--process={number}").into();
        }
    }
    args
}
