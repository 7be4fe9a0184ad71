//! A start on a whole Debian root that has been unpacked before, beside the built-in one.

use crate::floor::rustic;
use crate::runner::{Runner, compare, machine, succeed};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The same static program on a Debian root and on the built-in one.
pub(crate) fn measure(rounds: usize) -> Result<()> {
    let rustic = &rustic();
    let dir = tempfile::tempdir()?;
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).context("a temporary folder that is not text")
    };
    let packed = text(&debian(dir.path())?)?;
    let store = text(&dir.path().join("store"))?;
    // The same static program in both.
    let payload = "/bin/busybox:/tmp/busybox";
    println!(
        "a further start of the same static program, {rounds} rounds in turn; ratio to the \
            built-in root's median"
    );
    println!("{}\n", machine()?);
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

/// The archive that scripts/debian-root has made, packed with gzip in a folder.
pub(crate) fn debian(folder: &Path) -> Result<PathBuf> {
    let plain = std::env::var("RUSTIC_DEBIAN_ROOT")
        .context("RUSTIC_DEBIAN_ROOT names no archive; scripts/bench makes one")?;
    let packed = folder.join("debian.tar.gz");
    succeed(Command::new("gzip").arg("--stdout").arg(plain).stdout(fs::File::create(&packed)?))?;
    Ok(packed)
}
