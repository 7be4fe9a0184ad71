//! The crossings that walls have in common: files, by their paths inside.

use crate::error::errno_of;
use crate::verify::protocol::{Crossing, Reply, Topic};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileCrossing {
    /// Reads the start of a file.
    Read {
        /// Its path inside.
        #[serde(with = "crate::verify::escaped")]
        path: PathBuf,
    },
    /// The same from an offset on: for a list that is longer than what is read at once.
    ReadOn {
        /// Its path inside.
        #[serde(with = "crate::verify::escaped")]
        path: PathBuf,
        /// In bytes.
        offset: u64,
    },
    /// Opens files with O_PATH, and holds them.
    Open {
        /// Their paths inside.
        #[serde(with = "crate::verify::escaped::all")]
        paths: Vec<PathBuf>,
    },
}

impl Crossing for FileCrossing {
    const TOPIC: Topic = Topic::Files;

    fn attempt(&self, _: Option<OwnedFd>) -> Reply {
        match self {
            Self::Read { path } => read(path, 0),
            Self::ReadOn { path, offset } => read(path, *offset),
            Self::Open { paths } => opened(paths),
        }
    }
}

/// Opens files without touching them. Says which have opened, with the number of each.
fn opened(paths: &[PathBuf]) -> Reply {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held: Vec<(usize, OwnedFd)> = paths
        .iter()
        .enumerate()
        .filter_map(|(index, path)| Some((index, open(path, flags, Mode::empty()).ok()?)))
        .collect();
    let text = held.iter().map(|(index, fd)| format!("{index}:{}", fd.as_raw_fd()));
    let text = text.collect::<Vec<_>>().join(" ");
    let reply = Reply::of("open", format!("{} paths", paths.len()), Ok((held.len() as i64, text)));
    Reply { holds: Rc::new(held.into_iter().map(|(_, fd)| fd).collect()), ..reply }
}

/// What [`FileCrossing::Open`] has opened: the place of each in the request, and its descriptor.
pub fn numbers(data: &str) -> Vec<(usize, i32)> {
    let pairs = data.split(' ').filter_map(|pair| pair.split_once(':'));
    pairs.filter_map(|(index, fd)| Some((index.parse().ok()?, fd.parse().ok()?))).collect()
}

/// As much of a file is read at once, in bytes.
pub const PIECE: u64 = 4096;

/// Reads a file from an offset on. Where a whole file system is missing inside, there is nothing to
/// cross it with.
fn read(path: &Path, offset: u64) -> Reply {
    for (mount, mark) in [("/proc", "/proc/self/stat"), ("/sys", "/sys/class/net")] {
        if path.starts_with(mount) && !Path::new(mark).exists() {
            return Reply::untried(
                "open",
                path.to_string_lossy(),
                &format!("there is no {mount} inside"),
            );
        }
    }
    let content = (|| {
        let mut text = Vec::new();
        let mut file = std::fs::File::open(path)?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        file.take(PIECE).read_to_end(&mut text)?;
        Ok((text.len() as i64, String::from_utf8_lossy(&text).trim_end().to_owned()))
    })();
    Reply::of(
        "open",
        path.to_string_lossy(),
        content.map_err(|error: std::io::Error| errno_of(&error)),
    )
}
