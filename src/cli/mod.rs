//! clap's types and nothing else: the only room that knows clap. What the options mean together is
//! decided in [`crate::spec`].

mod container;
mod namespaces;
mod rootfs;
#[cfg(test)]
mod round_trip;
mod run;
mod values;
mod verify;

use crate::error::Failure;
use crate::exit::Exit;
use crate::spec::{INIT, RunOptions};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
pub use rootfs::RootfsOrder;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
pub use verify::{Show, VerifyOrder};

const EXAMPLES: &str = "\
Examples:
  sudo rustic run sh                            every usual wall, on the built-in root
  sudo rustic run --ipc no sh                   share message queues with the host
  sudo rustic run -v --ipc yes sh -c 'ls /'     say what happens
  rustic run --rootfs debian.tar.gz bash        as a plain user, on your own root file system
  rustic rootfs import debian debian.tar.gz     unpack it once; from then on --rootfs debian
  sudo rustic run --dry-run sh                  show each step, take none
  sudo rustic verify                            try to cross every wall, and say which hold
  sudo rustic invoke -vi no                     the article's experiment";

/// The command line.
#[derive(Parser)]
#[command(name = "rustic", version, about = "A container launcher that shows its work and proves \
    its walls", before_help = EXAMPLES,
          disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The same with one command: what is started most is read without the options of all the others
/// being made first, which takes a fiftieth of a start.
#[derive(Parser)]
#[command(name = "rustic", version, disable_help_subcommand = true)]
struct Starting {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: StartCommand,
}

#[derive(Args)]
struct Everywhere {
    /// Colour of what is shown
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,
}

#[derive(Subcommand)]
enum StartCommand {
    /// Start a command in a container
    #[command(after_help = run::NOTES)]
    Run(Box<run::RunArgs>),
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Start(StartCommand),
    /// Try to cross every wall of a container, from inside, and check from outside
    #[command(before_help = verify::EXAMPLES, after_help = verify::NOTES)]
    Verify(Box<verify::Verify>),
    /// Root file systems by name: import, list, rename, rm, prune, unpack
    #[command(subcommand)]
    Rootfs(Box<rootfs::RootfsArgs>),
    /// The article's program, option by option; -h shows its own help
    #[command(disable_help_flag = true)]
    Invoke {
        /// [--timeout S] [--reuse] [-hvpmn] [-u NAME] [-i yes|no] [-c DIR] [CMD...]; -h says more
        #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// The probe of `verify`
    #[command(name = "__probe", hide = true)]
    Probe {
        /// The descriptor that it talks on
        channel: i32,
        /// Which probe it is, for ps(1)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        _whose: Vec<OsString>,
    },
    /// The reaper of `run --init`
    #[command(name = INIT, hide = true)]
    Init {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        cmd: Vec<OsString>,
    },
}

/// What the command line asks for.
pub enum Asked {
    /// `rustic run`.
    Run(Box<RunOptions>),
    /// `rustic verify`.
    Verify(Box<VerifyOrder>),
    /// `rustic rootfs`.
    Rootfs(RootfsOrder),
    /// `rustic invoke`, with its own options.
    Invoke(Vec<OsString>),
    /// The probe, on this descriptor.
    Probe(i32),
    /// The reaper, with CMD and its arguments.
    Init(Vec<OsString>),
    /// Text for stdout, exit code 0: help or version.
    Text(String),
    /// What clap says of a wrong call.
    Usage(Usage),
    /// Another launcher's spelling, with rustic's own.
    Refused(Failure),
}

/// A wrong call, in clap's words.
#[derive(Debug)]
pub struct Usage {
    text: String,
    /// The exit code of one.
    pub exit: Exit,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Usage {}

/// Reads a command line, program name first. Texts carry colours for [`anstream`] to show or to
/// strip, as the second value says.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> (Asked, anstream::ColorChoice) {
    let args: Vec<OsString> = args.into_iter().collect();
    let read = if args.get(1).is_some_and(|word| word == "run") {
        Starting::command().try_get_matches_from(&args).and_then(|matches| {
            let Starting { everywhere, command } = Starting::from_arg_matches(&matches)?;
            Ok(Cli { everywhere, command: Some(Command::Start(command)) })
        })
    } else {
        Cli::try_parse_from(&args)
    };
    match read {
        Ok(cli) => {
            let asked = match cli.command {
                Some(Command::Start(StartCommand::Run(run))) => match run.foreign() {
                    Some(hint) => Asked::Refused(Failure::new(hint)),
                    None => Asked::Run(Box::new(run.wanted())),
                },
                Some(Command::Verify(verify)) => Asked::Verify(Box::new(verify.order())),
                Some(Command::Rootfs(rootfs)) => Asked::Rootfs(rootfs.order()),
                Some(Command::Invoke { words }) => Asked::Invoke(words),
                Some(Command::Probe { channel, .. }) => Asked::Probe(channel),
                Some(Command::Init { cmd }) => Asked::Init(cmd),
                None => Asked::Text(Cli::command().render_help().ansi().to_string()),
            };
            let color = match cli.everywhere.color {
                clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
                clap::ColorChoice::Always => anstream::ColorChoice::Always,
                clap::ColorChoice::Never => anstream::ColorChoice::Never,
            };
            (asked, color)
        }
        Err(error) if error.use_stderr() => {
            let text = error.render().to_string();
            let what = text.trim_start_matches("error: ").trim_end();
            let usage = Usage { text: what.to_owned(), exit: wrong_call(&args) };
            (Asked::Usage(usage), anstream::ColorChoice::Auto)
        }
        Err(error) => (Asked::Text(error.render().ansi().to_string()), anstream::ColorChoice::Auto),
    }
}

/// The exit code of a wrong call: verify keeps that of diff(1) and grep(1) apart from its verdicts.
fn wrong_call(args: &[OsString]) -> Exit {
    let commands = Cli::command();
    let command = args.iter().skip(1).find(|word| {
        commands.get_subcommands().any(|command| command.get_name() == word.as_os_str())
    });
    if command.is_some_and(|word| word == "verify") { Exit::Usage } else { Exit::Failed }
}

/// A path in a variable; an empty one is none.
fn from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
