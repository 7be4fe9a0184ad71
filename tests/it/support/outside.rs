//! How the host looks from outside of a container: processes, queues, namespaces, and what a
//! program of the host says.

use rustix::fd::OwnedFd;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Stdio};

/// The pids of processes whose command line holds a word.
pub(crate) fn processes(word: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()))
        .filter(|&pid| pid != std::process::id() as i32)
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.windows(word.len()).any(|window| window == word.as_bytes())
        })
        .collect()
}

/// The pids of processes whose command line holds a `sleep` with these arguments.
pub(crate) fn sleeps(days: &[String; 2]) -> Vec<i32> {
    processes(&format!("sleep\0{}\0{}\0", days[0], days[1]))
}

/// The children of a process, of its first thread; none where there is no such process.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The parent of a process; none where there is no such process.
pub(crate) fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The names of rustic's queues in this IPC namespace, listed through a detached mount: nothing is
/// attached to the host.
pub(crate) fn queues() -> BTreeSet<String> {
    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen,
    };
    let context = fsopen(c"mqueue", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_create(&context).unwrap();
    let mount: OwnedFd =
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap();
    let dir =
        rustix::fs::openat(&mount, c".", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
            .unwrap();
    let names = rustix::fs::Dir::read_from(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("rustic.")).collect()
}

/// The namespace of a process, as the kernel writes it: `ipc:[4026531839]`.
pub(crate) fn namespace(pid: &str, entry: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{entry}")).unwrap().to_string_lossy().into_owned()
}

/// The output of a program of the host that must succeed.
#[track_caller]
pub(crate) fn host<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
