//! Puts the built-in root file system into the binary, where `scripts/build-rootfs` (or
//! RUSTIC_BUILTIN) has left one.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?).join("rootfs.tar.gz");
    println!("cargo::rerun-if-env-changed=RUSTIC_BUILTIN");
    let source = env::var_os("RUSTIC_BUILTIN")
        .map_or_else(|| root.join("rootfs/rootfs.tar.gz"), PathBuf::from);
    // The folder, not the file: a watched path that is missing means a rebuild at every call.
    println!("cargo::rerun-if-changed={}", source.parent().unwrap_or(Path::new(".")).display());
    let archive = fs::read(&source).unwrap_or_default();
    fs::write(&out, &archive).with_context(|| format!("cannot write {}", out.display()))?;
    println!("cargo::rustc-env=RUSTIC_BUILTIN_ROOTFS={}", out.display());
    println!("cargo::rustc-env=RUSTIC_BUILTIN_DIGEST={}", hexadecimal(&Sha256::digest(&archive)));
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
