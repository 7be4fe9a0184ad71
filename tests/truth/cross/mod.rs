//! The inside: everything is tried everywhere, and what has crossed is told. What leaves a mark
//! outside is counted there.

mod attempt;
mod files;
mod kernel;
mod namespaces;
mod network;
mod processes;

use crate::canaries::Canaries;
use attempt::{Attempt, apart, places};
use files::{descriptors, devices, files, terminals};
use kernel::{cgroups, kernel};
use namespaces::{beneath, clocks, covered, mounts, names, namespaces};
use network::network;
use processes::{keys, processes, queues};
use std::path::PathBuf;

pub(crate) fn main(words: &[String]) {
    let told: Canaries = serde_json::from_str(&words[0]).unwrap();
    let mut places = places();
    // Through the root of a process outside, where one is shown, there is everything again.
    let roots: Vec<PathBuf> = places
        .iter()
        .flat_map(|place| [place.join(format!("{}/root", told.pid)), place.join("root")])
        .filter(|root| root.join("proc/self").symlink_metadata().is_ok())
        .collect();
    for root in &roots {
        let below = ["", "proc", "sys", "dev", "dev/pts", "sys/fs/cgroup"];
        places.extend(below.map(|dir| root.join(dir)));
        places.push(root.join(told.dir.trim_start_matches('/')).join("mqueue"));
    }
    let tries: [(&str, Attempt); 12] = [
        ("files", files),
        ("processes", processes),
        ("names", names),
        ("queues", queues),
        ("network", network),
        ("cgroups", cgroups),
        ("clocks", clocks),
        ("descriptors", descriptors),
        ("keys", keys),
        ("terminals", terminals),
        ("kernel", kernel),
        ("devices", devices),
    ];
    for (name, attempt) in tries {
        apart(name, || attempt(&told, &places));
    }
    apart("namespaces", || namespaces(&told, &places));
    apart("covered", || covered(&told));
    apart("beneath", || beneath(&told));
    apart("mounts", || mounts(&told));
    println!("end");
}
