//! rustic beside tar, pigz and bsdtar.

use crate::floor::rustic;
use crate::image::debian;
use crate::runner::{Runner, compare, first_line, machine, succeed};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two archives into fresh directories on a tmpfs, with the memory that each program takes.
pub(crate) fn measure(rounds: usize) -> Result<()> {
    let rustic = &rustic();
    let memory = Path::new("/dev/shm");
    if first_line("stat", &["-f", "-c", "%T", "/dev/shm"])? != "tmpfs" {
        bail!("/dev/shm is no tmpfs here, and a disk would be measured in place of the programs");
    }
    let dir = tempfile::tempdir_in(memory)?;
    let out = dir.path().join("out");
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/rootfs.tar.gz");
    println!("{}, on a tmpfs; {rounds} rounds in turn, ratio to rustic's median", machine()?);
    let debian = debian(dir.path())?;
    let of_debian = [
        ("a Debian root, gzip", debian.clone()),
        ("the same, zstd -19", packed(dir.path(), "zst", &["zstd", "-q", "-19", "-T0"])?),
        ("the same, xz", packed(dir.path(), "xz", &["xz"])?),
    ];
    for (what, archive) in of_debian.into_iter().chain([("the built-in root", built_in)]) {
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

/// The Debian root, packed by another program, in one stream of one block where it has blocks.
fn packed(folder: &Path, ending: &str, by: &[&str]) -> Result<PathBuf> {
    let plain = std::env::var("RUSTIC_DEBIAN_ROOT").context("RUSTIC_DEBIAN_ROOT")?;
    let archive = folder.join(format!("debian.tar.{ending}"));
    let mut command = Command::new(by[0]);
    command.args(&by[1..]).args(["--stdout", &plain]).stdout(fs::File::create(&archive)?);
    succeed(&mut command)?;
    Ok(archive)
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
    let tar = |name: String, options: &[&str]| {
        Runner::new(name, &[&["tar"], options, &["-xf", archive, "-C", to]].concat())
    };
    let rustic = Runner::new("rustic rootfs unpack", &[rustic, "rootfs", "unpack", archive, to]);
    let bsdtar = Runner::new(version("bsdtar")?, &["bsdtar", "-xf", archive, "-C", to]);
    let pigz = tar(format!("tar -I {}", version("pigz")?), &["-I", "pigz"]);
    let is_gzip = archive.ends_with(".gz");
    let all = [rustic, tar(format!("{}, xf", version("tar")?), &[])];
    let all = all.into_iter().chain(is_gzip.then_some(pigz)).chain([bsdtar]);
    Ok(all.map(|runner| runner.into_fresh(out)).collect())
}
