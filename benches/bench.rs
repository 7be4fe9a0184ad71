//! `scripts/bench start`: rustic beside its peers, in turn, with the same root and the same
//! payload. `scripts/bench image`: a start on a whole Debian root that has been unpacked before,
//! beside the built-in one. `scripts/bench unpack`: rustic beside tar, pigz and bsdtar.
//! `scripts/bench streams`: a file through stdin and stdout. `scripts/bench verify`: a verification
//! beside a start. Times are those of a whole process, from
//! spawn to exit; what counts is the ratio of two medians of one run.
#![allow(clippy::print_stdout, reason = "its output is its job")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let result = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["start"] => start(100),
        ["start", rounds] => rounds.parse().map_err(Into::into).and_then(start),
        ["image"] => image(100),
        ["image", rounds] => rounds.parse().map_err(Into::into).and_then(image),
        ["streams"] => streams(10),
        ["streams", rounds] => rounds.parse().map_err(Into::into).and_then(streams),
        ["verify"] => verify(50),
        ["verify", rounds] => rounds.parse().map_err(Into::into).and_then(verify),
        ["unpack"] => unpack(20),
        ["unpack", rounds] => rounds.parse().map_err(Into::into).and_then(unpack),
        _ => Err("usage: scripts/bench start|image|streams|unpack|verify [ROUNDS]".into()),
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
    /// A directory that is made anew before each run, unmeasured.
    fresh: Option<PathBuf>,
    times: Vec<Duration>,
}

impl Runner {
    fn new(name: impl Into<String>, words: &[&str]) -> Self {
        Self {
            name: name.into(),
            words: words.iter().map(|&word| word.to_owned()).collect(),
            fresh: None,
            times: Vec::new(),
        }
    }

    fn into_fresh(self, directory: &Path) -> Self {
        Self { fresh: Some(directory.to_owned()), ..self }
    }

    /// The command, when everything is ready for it.
    fn command(&self) -> Fallible<Command> {
        if let Some(directory) = &self.fresh {
            let _ = fs::remove_dir_all(directory);
            fs::create_dir(directory)?;
        }
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    /// The memory of its largest process at its peak, in KiB, by time(1).
    fn peak(&self) -> Fallible<u64> {
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

    fn once(&self) -> Fallible<Duration> {
        let mut command = self.command()?;
        let since = Instant::now();
        let status = command.status()?;
        let took = since.elapsed();
        if status.success() {
            Ok(took)
        } else {
            Err(format!("{}: {status}", self.words.join(" ")).into())
        }
    }

    /// The time below which a share of the runs lies.
    fn at(&self, share: f64) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        sorted[((sorted.len() - 1) as f64 * share).round() as usize]
    }
}

/// Runs each once as a warm-up and then all in turn, and prints medians, spread, and ratios to the
/// first.
fn compare(mut runners: Vec<Runner>, rounds: usize) -> Fallible<Vec<Runner>> {
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
        let [median, min, p10, p90] =
            [0.5, 0.0, 0.1, 0.9].map(|share| milliseconds(runner.at(share)));
        println!(
            "{:<40} {median:>5.2} ms {min:>5.2} ms {p10:>5.2} ms {p90:>5.2} ms {:>7.2}",
            runner.name,
            median / 1e3 / first
        );
    }
    Ok(runners)
}

