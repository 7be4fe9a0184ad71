//! rustic beside tar, pigz and bsdtar.

use crate::image::debian;
use crate::runner::{Runner, compare, first_line, machine};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Two archives into fresh directories on a tmpfs, with the memory that each program takes.
pub(crate) fn measure(rounds: usize) -> Result<()> {
    let rustic = env!("CARGO_BIN_EXE_rustic");
    let memory = Path::new("/dev/shm");
    if first_line("stat", &["-f", "-c", "%T", "/dev/shm"])? != "tmpfs" {
        bail!("/dev/shm is no tmpfs here, and a disk would be measured in place of the programs");
    }
    let dir = tempfile::tempdir_in(memory)?;
    let out = dir.path().join("out");
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/rootfs.tar.gz");
    println!("{}, on a tmpfs; {rounds} rounds in turn, ratio to rustic's median", machine()?);
    for (what, archive) in [("a Debian root", debian(dir.path())?), ("the built-in root", built_in)]
    {
        println!("\n{what}:{}", contents(rustic, &archive, &dir.path().join("shown"))?);
        let (archive, to) =
            (archive.to_str().context("no text")?, out.to_str().context("no text")?);
        let runners = compare(runners(rustic, archive, to, &out)?, rounds)?;
        for runner in runners {
            println!("{:<40} {:>5.1} MiB at its peak", runner.name, runner.peak()? as f64 / 1024.0);
        }
    }
    Ok(())
}

/// What an archive holds, as rustic tells it once it has unpacked it into a directory, which is
/// removed again.
fn contents(rustic: &str, archive: &Path, to: &Path) -> Result<String> {
    let output =
        Command::new(rustic).args(["rootfs", "unpack"]).arg(archive).arg(to).output()?.stdout;
    fs::remove_dir_all(to)?;
    let report = String::from_utf8(output)?;
    Ok(report.split(':').skip(1).collect::<Vec<_>>().join(":").trim_end().replace("\n ", ","))
}

/// rustic and its peers, each into a fresh directory `out`, whose name is `to`.
fn runners(rustic: &str, archive: &str, to: &str, out: &Path) -> Result<Vec<Runner>> {
    let version = |program: &str| {
        first_line(program, &["--version"])
            .map(|line| line.split(" - ").next().unwrap_or_default().to_owned())
    };
    Ok(vec![
        Runner::new("rustic rootfs unpack", &[rustic, "rootfs", "unpack", archive, to])
            .into_fresh(out),
        Runner::new(format!("{}, xzf", version("tar")?), &["tar", "xzf", archive, "-C", to])
            .into_fresh(out),
        Runner::new(
            format!("tar -I {}", version("pigz")?),
            &["tar", "-I", "pigz", "-xf", archive, "-C", to],
        )
        .into_fresh(out),
        Runner::new(version("bsdtar")?, &["bsdtar", "-xf", archive, "-C", to]).into_fresh(out),
    ])
}
