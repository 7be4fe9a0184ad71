//! clap's types and nothing else: the only room that knows clap. What the options mean together is
//! decided in [`crate::spec`].

mod container;
mod doctor;
mod foreign;
mod namespaces;
mod others;
mod pages;
mod rootfs;
#[cfg(test)]
mod round_trip;
mod run;
mod usage;
mod values;
mod verify;

use crate::error::Failure;
use crate::exit::Exit;
use crate::own_name;
use crate::random;
use crate::spec::{INIT, RunOptions, StoreOrder};
use crate::verify::agent::TalksOn;
use crate::verify::lines::NONCE_LENGTH;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
pub use doctor::DoctorOrder;
pub use others::{Other, Whose};
pub use rootfs::RootfsOrder;
use std::ffi::OsString;
use std::path::PathBuf;
pub use usage::Usage;
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

/// What it is comes first, and then how it is used.
const PITCH_FIRST: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// The command line.
#[derive(Parser)]
#[command(name = "rustic", version, about = "A container launcher that shows its work and proves \
    its walls", before_help = EXAMPLES, help_template = PITCH_FIRST, hide_possible_values = true)]
pub struct Cli {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The same with one command: what is started most is read without the options of all the others
/// being made first, which takes a fiftieth of a start.
#[derive(Parser)]
#[command(name = "rustic", version, disable_help_subcommand = true, hide_possible_values = true)]
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
    #[command(before_help = verify::EXAMPLES, after_help = verify::NOTES,
              help_template = PITCH_FIRST)]
    Verify(Box<verify::Verify>),
    /// Root file systems by name: import, list, rename, rm, prune, unpack
    #[command(subcommand)]
    Rootfs(Box<rootfs::RootfsArgs>),
    /// What this host allows, and the fix for what it does not
    #[command(after_help = doctor::NOTES)]
    Doctor(doctor::DoctorArgs),
    /// The article's program, option by option; -h shows its own help
    #[command(disable_help_flag = true)]
    Invoke {
        /// [--timeout S] [--reuse] [-hvpmn] [-u NAME] [-i yes|no] [-c DIR] [CMD...]; -h says more
        #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Print what a shell needs to complete the words of a command line
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The manual pages, into a directory
    #[command(name = "__man", hide = true)]
    Man { directory: PathBuf },
    /// The probe of `verify`
    #[command(name = "__probe", hide = true)]
    Probe {
        /// The descriptor that it talks on, before the nonce, or the nonce alone: standard streams
        #[arg(num_args = 1..=2, required = true, value_name = "CHANNEL|NONCE")]
        words: Vec<String>,
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
    /// `rustic doctor`.
    Doctor(DoctorOrder),
    /// `rustic invoke`, with its own options.
    Invoke(Vec<OsString>),
    /// The probe, and what it talks on.
    Probe(TalksOn),
    /// The reaper, with CMD and its arguments.
    Init(Vec<OsString>),
    /// Text for stdout, exit code 0: help, version, completions.
    Text(String),
    /// The manual pages: file names and texts, and the directory that they are written to.
    Files {
        /// Each with its name.
        pages: Vec<(String, Vec<u8>)>,
        /// Where.
        into: PathBuf,
    },
    /// What clap says of a wrong call.
    Usage(Usage),
    /// Another launcher's spelling, with rustic's own.
    Refused(Failure),
}

/// Reads a command line, program name first. Texts carry colours for [`anstream`] to show or to
/// strip, as the second value says.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> (Asked, anstream::ColorChoice) {
    let args = others::process_by_pid(args.into_iter().collect());
    if let Some(first) = args.first() {
        own_name::learn(first);
    }
    let read = if args.get(1).is_some_and(|word| word == "run") {
        called(Starting::command()).try_get_matches_from(&args).and_then(|matches| {
            let Starting { everywhere, command } = Starting::from_arg_matches(&matches)?;
            Ok(Cli { everywhere, command: Some(Command::Start(command)) })
        })
    } else {
        let matches = called(Cli::command()).try_get_matches_from(&args);
        matches.and_then(|matches| Cli::from_arg_matches(&matches))
    };
    match read {
        Ok(cli) => {
            let asked = match cli.command {
                Some(Command::Start(StartCommand::Run(run))) => match run.foreign(&args) {
                    Some(failure) => Asked::Refused(failure),
                    None => Asked::Run(Box::new(run.wanted())),
                },
                Some(Command::Verify(verify)) => Asked::Verify(Box::new(verify.order())),
                Some(Command::Rootfs(rootfs)) => Asked::Rootfs(rootfs.order()),
                Some(Command::Doctor(wanted)) => Asked::Doctor(wanted.order()),
                Some(Command::Invoke { words }) => Asked::Invoke(words),
                Some(Command::Completions { shell }) => {
                    Asked::Text(pages::completions(&Cli::command(), own_name::get(), shell))
                }
                Some(Command::Man { directory }) => manual(directory),
                Some(Command::Probe { words }) => probe(&words),
                Some(Command::Init { cmd }) => Asked::Init(cmd),
                None => Asked::Text(called(Cli::command()).render_help().ansi().to_string()),
            };
            let color = match cli.everywhere.color {
                clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
                clap::ColorChoice::Always => anstream::ColorChoice::Always,
                clap::ColorChoice::Never => anstream::ColorChoice::Never,
            };
            (asked, color)
        }
        Err(error) if error.use_stderr() => {
            if let Some(failure) = foreign(&error, &args) {
                let refused = Asked::Refused(failure.exit(wrong_call(&args)));
                return (refused, anstream::ColorChoice::Auto);
            }
            let text = error.render().to_string();
            let what = text.trim_start_matches("error: ").trim_end();
            let usage = Usage { text: what.to_owned(), exit: wrong_call(&args) };
            (Asked::Usage(usage), anstream::ColorChoice::Auto)
        }
        Err(error) => (Asked::Text(error.render().ansi().to_string()), anstream::ColorChoice::Auto),
    }
}

