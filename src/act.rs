//! Each command, from what the command line asks for to an exit code.

use crate::cli::{Asked, Other, RootfsOrder, Show, VerifyOrder, Whose};
use crate::error::Failure;
use crate::exit::Exit;
use crate::host::Host;
use crate::own_name;
use crate::rootfs::command::{self, OutputFormat};
use crate::spec::{self, RunOptions, Verbosity};
use crate::verify::foreign::order::LauncherOrder;
use crate::verify::role::Through;
use crate::{invoke, run, sys, verify};
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// What a program of this name and with these arguments is, before anything is read of them: under
/// the article's name the article's program. `None` where it is rustic.
pub fn by_name(args: &[OsString]) -> Option<Exit> {
    let (program, words) = args.split_first()?;
    let program = program.to_string_lossy();
    program.ends_with(invoke::NAME).then(|| invoke::main(&program, words))
}

/// Does what was asked for.
///
/// # Errors
/// A [`Failure`], perhaps with a context before it.
pub fn act(asked: Asked) -> Result<Exit> {
    match asked {
        Asked::Run(options) => run(*options),
        Asked::Verify(order) => verify(*order),
        Asked::Rootfs(order) => rootfs(&order),
        Asked::Invoke(words) => Ok(invoke::main(&format!("{} invoke", own_name::get()), &words)),
        Asked::Probe(on) => Ok(verify::agent::main(on)?),
        Asked::Init(words) => Ok(run::init::main(&words)?),
        Asked::Text(text) => shown(&text),
        Asked::Files { pages, into } => written(&pages, &into),
        Asked::Usage(usage) => Err(usage.into()),
        Asked::Refused(failure) => Err(failure.into()),
    }
}

fn rootfs(order: &RootfsOrder) -> Result<Exit> {
    sys::ignore_sigxfsz();
    let host = Host::read()?;
    let store = spec::store(order.store.as_deref(), &host)?;
    shown(&command::act(&order.command, store.as_deref(), order.output, &host)?)
}

fn run(wanted: RunOptions) -> Result<Exit> {
    sys::ignore_sigxfsz();
    let host = Host::read()?;
    let spec = wanted.check(&host)?;
    if spec.talk != Verbosity::DryRun {
        let ran = run::run(&spec, &host);
        return Ok(ran.map_err(|failure| match spec::meant_as_a_root(&spec) {
            Some(root) if failure.exit == Exit::NotFound => failure.remedy(root),
            _ => failure,
        })?);
    }
    let plan = run::planned(&spec, &host)?;
    let steps = plan.steps.iter().enumerate();
    let lines = steps.map(|(number, step)| run::progress::explained(number, step) + "\n");
    shown(&lines.collect::<String>())
}

fn verify(asked: VerifyOrder) -> Result<Exit> {
    if asked.show == Show::List {
        return shown(&verify::report::catalogue::list(&asked.order.walls));
    }
    if asked.show == Show::Recipes {
        return shown(&verify::report::catalogue::recipes());
    }
    sys::ignore_sigxfsz();
    let host = Host::read()?;
    let spec = asked.wanted.clone().check(&host).map_err(|failure| failure.exit(Exit::Usage))?;
    if let Whose::Launchers { launchers, through } = &asked.whose {
        let orders = others(launchers, *through, &asked.wanted, &host)?;
        let rows = verify::launchers(&asked.order, &orders, &spec, &host);
        shown(&match (asked.output, asked.show) {
            (OutputFormat::Json, _) => format!("{:#}\n", rows.json()),
            (OutputFormat::Text, Show::Why) => rows.why(),
            (OutputFormat::Text, _) => rows.table(),
        })?;
        return Ok(rows.exit());
    }
    // Why it cannot be had is told by the container, which then does not start.
    let spec = run::with_image(spec.clone(), &host).unwrap_or(spec);
    let mut expected = asked.order.expected.iter();
    if let Some((wall, _)) = expected.find(|(wall, _)| !asked.order.walls.contains(wall)) {
        let failure = Failure::new(format!("--expect {}: this wall is not tried", wall.name()))
            .remedy(format!("--only with {} too", wall.name()));
        return Err(failure.exit(Exit::Usage).into());
    }
    if asked.show == Show::Flip {
        let flip = verify::flip(&asked.order, &asked.wanted, &spec, &host);
        shown(&match asked.output {
            OutputFormat::Json => format!("{:#}\n", flip.json()),
            OutputFormat::Text => flip.matrix(),
        })?;
        return Ok(flip.exit());
    }
    let report = verify::verify(&asked.order, &spec, &host);
    shown(&match (asked.output, asked.show) {
        (OutputFormat::Json, _) => format!("{:#}\n", report.json()),
        (OutputFormat::Text, Show::Why) => report.why(),
        (OutputFormat::Text, _) => report.table(),
    })?;
    Ok(report.exit())
}

/// The launchers that are asked for, with nothing asked for that is of rustic's containers alone.
fn others(
    launchers: &[Other],
    through: Through,
    wanted: &RunOptions,
    host: &Host,
) -> Result<Vec<LauncherOrder>, Failure> {
    let none = RunOptions {
        rootfs: wanted.rootfs.clone(),
        store: wanted.store.clone(),
        image: wanted.image.clone(),
        ..RunOptions::default()
    };
    if *wanted != none {
        let usual = none.arguments();
        let mut words = wanted.arguments().into_iter().filter(|word| !usual.contains(word));
        let word = words.next().unwrap_or_default();
        let failure = Failure::new(format!(
            "{}: an option of rustic's own containers, and not of other launchers",
            word.to_string_lossy()
        ));
        return Err(failure.exit(Exit::Usage));
    }
    let order = |other: &Other| match other {
        Other::Recipe(recipe) => Ok(recipe.order(host.uid)),
        Other::Command(command) if !command.has_probe() => {
            let failure = Failure::new("the launcher is not told to start {probe}")
                .remedy("rustic verify -- unshare -m {probe}");
            Err(failure.exit(Exit::Usage))
        }
        Other::Command(command) => Ok(LauncherOrder::new(command.clone(), through, host.uid)),
    };
    launchers.iter().map(order).collect()
}

/// Files of a directory that is there.
fn written(files: &[(String, Vec<u8>)], into: &Path) -> Result<Exit> {
    for (name, text) in files {
        let path = into.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Exit::Command(0))
}

/// A result, on stdout; one that could not be written is none. Who reads the first lines only has
/// had what was wanted.
fn shown(text: &str) -> Result<Exit> {
    const CANNOT: &str = "cannot write to stdout";
    ensure!(!sys::stdout_is_closed(), "{CANNOT}: it is closed");
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.context(CANNOT)?,
    }
    Ok(Exit::Command(0))
}
