//! The standard streams: what is behind them cannot be changed from inside, and works as it would
//! outside.

mod changed;
mod passed;

use crate::support::{binary, payload, store};
use rustix::fs::{Mode, OFlags, getxattr, open};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What could be changed of a file: mode, owner, size, time, attribute, content.
fn state(path: &Path) -> (u32, u32, u32, u64, i64, bool, Vec<u8>) {
    let stat = fs::symlink_metadata(path).unwrap();
    let attribute = getxattr(path, "user.changed", &mut [0; 8][..]).is_ok();
    let content = if stat.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    (stat.mode(), stat.uid(), stat.gid(), stat.size(), stat.mtime(), attribute, content)
}

/// Runs CMD with what is opened by `streams` as stdin, stdout and stderr.
fn ran(options: &[&str], cmd: &[&str], streams: [Stdio; 3]) -> Output {
    let [input, output, errors] = streams;
    let bind = format!("{}:/mnt/payload", payload().display());
    let mut command = Command::new(binary());
    command.arg("run").args(options).args(["--bind", &bind]).args(cmd);
    command.env("RUSTIC_STORE", store());
    command.stdin(input).stdout(output).stderr(errors).output().unwrap()
}

fn null() -> Stdio {
    Stdio::null()
}

fn opened(path: &Path, flags: OFlags) -> File {
    open(path, flags | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).unwrap().into()
}
