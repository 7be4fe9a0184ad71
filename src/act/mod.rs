//! Each command, from what the command line asks for to an exit code.

mod stdout;
mod verify;

use crate::cli::{Asked, DoctorOrder, RootfsOrder};
use crate::exit::Exit;
use crate::host::Host;
use crate::own_name;
use crate::rootfs::command;
use crate::spec::{self, RunOptions, Verbosity};
use crate::verify::agent;
use crate::{doctor, invoke, run, sys};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;
use stdout::shown;

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
        Asked::Verify(order) => verify::act(*order),
        Asked::Rootfs(order) => rootfs(&order),
        Asked::Doctor(order) => doctor(&order),
        Asked::Invoke(words) => Ok(invoke::main(&format!("{} invoke", own_name::get()), &words)),
        Asked::Probe(on) => Ok(agent::main(on)?),
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
    let store = spec::store(&order.store, &host)?;
    shown(&command::act(&order.command, store.as_deref(), order.output, &host)?)
}

fn doctor(order: &DoctorOrder) -> Result<Exit> {
    let host = Host::read()?;
    let Some(form) = order.form else {
        return shown(&doctor::apparmor_profile()?);
    };
    let store = spec::store(&order.store, &host)?;
    let diagnosis = doctor::examine(&host, store.as_deref())?;
    shown(&diagnosis.text(form, &host))?;
    Ok(diagnosis.exit())
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

/// Files of a directory that is there.
fn written(files: &[(String, Vec<u8>)], into: &Path) -> Result<Exit> {
    for (name, text) in files {
        let path = into.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Exit::Command(0))
}
