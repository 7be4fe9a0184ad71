//! The eight namespaces, and every combination of new and shared ones.

use std::sync::Mutex;

/// The options of the eight namespaces, and their entries under /proc/PID/ns.
pub(crate) const NAMES: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("mount", "mnt"),
    ("uts", "uts"),
    ("net", "net"),
    ("ipc", "ipc"),
    ("user", "user"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

/// The switches of combination `mask`: bit i is namespace i, set means new.
pub(crate) fn combination(
    mask: u32,
) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    NAMES.iter().enumerate().map(move |(index, (name, entry))| {
        (*name, *entry, if mask >> index & 1 == 1 { "yes" } else { "no" })
    })
}

/// Does it for each combination, four at a time, and gathers what was wrong.
pub(crate) fn each_of(
    masks: impl Iterator<Item = u32> + Send,
    look: impl Fn(u32) -> Result<(), String> + Sync,
) -> Vec<String> {
    let (next, wrong) = (Mutex::new(masks), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(mask) = next.lock().unwrap().next() else { return };
                    if let Err(what) = look(mask) {
                        wrong.lock().unwrap().push(what);
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}