fn start(rounds: usize) -> Fallible<()> {
    let rustic = env!("CARGO_BIN_EXE_rustic");
    let dir = tempfile::tempdir()?;
    let root = dir.path().to_str().ok_or("a temporary folder that is not text")?;
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/rootfs.tar.gz");
    succeed(Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(root))?;
    println!(
        "start of `true` on the built-in root, {rounds} rounds in turn; ratio to rustic's median"
    );
    println!(
        "linux {}, {} processors\n",
        first_line("uname", &["-r"])?,
        std::thread::available_parallelism()?
    );
    let proc = format!("--mount-proc={root}/proc");
    // Another rustic beside it, that of the commit before: RUSTIC_BEFORE names its binary.
    let before = std::env::var("RUSTIC_BEFORE").ok();
    let before =
        before.as_ref().map(|path| Runner::new("the rustic before", &[path, "run", "true"]));
    compare(
        [
            Runner::new("rustic run", &[rustic, "run", "true"]),
            Runner::new("rustic run --ready none", &[rustic, "run", "--ready", "none", "true"]),
            Runner::new("rustic run --seccomp none", &[rustic, "run", "--seccomp", "none", "true"]),
            Runner::new(
                "rustic run --stdio inherit",
                &[rustic, "run", "--stdio", "inherit", "true"],
            ),
            Runner::new("rustic run --proc open", &[rustic, "run", "--proc", "open", "true"]),
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
        ]
        .into_iter()
        .chain(before)
        .collect(),
        rounds,
    )
    .map(drop)?;
    filter()
}

/// How long the default filter takes to be made, in a process that has never made one: the worst
/// case, as it is at a start.
fn filter() -> Fallible<()> {
    use rustic::namespace::Switch;
    use rustic::walls::seccomp::{SelfSignals, compile, default};
    let order = default::FilterOptions {
        capabilities: 0xa804_25fb,
        nest: Switch::No,
        self_signals: SelfSignals::Told,
    };
    let since = Instant::now();
    let program = compile(&default::policy(order)).map_err(|refusal| refusal.to_string())?;
    let first = since.elapsed();
    println!(
        "\nthe default filter: {} instructions, made in {:.0} µs",
        program.len(),
        first.as_secs_f64() * 1e6
    );
    Ok(())
}

/// A file copied through the standard streams, beside the same without rustic.
fn streams(rounds: usize) -> Fallible<()> {
    const MEBIBYTES: usize = 512;
    let rustic = env!("CARGO_BIN_EXE_rustic");
    let dir = tempfile::tempdir()?;
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::write(&from, vec![7; MEBIBYTES << 20])?;
    println!("{MEBIBYTES} MiB from file to file by dd bs=128k, {rounds} rounds in turn");
    println!("linux {}\n", first_line("uname", &["-r"])?);
    let copy = |name: &str, words: &str, how: &str| {
        let (from, to) = (from.display(), to.display());
        Runner::new(
            name,
            &["sh", "-c", &format!("{words} dd bs=128k <{from} {how}{to} 2>/dev/null")],
        )
    };
    let (plain, inside) = (String::from("busybox"), format!("{rustic} run"));
    let runners = vec![
        copy("busybox dd <from >to", &plain, ">"),
        copy("rustic run dd <from >to", &inside, ">"),
    ];
    compare(runners, rounds).map(drop)
}

/// The archive that scripts/debian-root has made, packed with gzip in a folder.
fn debian(folder: &Path) -> Fallible<PathBuf> {
    let plain = std::env::var("RUSTIC_DEBIAN_ROOT")
        .map_err(|_| "RUSTIC_DEBIAN_ROOT names no archive; scripts/bench makes one")?;
    let packed = folder.join("debian.tar.gz");
    succeed(Command::new("gzip").arg("--stdout").arg(plain).stdout(fs::File::create(&packed)?))?;
    Ok(packed)
}

/// A verification has a stage, two controls and the container; with `--flip` eight containers more.
fn verify(rounds: usize) -> Fallible<()> {
    let rustic = env!("CARGO_BIN_EXE_rustic");
    println!("rustic verify, {rounds} rounds in turn; ratio to the median of a start of `true`");
    println!(
        "linux {}, {} processors\n",
        first_line("uname", &["-r"])?,
        std::thread::available_parallelism()?
    );
    let verify = |options: &[&str]| {
        Runner::new(
            ["rustic verify", options.join(" ").as_str()].join(" "),
            &[&[rustic, "verify"], options].concat(),
        )
    };
    let runners = vec![
        Runner::new("rustic run true", &[rustic, "run", "true"]),
        verify(&[]),
        verify(&["--only", "ipc"]),
        verify(&["--flip"]),
    ];
    compare(runners, rounds).map(drop)
}

