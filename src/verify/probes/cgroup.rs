//! The cgroup tree: where in it the process is. A cgroup namespace shows that place as `/`,
//! cgroup_namespaces(7).

use super::{Direction, Effect, Outside, Probe, Try, planted};
use crate::error::{errno_of, without_number};
use crate::mountinfo;
use crate::namespace::Namespace;
use crate::verify::place::line;
use crate::verify::protocol::{self, Reply};
use crate::verify::target::Target;
use crate::verify::verdict::Receipt;
use crate::verify::wall::Wall;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The probes.
pub const PROBES: [Probe; 2] = [
    Probe {
        id: "RV-CGR-01",
        wall: Wall::Cgroup,
        title: "read the path of its own cgroup",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: path,
    },
    Probe {
        id: "RV-CGR-02",
        wall: Wall::Cgroup,
        title: "find the host's cgroup tree where the host has it mounted",
        direction: Direction::In,
        effect: Effect::OwnObject,
        attempt: tree,
    },
];

fn path(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.stage.cgroup, "read", |place| {
        // Opened outside and read inside: what it says depends on who reads. So it can be tried
        // without a /proc inside.
        match fs::File::open(format!("/proc/{}/cgroup", subject.pid)) {
            Ok(file) => {
                let crossing =
                    protocol::Crossing::Cgroup(Crossing::Path { hierarchy: place.hierarchy });
                let reply = subject.ask_with(&crossing, Some(file.as_fd()));
                let attempt =
                    Try::reading(reply, subject.identity(Namespace::Cgroup), &place.path, &[]);
                Try { outside: format!("it is in \"{}\"", place.path), ..attempt }
            }
            Err(error) => Try::unplanted("read", &without_number(&error)),
        }
    })
}

fn tree(outside: &Outside<'_>, subject: &Target) -> Try {
    planted(&outside.stage.cgroup, "stat", |place| {
        let Some(directory) = &place.directory else {
            return Try::untried("stat", "the host has this hierarchy not mounted");
        };
        match fs::metadata(directory) {
            Ok(stat) => {
                let reply = subject
                    .ask(&protocol::Crossing::Cgroup(Crossing::Tree { path: directory.clone() }));
                let same = format!("inode {} of device {}", stat.ino(), stat.dev());
                let walled = [Errno::NOENT, Errno::ACCESS];
                let attempt =
                    Try::reading(reply, subject.identity(Namespace::Cgroup), &same, &walled);
                let outside = if attempt.receipt == Receipt::Arrived {
                    "it is the host's"
                } else {
                    "it is not the host's"
                };
                Try { outside: outside.into(), ..attempt }
            }
            Err(error) => Try::unplanted("stat", &without_number(&error)),
        }
    })
}

/// What is tried inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Crossing {
    /// Reads the line of a hierarchy in the file that was handed in, or in /proc/self/cgroup.
    Path { hierarchy: u32 },
    /// stat(2) of a cgroup's directory.
    Tree { path: PathBuf },
}

impl Crossing {
    pub(in crate::verify) fn attempt(&self, passed: Option<OwnedFd>) -> Reply {
        match self {
            Self::Path { hierarchy } => {
                let mut text = String::new();
                let read = passed
                    .map_or_else(
                        || fs::File::open("/proc/self/cgroup"),
                        |fd| Ok(fs::File::from(fd)),
                    )
                    .and_then(|mut file| file.read_to_string(&mut text));
                let shown = text
                    .lines()
                    .filter_map(line)
                    .find(|(number, ..)| number == hierarchy)
                    .map_or("", |(_, _, path)| path);
                Reply::of(
                    "read",
                    "/proc/self/cgroup",
                    read.map(|_| (0, shown.to_owned())).map_err(|error| errno_of(&error)),
                )
            }
            Self::Tree { path } => match seen(path) {
                // Without any cgroup mount inside, that this one is missing says nothing.
                Err(Errno::NOENT)
                    if !mountinfo::read()
                        .unwrap_or_default()
                        .iter()
                        .any(|mount| mount.kind.starts_with("cgroup")) =>
                {
                    Reply::untried(
                        "stat",
                        path.to_string_lossy(),
                        "no cgroup tree is mounted inside",
                    )
                }
                seen => Reply::of("stat", path.to_string_lossy(), seen),
            },
        }
    }
}

fn seen(path: &Path) -> Result<(i64, String), Errno> {
    let stat = fs::metadata(path).map_err(|error| errno_of(&error))?;
    Ok((0, format!("inode {} of device {}", stat.ino(), stat.dev())))
}
