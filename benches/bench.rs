//! `scripts/bench start`: rustic beside its peers, in turn, with the same root and the same payload. Times are those of a whole process, from
//! spawn to exit; what counts is the ratio of two medians of one run.
#![allow(clippy::print_stdout, reason = "its output is its job")]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let result = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["start"] => start(100),
        ["start", rounds] => rounds.parse().map_err(Into::into).and_then(start),
        _ => Err("usage: scripts/bench start [ROUNDS]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One of those that are compared.
struct Runner {
    name: String,
    words: Vec<String>,
    times: Vec<Duration>,
}

impl Runner {
    fn new(name: impl Into<String>, words: &[&str]) -> Self {
        Self { name: name.into(), words: words.iter().map(|&word| word.to_owned()).collect(), times: Vec::new() }
    }

    fn once(&self) -> Fallible<Duration> {
        let since = Instant::now();
        let status = Command::new(&self.words[0]).args(&self.words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        let took = since.elapsed();
        if status.success() { Ok(took) } else { Err(format!("{}: {status}", self.words.join(" ")).into()) }
    }

    /// The time below which a share of the runs lies.
    fn at(&self, share: f64) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        sorted[((sorted.len() - 1) as f64 * share).round() as usize]
    }
}

/// Runs each once as a warm-up and then all in turn, and prints medians, spread, and ratios to the first.
fn compare(mut runners: Vec<Runner>, rounds: usize) -> Fallible<()> {
    for runner in &runners {
        runner.once()?;
    }
    for _ in 0..rounds {
        for runner in &mut runners {
            let took = runner.once()?;
            runner.times.push(took);
        }
    }
    let first = runners[0].at(0.5).as_secs_f64();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{:<40} {:>8} {:>8} {:>8} {:>8} {:>7}", "", "median", "min", "p10", "p90", "ratio");
    for runner in &runners {
        let [median, min, p10, p90] = [0.5, 0.0, 0.1, 0.9].map(|share| milliseconds(runner.at(share)));
        println!("{:<40} {median:>5.2} ms {min:>5.2} ms {p10:>5.2} ms {p90:>5.2} ms {:>7.2}", runner.name, median / 1e3 / first);
    }
    Ok(())
}

fn start(rounds: usize) -> Fallible<()> {
    let rustic = env!("CARGO_BIN_EXE_rustic");
    let dir = tempfile::tempdir()?;
    let root = dir.path().to_str().ok_or("a temporary folder that is not text")?;
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/rootfs.tar.gz");
    succeed(Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(root))?;
    println!("start of `true` on the built-in root, {rounds} rounds in turn; ratio to rustic's median");
    println!("linux {}, {} processors\n", first_line("uname", &["-r"])?, std::thread::available_parallelism()?);
    let proc = format!("--mount-proc={root}/proc");
    compare(
        vec![
            Runner::new("rustic run", &[rustic, "run", "true"]),
            Runner::new("rustic run --ready none", &[rustic, "run", "--ready", "none", "true"]),
            Runner::new("rustic run --rootfs DIR", &[rustic, "run", "--rootfs", root, "true"]),
            Runner::new(
                format!("{}, chroot", first_line("unshare", &["--version"])?),
                &["unshare", "-mpuinf", &proc, "chroot", root, "/bin/true"],
            ),
            Runner::new(
                first_line("bwrap", &["--version"])?,
                &[
                    "bwrap",
                    "--unshare-pid",
                    "--unshare-uts",
                    "--unshare-net",
                    "--unshare-ipc",
                    "--unshare-cgroup",
                    "--bind",
                    root,
                    "/",
                    "--proc",
                    "/proc",
                    "--dev",
                    "/dev",
                    "true",
                ],
            ),
        ],
        rounds,
    )
}

fn succeed(command: &mut Command) -> Fallible<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

fn first_line(program: &str, args: &[&str]) -> Fallible<String> {
    let output = Command::new(program).args(args).output()?;
    Ok(String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().to_owned())
}
