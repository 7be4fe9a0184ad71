//! The cleanup process, outside the stage that removes what the stage has put on the real host,
//! when the verifier ends, however it ends.
//!
//! Everything else goes with the stage's namespaces, and the verifier's children with the verifier.

use super::place;
use super::scene::Scene;
use crate::error::{Failure, without_number};
use crate::sys::{self, keys};
use crate::verify::child::{as_uid, ended};
use nix::mqueue::mq_unlink;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, Signal, kill_process, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a stage leaves on the host.
#[derive(Clone, Debug)]
pub struct Traces {
    /// What every name of this run begins with.
    pub nonce: String,
    /// The directories, one of which the stage's own tmpfs is mounted on.
    pub directories: Vec<PathBuf>,
    /// A cgroup that was made.
    pub cgroup: Option<PathBuf>,
    /// The description of a key in the user keyring.
    pub key: CString,
    /// The uid that has another one in its own.
    pub other_uid: Option<u32>,
    /// A message queue.
    pub queue: Option<String>,
    /// A probe's program in a root of the caller's.
    pub planted: Option<PathBuf>,
    /// Where the directories lie: on the real host they are not covered, and have files in them.
    pub contents: Scene,
}

/// The cleanup process, which works when this is dropped.
pub struct Cleanup {
    pid: Pid,
    wire: Option<std::io::PipeWriter>,
    traces: Traces,
}

impl Cleanup {
    /// Starts it, before anything is made.
    ///
    /// # Errors
    /// No process or no pipe.
    pub fn start(traces: Traces) -> Result<Self, Failure> {
        let (mut end, wire) = std::io::pipe().map_err(|error| {
            Failure::new(format!("cannot make a pipe: {}", without_number(&error)))
        })?;
        // SAFETY: the verifier has one thread.
        #[allow(unsafe_code, reason = "fork(2) with one thread")]
        let forked = unsafe { sys::fork() };
        match forked
            .map_err(|errno| Failure::new("cannot fork the cleanup process").errno(errno))?
        {
            Some(pid) => Ok(Self { pid, wire: Some(wire), traces }),
            None => {
                drop(wire);
                // Out of reach of what is sent to the verifier's process group, and of whoever
                // waits for the end of its output.
                let _ = setsid();
                leave_streams();
                block_signals();
                // A verifier that ends in order says so.
                let orderly = matches!(std::io::Read::read(&mut end, &mut [0]), Ok(1));
                if !orderly {
                    end_leftovers(&traces.nonce);
                }
                remove(&traces);
                sys::exit_now(0)
            }
        }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Some(mut wire) = self.wire.take() {
            let _ = wire.write_all(&[1]);
        }
        let done = ended(self.pid).is_some_and(|status| status.exit_status() == Some(0));
        if !done {
            // It was killed. Here the stage's tmpfs still lies on the directory.
            let covered = self.traces.contents == Scene::Stage;
            for directory in self.traces.directories.iter().filter(|_| covered) {
                let _ = rustix::mount::unmount(directory, rustix::mount::UnmountFlags::DETACH);
            }
            remove(&self.traces);
        }
    }
}

fn block_signals() {
    let _ = crate::sys::every_signal().thread_block();
}

fn leave_streams() {
    if let Ok(null) = fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let null = OwnedFd::from(null);
        let _ =
            dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null));
    }
}

/// Takes a key out of the user keyring of this process.
fn unlink_key(description: &CStr) -> rustix::io::Result<()> {
    let key = keys::search(keys::Key::USER, description)?;
    keys::unlink(key, keys::Key::USER)
}

/// Ends what another launcher has left of a verifier that was killed: its container, its monitors
/// and its helpers, and their cgroups. They have this run's nonce among their words, in a name, in a
/// folder, or as the probe's; or they see the stage among their mounts.
fn end_leftovers(nonce: &str) {
    let since = Instant::now();
    let marks = [format!("rustic-{nonce}"), format!("rustic.{nonce}"), format!("__probe\0{nonce}")];
    let has = |file: String, marks: &[String]| {
        let text = fs::read(file).unwrap_or_default();
        marks.iter().any(|mark| text.windows(mark.len()).any(|part| part == mark.as_bytes()))
    };
    let is_left = |pid: &i32| {
        has(format!("/proc/{pid}/cmdline"), &marks)
            || has(format!("/proc/{pid}/mountinfo"), &marks[1..2])
    };
    let mut cgroups = BTreeSet::new();
    loop {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let left: Vec<i32> = numbers.filter(is_left).collect();
        if left.is_empty() || since.elapsed() > Duration::from_secs(5) {
            break;
        }
        for pid in left {
            let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let paths = own.lines().filter_map(place::line).map(|(.., path)| path.to_owned());
            cgroups.extend(paths.filter(|path| is_a_containers(path)));
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    for hierarchy in hierarchies.map(|entry| entry.path()) {
        for path in &cgroups {
            remove_cgroup(&hierarchy.join(path.trim_start_matches('/')));
        }
    }
    remove_cgroups_of(nonce, Path::new("/sys/fs/cgroup"), 0);
}

/// Whether a cgroup was made for one container, by its name.
fn is_a_containers(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("rustic-") || name.starts_with("libpod-")
}

/// Removes the cgroups of containers of other launchers, by their names.
fn remove_cgroups_of(nonce: &str, folder: &Path, depth: usize) {
    const DEEPEST: usize = 4;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if depth < DEEPEST {
            remove_cgroups_of(nonce, &entry.path(), depth + 1);
        }
        if entry.file_name().to_string_lossy().contains(&format!("rustic-{nonce}")) {
            remove_cgroup(&entry.path());
        }
    }
}

fn remove(traces: &Traces) {
    let _ = unlink_key(&traces.key);
    if let Some(uid) = traces.other_uid {
        let _ = as_uid(uid, || unlink_key(&traces.key));
    }
    if let Some(cgroup) = &traces.cgroup {
        remove_cgroup(cgroup);
    }
    if let Some(queue) = &traces.queue {
        let _ = mq_unlink(queue.as_str());
    }
    if let Some(planted) = &traces.planted {
        let _ = fs::remove_file(planted);
    }
    for directory in &traces.directories {
        let _ = match traces.contents {
            Scene::Stage => fs::remove_dir(directory),
            Scene::Host => fs::remove_dir_all(directory),
        };
    }
}

/// Waits until the last process of the cgroup is gone, as every one is that was started with the
/// verifier's death as its own; what stays longer than a container takes to be cleaned up is ended.
fn remove_cgroup(cgroup: &Path) {
    let since = Instant::now();
    while cgroup.exists()
        && fs::remove_dir(cgroup).is_err()
        && since.elapsed() < Duration::from_secs(10)
    {
        if since.elapsed() > Duration::from_secs(3) {
            let members = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
            for pid in
                members.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw)
            {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
