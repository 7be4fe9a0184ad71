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

/// The combinations with a user namespace of their own: those that a plain user may start.
pub(crate) fn with_a_user_namespace() -> Vec<u32> {
    (0..256).filter(|mask| mask >> 5 & 1 == 1).collect()
}

/// A sample of combinations, another one for each process unless RUSTIC_SEED asks for one again:
/// the number that asks for it is printed.
pub(crate) fn sample(mut masks: Vec<u32>, count: usize) -> Vec<u32> {
    let seed = std::env::var("RUSTIC_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("a sample of {count} from {}: RUSTIC_SEED={seed}", masks.len());
    let mut state = seed;
    (0..count.min(masks.len()))
        .map(|_| {
            // The constants of Knuth's MMIX generator.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            masks.swap_remove((state >> 33) as usize % masks.len())
        })
        .collect()
}

/// Does it for each combination, four at a time, and gathers what was wrong.
pub(crate) fn each_of(
    masks: impl IntoIterator<Item = u32, IntoIter: Send>,
    look: impl Fn(u32) -> Result<(), String> + Sync,
) -> Vec<String> {
    let (next, wrong) = (Mutex::new(masks.into_iter()), Mutex::new(Vec::new()));
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
