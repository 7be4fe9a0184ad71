//! The floor: the walls of a start and nothing else, by a program of a page, benches/floor/floor.c.

use crate::runner::succeed;
use anyhow::{Context, Result, anyhow};
use rustic::parts::Switch;
use rustic::parts::seccomp::{SelfSignals, compile, default, to_bytes};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The rights of a container by default, a bit each.
const CAPABILITIES: u64 = 0x8004_05fb;

/// The program, built for one libc.
pub(crate) struct Floor {
    /// The libc.
    pub(crate) libc: &'static str,
    program: PathBuf,
    filter: PathBuf,
    tree: PathBuf,
}

impl Floor {
    /// Builds it in a folder, for each libc that there is a compiler for, with the built-in root
    /// unpacked beside it.
    pub(crate) fn build(folder: &Path, tree: &Path) -> Result<Vec<Self>> {
        let filter = folder.join("filter");
        fs::write(&filter, program()?)?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/floor/floor.c");
        let compilers = [("musl", "musl-gcc"), ("glibc", "cc")];
        let mut built = Vec::new();
        for (libc, compiler) in compilers {
            if libc == "musl" && Command::new(compiler).arg("--version").output().is_err() {
                continue;
            }
            let program = folder.join(format!("floor-{libc}"));
            let options = ["-O2", "-static", "-o"];
            succeed(Command::new(compiler).args(options).arg(&program).arg(&source))?;
            built.push(Self { libc, program, filter: filter.clone(), tree: tree.to_owned() });
        }
        Ok(built)
    }

    /// The words that start a command by it; `network` is `new` or `shared`.
    pub(crate) fn words<'a>(&'a self, network: &'a str, cmd: &[&'a str]) -> Result<Vec<&'a str>> {
        let paths = [&self.program, &self.tree, &self.filter];
        let paths = paths.map(|path| path.to_str().context("a temporary folder that is no text"));
        let [program, tree, filter] = paths;
        Ok([&[program?, tree?, filter?, network], cmd].concat())
    }
}

/// The built-in root, unpacked in a temporary folder.
pub(crate) fn unpacked() -> Result<(tempfile::TempDir, PathBuf)> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("root");
    fs::create_dir(&root)?;
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs/rootfs.tar.gz");
    succeed(Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&root))?;
    Ok((dir, root))
}

/// The default filter as the kernel takes it, struct sock_filter one after another.
pub(crate) fn program() -> Result<Vec<u8>> {
    let order = default::FilterOptions {
        capabilities: CAPABILITIES,
        nest: Switch::No,
        self_signals: SelfSignals::Told,
    };
    let program = compile(&default::policy(order)).map_err(|refusal| anyhow!("{refusal}"))?;
    Ok(to_bytes(&program))
}

/// The rustic that is measured: the one that scripts/build has made.
pub(crate) fn rustic() -> String {
    env::var("RUSTIC").unwrap_or_else(|_| env!("CARGO_BIN_EXE_rustic").to_owned())
}

/// The libc that it is linked with.
pub(crate) fn libc_of(rustic: &str) -> &'static str {
    if rustic.contains("-musl/") { "musl" } else { "glibc" }
}
