//! Programs in turn, and their times side by side.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One of those that are compared.
pub(crate) struct Runner {
    pub(crate) name: String,
    words: Vec<String>,
    /// A directory that is made anew before each run, unmeasured.
    fresh: Option<PathBuf>,
    times: Vec<Duration>,
    failures: usize,
}

impl Runner {
    pub(crate) fn new(name: impl Into<String>, words: &[&str]) -> Self {
        Self {
            name: name.into(),
            words: words.iter().map(|&word| word.to_owned()).collect(),
            fresh: None,
            times: Vec::new(),
            failures: 0,
        }
    }

    pub(crate) fn into_fresh(self, directory: &Path) -> Self {
        Self { fresh: Some(directory.to_owned()), ..self }
    }

    /// The command, when everything is ready for it.
    fn command(&self) -> Result<Command> {
        if let Some(directory) = &self.fresh {
            let _ = fs::remove_dir_all(directory);
            fs::create_dir(directory)?;
        }
        let mut command = Command::new(&self.words[0]);
        // A stream that is a file costs rustic a relay, and its peers nothing.
        let (words, null) = (&self.words[1..], Stdio::null);
        command.args(words).stdin(null()).stdout(null()).stderr(null());
        Ok(command)
    }

    /// The memory of its largest process at its peak, in KiB, by time(1).
    pub(crate) fn peak(&self) -> Result<u64> {
        let command = self.command()?;
        let mut measured = Command::new("/usr/bin/time");
        let output = measured
            .args(["-q", "-f", "%M"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdout(Stdio::null())
            .output()?;
        Ok(String::from_utf8(output.stderr)?.trim().parse()?)
    }

    /// Runs it once, and notes how long that took or that it failed.
    fn round(&mut self) -> Result<()> {
        let mut command = self.command()?;
        let since = Instant::now();
        let status = command.status().with_context(|| self.words.join(" "))?;
        if status.success() {
            self.times.push(since.elapsed());
        } else {
            self.failures += 1;
        }
        Ok(())
    }

    /// The time below which a share of the runs lies.
    fn at(&self, share: f64) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        sorted[((sorted.len() - 1) as f64 * share).round() as usize]
    }
}

/// Runs each once as a warm-up and then all in turn, and prints medians, spread, failures, and
/// ratios to the first.
pub(crate) fn compare(mut runners: Vec<Runner>, rounds: usize) -> Result<Vec<Runner>> {
    for runner in &mut runners {
        runner.round()?;
        if runner.failures > 0 {
            bail!("{}: fails", runner.words.join(" "));
        }
        runner.times.clear();
    }
    for _ in 0..rounds {
        runners.iter_mut().try_for_each(Runner::round)?;
    }
    ensure!(runners.iter().all(|one| !one.times.is_empty()), "one of them failed every time");
    let first = runners[0].at(0.5).as_secs_f64();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{:<40} {:>8} {:>8} {:>8} {:>8} {:>7}", "", "median", "min", "p10", "p90", "ratio");
    for runner in &runners {
        let [median, min, p10, p90] =
            [0.5, 0.0, 0.1, 0.9].map(|share| milliseconds(runner.at(share)));
        let failures = told(runner.failures);
        println!(
            "{:<40} {median:>5.2} ms {min:>5.2} ms {p10:>5.2} ms {p90:>5.2} ms {:>7.2}{failures}",
            runner.name,
            median / 1e3 / first
        );
    }
    Ok(runners)
}

/// How many runs failed, where some did, for the end of a line.
pub(crate) fn told(failures: usize) -> String {
    if failures == 0 { String::new() } else { format!("  {failures} failed") }
}

/// The machine that is measured: its kernel and its processors.
pub(crate) fn machine() -> Result<String> {
    let (kernel, processors) =
        (first_line("uname", &["-r"])?, std::thread::available_parallelism()?);
    Ok(format!("linux {kernel}, {processors} processors"))
}

/// Runs a command that must end with 0.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// The first line that a program prints.
pub(crate) fn first_line(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output()?;
    Ok(String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().to_owned())
}
