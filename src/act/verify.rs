//! `rustic verify`: whose container, what is told of it, and where.

use super::stdout::shown;
use crate::cli::{Other, Show, VerifyOrder, Whose};
use crate::error::{Failure, without_number};
use crate::exit::Exit;
use crate::host::Host;
use crate::rootfs::command::OutputFormat;
use crate::spec::RunOptions;
use crate::verify::foreign::order::LauncherOrder;
use crate::verify::judged::usual;
use crate::verify::report::annotations::annotations;
use crate::verify::report::catalogue;
use crate::verify::report::junit::junit;
use crate::verify::report::markdown::markdown;
use crate::verify::report::parts::Report;
use crate::verify::role::Through;
use crate::verify::stage::Scene;
use crate::{run, sys, verify};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Does what was asked for.
///
/// # Errors
/// A wrong call, a host that cannot be read, a file that cannot be written.
pub(super) fn act(asked: VerifyOrder) -> Result<Exit> {
    match (asked.show, asked.output) {
        (Show::List, OutputFormat::Text) => return shown(&catalogue::list(&asked.order.walls)),
        (Show::List, OutputFormat::Json) => {
            return shown(&format!("{:#}\n", catalogue::json(&asked.order.walls)));
        }
        (Show::Recipes, _) => return shown(&catalogue::recipes()),
        (Show::Table | Show::Why | Show::Flip, _) => {}
    }
    sys::ignore_sigxfsz();
    let host = Host::read()?;
    let spec = asked.wanted.clone().check(&host).map_err(|failure| failure.exit(Exit::Usage))?;
    let mut expected = asked.order.expected.iter();
    if let Some((wall, _)) = expected.find(|(wall, _)| !asked.order.walls.contains(wall)) {
        let failure = Failure::new(format!("--expect {}: this wall is not tried", wall.name()))
            .remedy(format!("--only with {} too", wall.name()));
        return Err(failure.exit(Exit::Usage).into());
    }
    if let Whose::Launchers { launchers, through, scene } = &asked.whose {
        let orders = others(launchers, (*through, *scene), &asked.wanted, &host)?;
        let files = Files::open(&asked)?;
        return told(&verify::launchers(&asked.order, &orders, &spec, &host), &asked, files);
    }
    if let Whose::Process(pid) = asked.whose {
        only_other(&asked.wanted)?;
        let files = Files::open(&asked)?;
        let report = verify::process(&asked.order, pid, &spec, &host)
            .map_err(|reason| Failure::new(format!("--process {pid}: {reason}")))?;
        return told(&report, &asked, files);
    }
    let files = Files::open(&asked)?;
    // Why it cannot be had is told by the container, which then does not start.
    let spec = run::with_image(spec.clone(), &host).unwrap_or(spec);
    if asked.show == Show::Flip {
        let flip = verify::flip(&asked.order, &asked.wanted, &spec, &host);
        return told(&flip, &asked, files);
    }
    told(&verify::verify(&asked.order, &spec, &host), &asked, files)
}

/// The files that a report is written to besides. What cannot be written is told before anything is
/// tried.
struct Files {
    junit: Option<File>,
    markdown: Option<File>,
}

impl Files {
    fn open(asked: &VerifyOrder) -> Result<Self, Failure> {
        if asked.junit.is_some() && asked.junit == asked.markdown {
            let failure = Failure::new("--junit and --markdown: one file cannot hold both");
            return Err(failure.exit(Exit::Usage));
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(opened).transpose();
        Ok(Self { junit: open(&asked.junit)?, markdown: open(&asked.markdown)? })
    }
}

fn opened(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| {
        Failure::new(format!("cannot write {}: {}", path.display(), without_number(&error)))
    })
}

/// Tells it: on stdout, in files, and to the runner of a CI.
fn told(report: &impl Report, asked: &VerifyOrder, files: Files) -> Result<Exit> {
    let mut text = match (asked.output, asked.show) {
        (OutputFormat::Json, _) => format!("{:#}\n", report.json(asked.detail)),
        (OutputFormat::Text, Show::Why) => report.why(),
        (OutputFormat::Text, _) => report.table(asked.detail),
    };
    let runner = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    if runner && asked.output == OutputFormat::Text {
        text.push_str(&annotations(report));
    }
    shown(&text)?;
    if let Some(mut file) = files.junit {
        file.write_all(junit(report)?.as_bytes()).context("cannot write the file of --junit")?;
    }
    if let Some(mut file) = files.markdown {
        let text = markdown(report);
        file.write_all(text.as_bytes()).context("cannot write the file of --markdown")?;
    }
    Ok(report.exit())
}

/// The launchers that are asked for, with nothing asked for that is of rustic's containers alone.
fn others(
    launchers: &[Other],
    (through, scene): (Through, Scene),
    wanted: &RunOptions,
    host: &Host,
) -> Result<Vec<LauncherOrder>, Failure> {
    only_other(wanted)?;
    let order = |other: &Other| match other {
        Other::Recipe(recipe) => Ok(recipe.order(host.uid)),
        Other::Command(command) if !command.has_probe() => {
            let failure = Failure::new("the launcher is not told to start {probe}")
                .remedy("rustic verify -- unshare -m {probe}");
            Err(failure.exit(Exit::Usage))
        }
        Other::Command(command) => {
            Ok(LauncherOrder::new(command.clone(), through, scene, usual(host.uid).collect()))
        }
    };
    launchers.iter().map(order).collect()
}

/// Nothing is asked for that is of rustic's own containers alone.
fn only_other(wanted: &RunOptions) -> Result<(), Failure> {
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
    Ok(())
}
