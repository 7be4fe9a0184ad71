//! The start of a program that ends at once, rustic beside its peers.

use crate::runner::{Runner, compare, first_line, machine, succeed};
use anyhow::{Context, Result, anyhow};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// `true` on the built-in root, by rustic in several ways and by its peers.
pub(crate) fn measure(rounds: usize) -> Result<()> {
    let rustic = env!("CARGO_BIN_EXE_rustic");
    let dir = tempfile::tempdir()?;
    let root = dir.path().to_str().context("a temporary folder that is not text")?;
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/rootfs.tar.gz");
    succeed(Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(root))?;
    println!(
        "start of `true` on the built-in root, {rounds} rounds in turn; ratio to rustic's median"
    );
    println!("{}\n", machine()?);
    // Another rustic beside it, that of the commit before: RUSTIC_BEFORE names its binary.
    let before = std::env::var("RUSTIC_BEFORE").ok();
    let before =
        before.as_ref().map(|path| Runner::new("the rustic before", &[path, "run", "true"]));
    compare(runners(rustic, root)?.into_iter().chain(before).collect(), rounds).map(drop)?;
    filter()
}

/// rustic in several ways, and its peers on an unpacked root.
fn runners(rustic: &str, root: &str) -> Result<Vec<Runner>> {
    let proc = format!("--mount-proc={root}/proc");
    Ok(vec![
        Runner::new("rustic run", &[rustic, "run", "true"]),
        Runner::new("rustic run --ready none", &[rustic, "run", "--ready", "none", "true"]),
        Runner::new("rustic run --seccomp none", &[rustic, "run", "--seccomp", "none", "true"]),
        Runner::new("rustic run --stdio inherit", &[rustic, "run", "--stdio", "inherit", "true"]),
        Runner::new("rustic run --proc open", &[rustic, "run", "--proc", "open", "true"]),
        Runner::new("rustic run --user yes", &[rustic, "run", "--user", "yes", "true"]),
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
    ])
}

/// How long the default filter takes to be made, in a process that has never made one: the worst
/// case, as it is at a start.
fn filter() -> Result<()> {
    use rustic::parts::Switch;
    use rustic::parts::seccomp::{SelfSignals, compile, default};
    let order = default::FilterOptions {
        capabilities: 0xa804_25fb,
        nest: Switch::No,
        self_signals: SelfSignals::Told,
    };
    let since = Instant::now();
    let program = compile(&default::policy(order)).map_err(|refusal| anyhow!("{refusal}"))?;
    let first = since.elapsed();
    println!(
        "\nthe default filter: {} instructions, made in {:.0} µs",
        program.len(),
        first.as_secs_f64() * 1e6
    );
    Ok(())
}