/// What is said of a word that another launcher has.
fn foreign(error: &clap::Error, args: &[OsString]) -> Option<Failure> {
    let word = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::UnknownArgument if ["run", "verify"].contains(&command_of(args)?.as_str()) => {
            foreign::option(word(ContextKind::InvalidArg)?)
        }
        ErrorKind::InvalidSubcommand => foreign::command(word(ContextKind::InvalidSubcommand)?),
        _ => None,
    }
}

fn manual(into: PathBuf) -> Asked {
    match pages::manual(called(Cli::command()), own_name::get()) {
        Ok(pages) => Asked::Files { pages, into },
        Err(error) => Asked::Refused(Failure::new(format!("cannot make the pages: {error}"))),
    }
}

fn probe(words: &[String]) -> Asked {
    let first = words.first().map_or("", String::as_str);
    if words.len() == 1 && random::is_letters(first, NONCE_LENGTH) {
        return Asked::Probe(TalksOn::Streams(first.to_owned()));
    }
    match first.parse() {
        Ok(number) => Asked::Probe(TalksOn::Descriptor(number)),
        Err(_) => Asked::Refused(Failure::new(format!("__probe {first}: no such descriptor"))),
    }
}

/// The same with the name that it was called by, also in the texts around the options.
fn called(command: clap::Command) -> clap::Command {
    if own_name::within("rustic run") == "rustic run" {
        return command;
    }
    with_own_texts(command.bin_name(own_name::get()))
}

fn with_own_texts(mut command: clap::Command) -> clap::Command {
    let own = |text: &clap::builder::StyledStr| own_name::within(&text.to_string()).into_owned();
    if let Some(text) = command.get_before_help().map(own) {
        command = command.before_help(text);
    }
    if let Some(text) = command.get_after_help().map(own) {
        command = command.after_help(text);
    }
    command.mut_subcommands(with_own_texts)
}

/// The exit code of a wrong call: verify keeps that of diff(1) and grep(1) apart from its verdicts.
fn wrong_call(args: &[OsString]) -> Exit {
    if command_of(args).is_some_and(|word| word == "verify") { Exit::Usage } else { Exit::Failed }
}

/// The command of a wrong call.
fn command_of(args: &[OsString]) -> Option<String> {
    let commands = Cli::command();
    let is_one = |word: &&OsString| {
        commands.get_subcommands().any(|command| command.get_name() == word.as_os_str())
    };
    args.iter().skip(1).find(is_one).map(|word| word.to_string_lossy().into_owned())
}

/// The store of `--store`, or of the environment.
fn store_order(given: Option<PathBuf>) -> StoreOrder {
    let named = given.or_else(|| from_environment("RUSTIC_STORE"));
    named.map_or(StoreOrder::Usual, StoreOrder::At)
}

/// A path in a variable; an empty one is none.
fn from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
