//! A file through the standard streams.

use crate::floor::rustic;
use crate::runner::{Runner, compare, first_line};
use anyhow::Result;
use std::fs;

/// A file copied through the standard streams, beside the same without rustic.
pub(crate) fn measure(rounds: usize) -> Result<()> {
    const MEBIBYTES: usize = 512;
    let rustic = &rustic();
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
