//! The place of the outside in the cgroup tree: what a cgroup namespace is to hide.

use crate::error::{errno_of, without_number};
use crate::mountinfo::{self, MountInfo};
use crate::sys;
use crate::verify::child::ended;
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// A place in a hierarchy of cgroups that is not its root.
#[derive(Clone, Debug)]
pub struct CgroupPlace {
    /// The hierarchy's number in /proc/PID/cgroup, 0 for version 2.
    pub hierarchy: u32,
    /// The path in it, as the outside sees it.
    pub path: String,
    /// The directory of it, where the hierarchy is mounted.
    pub directory: Option<PathBuf>,
    /// The same, if it was made for this.
    pub made: Option<PathBuf>,
}

/// A mounted hierarchy.
struct Hierarchy {
    number: u32,
    point: PathBuf,
}

impl CgroupPlace {
    /// The verifier's own place in the first hierarchy where that is not `/`; else one of its own,
    /// in the first that can be written. Nothing is made yet.
    pub fn choose(nonce: &str) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup")
            .map_err(|error| format!("/proc/self/cgroup: {}", without_number(&error)))?;
        let own: Vec<(u32, &str, &str)> = own.lines().filter_map(line).collect();
        let mounted = hierarchies(&own);
        if let Some((hierarchy, _, path)) = own.iter().find(|(_, _, path)| *path != "/") {
            let point = mounted
                .iter()
                .find(|mounted| mounted.number == *hierarchy)
                .map(|mounted| mounted.point.as_path());
            let directory = point.map(|point| point.join(path.trim_start_matches('/')));
            return Ok(Self {
                hierarchy: *hierarchy,
                path: (*path).to_owned(),
                directory,
                made: None,
            });
        }
        let usable = |mounted: &&Hierarchy| {
            rustix::fs::access(&mounted.point, rustix::fs::Access::WRITE_OK).is_ok()
        };
        let free = mounted
            .iter()
            .find(usable)
            .ok_or("its own cgroup is / and no other can be made here")?;
        let name = format!("rustic.{nonce}");
        let directory = free.point.join(&name);
        Ok(Self {
            hierarchy: free.number,
            path: format!("/{name}"),
            made: Some(directory.clone()),
            directory: Some(directory),
        })
    }

    /// Makes it, where it is one of its own.
    pub fn make(self) -> Result<Self, String> {
        if let Some(directory) = &self.made {
            fs::create_dir(directory).map_err(|error| {
                format!(
                    "its own cgroup is / and {} cannot be made: {}",
                    directory.display(),
                    without_number(&error)
                )
            })?;
            // A cgroup of cpuset, say, takes nobody in before it has a processor.
            if !self.can_be_entered() {
                let _ = fs::remove_dir(directory);
                return Err(format!(
                    "its own cgroup is / and {} cannot be entered",
                    directory.display()
                ));
            }
        }
        Ok(self)
    }

    /// Tries it with a process that ends.
    fn can_be_entered(&self) -> bool {
        // SAFETY: the verifier has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        match forked {
            Ok(Some(child)) => ended(child).is_some_and(|status| status.exit_status() == Some(0)),
            Ok(None) => sys::exit_now(u8::from(self.enter().is_err())),
            Err(_) => false,
        }
    }

    /// Moves this process into it, where it is one of its own.
    pub fn enter(&self) -> Result<(), Errno> {
        match &self.made {
            Some(directory) => {
                fs::write(directory.join("cgroup.procs"), "0").map_err(|error| errno_of(&error))
            }
            None => Ok(()),
        }
    }
}

/// A line of /proc/PID/cgroup: the hierarchy's number, its controllers, the path, cgroups(7).
pub fn line(line: &str) -> Option<(u32, &str, &str)> {
    let mut fields = line.splitn(3, ':');
    Some((fields.next()?.parse().ok()?, fields.next()?, fields.next()?))
}

/// Where hierarchies are mounted, version 2 first. A mount of a part of one does not count.
fn hierarchies(own: &[(u32, &str, &str)]) -> Vec<Hierarchy> {
    let mounted = mountinfo::read()
        .unwrap_or_default()
        .into_iter()
        .filter(|mount| mount.root == Path::new("/"));
    let number = |mount: &MountInfo| match mount.kind.as_str() {
        "cgroup2" => Some(0),
        "cgroup" => own
            .iter()
            .find(|(_, controllers, _)| {
                !controllers.is_empty() && mount.options.ends_with(controllers)
            })
            .map(|own| own.0),
        _ => None,
    };
    let mut found: Vec<Hierarchy> = mounted
        .filter_map(|mount| Some(Hierarchy { number: number(&mount)?, point: mount.point }))
        .collect();
    found.sort_by_key(|hierarchy| hierarchy.number);
    found
}
