//! parse → act → print the one error → exit code.

use anstream::AutoStream;
use rustic::cli::{self, Asked, RootfsOrder, Show, VerifyOrder};
use rustic::error::Failure;
use rustic::exit::{Exit, FORBIDDEN_CALL};
use rustic::host::Host;
use rustic::rootfs::command::{self, OutputFormat as Output};
use rustic::spec::{self, RunOptions, Verbosity};
use rustic::{invoke, run, sys, verify};
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    sys::reset_sigchld();
    let mut args = std::env::args_os();
    // Under the article's name the binary is the article's program.
    if let Some(program) =
        args.next().filter(|program| program.to_string_lossy().ends_with(invoke::NAME))
    {
        return invoke::main(&program.to_string_lossy(), &args.collect::<Vec<_>>()).into();
    }
    let (asked, color) = cli::parse(std::env::args_os());
    color.write_global();
    let exit = match asked {
        Asked::Run(wanted) => run(*wanted).unwrap_or_else(|failure| told(&failure, failure.exit)),
        Asked::Verify(order) => {
            verify(*order).unwrap_or_else(|failure| told(&failure, failure.exit))
        }
        Asked::Probe(channel) => {
            verify::agent::main(channel).unwrap_or_else(|failure| told(&failure, failure.exit))
        }
        Asked::Rootfs(order) => {
            rootfs(&order).unwrap_or_else(|failure| told(&failure, failure.exit))
        }
        Asked::Invoke(words) => invoke::main("rustic invoke", &words),
        Asked::Init(words) => match run::init::main(&words) {
            Ok(exit @ Exit::Signal(libc::SIGSYS)) => {
                told(&format!("warning: {FORBIDDEN_CALL}"), exit)
            }
            Ok(exit) => exit,
            Err(failure) => told(&failure, failure.exit),
        },
        Asked::Text(text) => shown(&text).unwrap_or_else(|failure| told(&failure, failure.exit)),
        Asked::Usage(text, exit) => told(&text, exit),
        Asked::Refused(failure) => told(&failure, failure.exit),
    };
    exit.into()
}

fn rootfs(order: &RootfsOrder) -> Result<Exit, Failure> {
    sys::ignore_sigxfsz();
    let host = Host::read()?;
    let store = spec::store(order.store.as_deref(), &host)?;
    shown(&command::act(&order.command, store.as_deref(), order.output, &host)?)
}

fn run(wanted: RunOptions) -> Result<Exit, Failure> {
    sys::ignore_sigxfsz();
    let host = Host::read()?;
    let spec = wanted.check(&host)?;
    if spec.talk != Verbosity::DryRun {
        return run::run(&spec, &host);
    }
    let plan = run::planned(&spec, &host)?;
    let lines = plan
        .steps
        .iter()
        .enumerate()
        .map(|(number, step)| run::progress::explained(number, step) + "\n");
    shown(&lines.collect::<String>())
}

fn verify(asked: VerifyOrder) -> Result<Exit, Failure> {
    if asked.show == Show::List {
        return shown(&verify::report::catalogue::list(&asked.order.walls));
    }
    sys::ignore_sigxfsz();
    let host = Host::read()?;
    let spec = asked.wanted.clone().check(&host).map_err(|failure| failure.exit(Exit::Usage))?;
    if let Some((wall, _)) =
        asked.order.expected.iter().find(|(wall, _)| !asked.order.walls.contains(wall))
    {
        let failure = Failure::new(format!("--expect {}: this wall is not tried", wall.name()));
        return Err(failure.remedy(format!("--only with {} too", wall.name())).exit(Exit::Usage));
    }
    if asked.show == Show::Flip {
        let flip = verify::flip(&asked.order, &asked.wanted, &spec, &host);
        shown(&if asked.output == Output::Json {
            format!("{:#}\n", flip.json())
        } else {
            flip.matrix()
        })?;
        return Ok(flip.exit());
    }
    let report = verify::verify(&asked.order, &spec, &host);
    let text = match (asked.output, asked.show) {
        (Output::Json, _) => format!("{:#}\n", report.json()),
        (_, Show::Why) => report.why(),
        _ => report.table(),
    };
    shown(&text)?;
    Ok(report.exit())
}

/// A result, on stdout; one that could not be written is none. Who reads the first lines only has
/// had what was wanted.
fn shown(text: &str) -> Result<Exit, Failure> {
    if sys::stdout_is_closed() {
        return Err(Failure::new("cannot write to stdout: it is closed"));
    }
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(Exit::Command(0)),
    }
}

/// The one error, on stderr, in one write: others write there too.
fn told(error: &impl Display, exit: Exit) -> Exit {
    let name = anstyle::AnsiColor::Red.on_default().bold();
    let stderr = std::io::stderr();
    let mut line = AutoStream::new(Vec::new(), AutoStream::choice(&stderr));
    let _ = writeln!(line, "{name}rustic:{name:#} {error}");
    let _ = stderr.lock().write_all(&line.into_inner());
    exit
}