fn image(rounds: usize) -> Fallible<()> {
    let rustic = env!("CARGO_BIN_EXE_rustic");
    let dir = tempfile::tempdir()?;
    let text =
        |path: &Path| path.to_str().map(str::to_owned).ok_or("a temporary folder that is not text");
    let packed = text(&debian(dir.path())?)?;
    let store = text(&dir.path().join("store"))?;
    // The same static program in both.
    let payload = "/bin/busybox:/tmp/busybox";
    println!(
        "a further start of the same static program, {rounds} rounds in turn; ratio to the \
            built-in root's median"
    );
    println!(
        "linux {}, {} processors\n",
        first_line("uname", &["-r"])?,
        std::thread::available_parallelism()?
    );
    let run = |rootfs: &[&str]| {
        [&[rustic, "run", "--store", &store, "--bind", payload], rootfs, &["/tmp/busybox", "true"]]
            .concat()
            .join("\n")
    };
    let runner = |name: &str, rootfs: &[&str]| {
        Runner::new(name, &run(rootfs).split('\n').collect::<Vec<_>>())
    };
    compare(
        vec![
            runner("the built-in root", &[]),
            runner("--rootfs debian.tar.gz", &["--rootfs", &packed]),
        ],
        rounds,
    )
    .map(drop)
}

fn unpack(rounds: usize) -> Fallible<()> {
    let rustic = env!("CARGO_BIN_EXE_rustic");
    let memory = Path::new("/dev/shm");
    if first_line("stat", &["-f", "-c", "%T", "/dev/shm"])? != "tmpfs" {
        return Err(
            "/dev/shm is no tmpfs here, and a disk would be measured in place of the programs"
                .into(),
        );
    }
    let dir = tempfile::tempdir_in(memory)?;
    let out = dir.path().join("out");
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/rootfs.tar.gz");
    println!(
        "linux {}, {} processors, on a tmpfs; {rounds} rounds in turn, ratio to rustic's median",
        first_line("uname", &["-r"])?,
        std::thread::available_parallelism()?
    );
    let version = |program: &str| {
        first_line(program, &["--version"])
            .map(|line| line.split(" - ").next().unwrap_or_default().to_owned())
    };
    for (what, archive) in [("a Debian root", debian(dir.path())?), ("the built-in root", built_in)]
    {
        let report = String::from_utf8(
            Command::new(rustic)
                .args(["rootfs", "unpack"])
                .arg(&archive)
                .arg(dir.path().join("shown"))
                .output()?
                .stdout,
        )?;
        println!(
            "\n{what}:{}",
            report.split(':').skip(1).collect::<Vec<_>>().join(":").trim_end().replace("\n ", ",")
        );
        fs::remove_dir_all(dir.path().join("shown"))?;
        let (archive, to) = (archive.to_str().ok_or("no text")?, out.to_str().ok_or("no text")?);
        let runners = compare(
            vec![
                Runner::new("rustic rootfs unpack", &[rustic, "rootfs", "unpack", archive, to])
                    .into_fresh(&out),
                Runner::new(
                    format!("{}, xzf", version("tar")?),
                    &["tar", "xzf", archive, "-C", to],
                )
                .into_fresh(&out),
                Runner::new(
                    format!("tar -I {}", version("pigz")?),
                    &["tar", "-I", "pigz", "-xf", archive, "-C", to],
                )
                .into_fresh(&out),
                Runner::new(version("bsdtar")?, &["bsdtar", "-xf", archive, "-C", to])
                    .into_fresh(&out),
            ],
            rounds,
        )?;
        for runner in runners {
            println!("{:<40} {:>5.1} MiB at its peak", runner.name, runner.peak()? as f64 / 1024.0);
        }
    }
    Ok(())
}

fn succeed(command: &mut Command) -> Fallible<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

fn first_line(program: &str, args: &[&str]) -> Fallible<String> {
    let output = Command::new(program).args(args).output()?;
    Ok(String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().to_owned())
}
