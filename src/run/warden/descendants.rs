//! The end of everything that a container has left.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, waitid};

/// SIGKILL for every descendant, until none is left. The warden is a subreaper: a process whose
/// parent dies becomes its child, and its children are what it kills, round by round. Their numbers
/// cannot be used anew meanwhile, since nobody but the warden reaps them.
pub(super) fn end_descendants() {
    while reap_the_ended() == Children::Some {
        for pid in children().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = waitid(WaitId::All, WaitIdOptions::EXITED);
    }
}

/// Whether a process has children.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Children {
    Some,
    None,
}

fn reap_the_ended() -> Children {
    loop {
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Children::Some,
            Err(_) => return Children::None,
        }
    }
}

/// The children of this process, which has one thread: proc_pid_task(5), or where the kernel is
/// built without CONFIG_PROC_CHILDREN the parent fields of all processes.
fn children() -> Vec<i32> {
    let own = getpid().as_raw_nonzero();
    match std::fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        Ok(list) => list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => {
            let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
            let pids = entries
                .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
            pids.filter(|&pid| parent_of(pid) == Some(own.get())).collect()
        }
    }
}

/// Field 4 of proc_pid_stat(5), behind a name that may hold spaces and parentheses.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
