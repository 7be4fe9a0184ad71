//! The cgroup tree: where in it the process is. A cgroup namespace shows that place as `/`, cgroup_namespaces(7).

use super::{Direction, Effect, Outside, Probe, Try, of};
use crate::failure::without_number;
use crate::namespace::Namespace;
use crate::verify::crossing::{self, Reply, errno_of};
use crate::verify::subject::Subject;
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

/// A place in a hierarchy of cgroups that is not its root.
#[derive(Clone, Debug)]
pub struct Place {
    /// The hierarchy's number in /proc/PID/cgroup, 0 for version 2.
    hierarchy: u32,
    /// The path in it, as the outside sees it.
    path: String,
    /// The directory of it, where the hierarchy is mounted.
    directory: Option<PathBuf>,
    /// The same, if it was made for this.
    pub made: Option<PathBuf>,
}

/// A mounted hierarchy.
struct Hierarchy {
    number: u32,
    point: PathBuf,
}

impl Place {
    /// The verifier's own place in the first hierarchy where that is not `/`; else one of its own, in the first that can be written. Nothing
    /// is made yet.
    pub fn choose(nonce: &str) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {}", without_number(&error)))?;
        let own: Vec<(u32, &str, &str)> = own.lines().filter_map(line).collect();
        let mounted = hierarchies(&own);
        if let Some((hierarchy, _, path)) = own.iter().find(|(_, _, path)| *path != "/") {
            let point = mounted.iter().find(|mounted| mounted.number == *hierarchy).map(|mounted| mounted.point.as_path());
            let directory = point.map(|point| point.join(path.trim_start_matches('/')));
            return Ok(Self { hierarchy: *hierarchy, path: (*path).to_owned(), directory, made: None });
        }
        let usable = |mounted: &&Hierarchy| rustix::fs::access(&mounted.point, rustix::fs::Access::WRITE_OK).is_ok();
        let free = mounted.iter().find(usable).ok_or("its own cgroup is / and no other can be made here")?;
        let name = format!("rustic.{nonce}");
        let directory = free.point.join(&name);
        Ok(Self { hierarchy: free.number, path: format!("/{name}"), made: Some(directory.clone()), directory: Some(directory) })
    }

    /// Makes it, where it is one of its own.
    pub fn make(self) -> Result<Self, String> {
        if let Some(directory) = &self.made {
            fs::create_dir(directory)
                .map_err(|error| format!("its own cgroup is / and {} cannot be made: {}", directory.display(), without_number(&error)))?;
        }
        Ok(self)
    }

    /// Moves this process into it, where it is one of its own.
    pub fn enter(&self) -> Result<(), Errno> {
        match &self.made {
            Some(directory) => fs::write(directory.join("cgroup.procs"), "0").map_err(|error| errno_of(&error)),
            None => Ok(()),
        }
    }
}

/// A line of /proc/PID/cgroup: the hierarchy's number, its controllers, the path, cgroups(7).
fn line(line: &str) -> Option<(u32, &str, &str)> {
    let mut fields = line.splitn(3, ':');
    Some((fields.next()?.parse().ok()?, fields.next()?, fields.next()?))
}

/// Where hierarchies are mounted, version 2 first. A mount of a part of one does not count.
fn hierarchies(own: &[(u32, &str, &str)]) -> Vec<Hierarchy> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<Hierarchy> = table
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut fields = before.split(' ').skip(3);
            let (root, point) = (fields.next()?, fields.next()?);
            let mut rest = after.split(' ');
            let (kind, options) = (rest.next()?, rest.nth(1)?);
            let number = match kind {
                "cgroup2" => 0,
                "cgroup" => own.iter().find(|(_, controllers, _)| !controllers.is_empty() && options.ends_with(controllers))?.0,
                _ => return None,
            };
            (root == "/").then(|| Hierarchy { number, point: point.into() })
        })
        .collect();
    found.sort_by_key(|hierarchy| hierarchy.number);
    found
}

fn path(outside: &Outside<'_>, subject: &Subject) -> Try {
    let place = match &outside.stage.cgroup {
        Ok(place) => place,
        Err(reason) => return Try::unplanted("open", reason),
    };
    // Opened outside and read inside: what it says depends on who reads. So it can be tried without a /proc inside.
    let file = match fs::File::open(format!("/proc/{}/cgroup", subject.pid)) {
        Ok(file) => file,
        Err(error) => return Try::unplanted("open", &without_number(&error)),
    };
    let crossing = crossing::Crossing::Cgroup(Crossing::Path { hierarchy: place.hierarchy });
    let reply = subject.ask_with(&crossing, Some(file.as_fd()));
    let attempt = Try::to_read(reply, of(subject, Namespace::Cgroup), &place.path, &[]);
    Try { outside: format!("it is in \"{}\"", place.path), ..attempt }
}

fn tree(outside: &Outside<'_>, subject: &Subject) -> Try {
    let directory = match &outside.stage.cgroup {
        Ok(Place { directory: Some(directory), .. }) => directory,
        Ok(_) => return Try::untried("stat", "the host has this hierarchy not mounted"),
        Err(reason) => return Try::unplanted("stat", reason),
    };
    match fs::metadata(directory) {
        Ok(stat) => {
            let reply = subject.ask(&crossing::Crossing::Cgroup(Crossing::Tree { path: directory.clone() }));
            let secret = format!("inode {} of device {}", stat.ino(), stat.dev());
            let attempt = Try::to_read(reply, of(subject, Namespace::Cgroup), &secret, &[Errno::NOENT, Errno::ACCESS]);
            let outside = if attempt.receipt == super::Receipt::Arrived { "it is the host's" } else { "unseen" };
            Try { outside: outside.into(), ..attempt }.or_no_way("no cgroup tree is mounted inside")
        }
        Err(error) => Try::unplanted("stat", &without_number(&error)),
    }
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
                    .map_or_else(|| fs::File::open("/proc/self/cgroup"), |fd| Ok(fs::File::from(fd)))
                    .and_then(|mut file| file.read_to_string(&mut text));
                let shown = text.lines().filter_map(line).find(|(number, ..)| number == hierarchy).map_or("", |(_, _, path)| path);
                Reply::of("read", "/proc/self/cgroup", read.map(|_| (0, shown.to_owned())).map_err(|error| errno_of(&error)))
            }
            Self::Tree { path } => Reply::of("stat", path.to_string_lossy(), seen(path)),
        }
    }
}

fn seen(path: &Path) -> Result<(i64, String), Errno> {
    let stat = fs::metadata(path).map_err(|error| errno_of(&error))?;
    Ok((0, format!("inode {} of device {}", stat.ino(), stat.dev())))
}
