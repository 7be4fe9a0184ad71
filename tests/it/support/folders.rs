//! The folders and programs of this test process, and the removal of what earlier ones have
//! left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder of this test process that everybody may enter: nobody runs the binary from there.
pub(crate) fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        sweep(&std::env::temp_dir());
        let dir = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        // What scripts/test has built as it is shipped, but with the switches of the tests.
        let tested = std::env::var_os("RUSTIC_TESTED").map(PathBuf::from);
        let built = Path::new(env!("CARGO_BIN_EXE_rustic"));
        fs::copy(tested.as_deref().unwrap_or(built), dir.join("rustic")).unwrap();
        let target = built.parent().unwrap();
        for program in ["payload", "surface"] {
            fs::copy(target.join("examples").join(program), dir.join(program)).unwrap();
        }
        dir
    })
}

const PREFIX: &str = "rustic-it-";

/// Removes what earlier runs have left: the last test of a run does not know that it is the last.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid =
            name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A folder of one test that holds whole systems: in memory where there is room, since a disk takes
/// most of their time.
pub(crate) fn roomy(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    if room < 4 << 30 {
        return scratch(name);
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| sweep(memory));
    let dir = memory.join(format!("{PREFIX}{}-{name}-{}", std::process::id(), unique()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The store of this test process, as `RUSTIC_STORE` names it.
pub(crate) fn store() -> PathBuf {
    shared().join("store")
}

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    shared().join("rustic")
}

/// The static program that tests run inside.
pub(crate) fn payload() -> PathBuf {
    shared().join("payload")
}

/// The static program that tries what a hostile root finds open.
pub(crate) fn surface() -> PathBuf {
    shared().join("surface")
}

/// A folder of one test, empty.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let dir = shared().join(format!("{name}-{}", unique()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A number that no other call in this process gets.
pub(crate) fn unique() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A word that stands in the command line of every process of one run, and of no other.
pub(crate) fn marker() -> String {
    // The dot keeps run 1 from being found in run 10.
    format!("mark-{}-{}.", std::process::id(), unique())
}

/// Arguments of a `sleep` for days that stand in the command line of no other process, for a CMD
/// that cannot carry a marker.
pub(crate) fn days() -> [String; 2] {
    [(1_000_000 + unique()).to_string(), std::process::id().to_string()]
}
