//! What the files of a sysfs and of a proc show of a network.

use super::canary::NetCanary;
use crate::namespace::Namespace;
use crate::verify::attempt::Try;
use crate::verify::outside::Outside;
use crate::verify::probes::find::{by_ways, mounted, read_any};
use crate::verify::probes::pid::canary::PidCanary;
use crate::verify::target::Target;
use crate::verify::verdict::Identity;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

pub(super) fn sysfs(outside: &Outside<'_>, subject: &Target) -> Try {
    if let Some(reason) = &outside.stage.no_sysfs {
        return Try::untried("open", reason);
    }
    let mut paths = subject.paths_of("sysfs", Path::new(ALIAS));
    paths.extend(by_ways(outside, subject, &Path::new("/sys").join(ALIAS)));
    read_any(
        subject,
        paths,
        subject.identity(Namespace::Net),
        &outside.stage.secret,
        &[Errno::NOENT],
    )
    .or_elsewhere()
}

/// What the outside has written into its sysfs.
const ALIAS: &str = "class/net/lo/ifalias";

/// The table of sockets of a process outside, in which one has the secret for a name.
pub(super) fn sockets(outside: &Outside<'_>, subject: &Target) -> Try {
    outside.planted("open", |process: &PidCanary| {
        outside.planted("open", |_: &NetCanary| {
            let table = format!("{}/net/unix", process.number());
            let whole = subject.points("proc").into_iter().map(|proc| proc.join(&table));
            let paths: Vec<PathBuf> = whole.collect();
            let walled = [Errno::NOENT, Errno::ACCESS, Errno::PERM];
            let identity = subject.identity(Namespace::Net);
            read_any(subject, paths, identity, &outside.stage.secret, &walled)
                .through(subject.role.shares(Namespace::Pid))
        })
    })
}

/// A directory of a process of the host's shows its network, and so does what it has in net/.
pub(super) fn process_among_mounts(outside: &Outside<'_>, subject: &Target) -> Try {
    let devices = outside.stage.host.devices(|kind| kind == "proc");
    let net: Vec<u64> = subject
        .parts_of_processes()
        .filter(|(_, part)| part == Path::new("") || part.starts_with("net"))
        .map(|(shown, _)| shown.mount.id)
        .collect();
    mounted(subject, &devices, subject.identity(Namespace::Net), |shown, _| {
        shown.mount.root == Path::new("/") || net.contains(&shown.mount.id)
    })
}

pub(super) fn host_sysfs(outside: &Outside<'_>, subject: &Target) -> Try {
    let mut devices = outside.stage.host.devices(|kind| kind == "sysfs");
    if subject.identity(Namespace::Net) == Identity::Different {
        // The stage's own: a new network has a sysfs of its own.
        devices.extend(rustix::fs::stat("/sys").map(|stat| stat.st_dev));
    }
    // Interfaces are found below these.
    let with_interfaces = ["/class", "/devices"];
    mounted(subject, &devices, subject.identity(Namespace::Net), |shown, _| {
        let root = &shown.mount.root;
        root == Path::new("/") || with_interfaces.iter().any(|one| root.starts_with(one))
    })
}
