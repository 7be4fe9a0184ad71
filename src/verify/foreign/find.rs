//! The probe among the processes of the machine. Whoever has passed its first message on is no
//! matter: it is the one process that runs this program with this nonce, under the number that it
//! says it has.

use crate::error::{printable, without_number};
use crate::spec::PROBE;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The probe's process, in the pid namespace of this one's /proc.
///
/// # Errors
/// Why what has said hello is not the probe, for a reader.
pub fn probe(nonce: &str, said: i32) -> Result<i32, String> {
    let processes = fs::read_dir("/proc").map_err(|error| {
        format!("the probe cannot be looked for: /proc: {}", without_number(&error))
    })?;
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let named: Vec<i32> =
        numbers.filter(|&pid| is_named(pid, nonce) && own_number(pid) == Some(said)).collect();
    let Some(first) = named.first() else {
        return Err("what has said hello is no probe that runs on this machine".into());
    };
    named.iter().copied().find(|&pid| is_this_program(pid)).ok_or_else(|| {
        let exe = fs::read_link(format!("/proc/{first}/exe"));
        let exe = exe.map_or_else(|_| "another program".into(), |exe| exe.display().to_string());
        format!("process {first} answers for the probe, and is {}", printable(&exe))
    })
}

/// Whether a process is still the probe.
pub fn is_probe(pid: i32, nonce: &str, said: i32) -> bool {
    is_named(pid, nonce) && own_number(pid) == Some(said)
}

/// The process of the probe's own that has this number in its pid namespace: itself, or a child
/// (Linux 3.5, with `CONFIG_PROC_CHILDREN`).
pub fn own(probe: i32, said: i32) -> Option<i32> {
    if own_number(probe) == Some(said) {
        return Some(probe);
    }
    let children = fs::read_to_string(format!("/proc/{probe}/task/{probe}/children")).ok()?;
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    children.into_iter().find(|&child| own_number(child) == Some(said))
}

/// Whether its command line ends as the probe's does.
fn is_named(pid: i32, nonce: &str) -> bool {
    let hidden = PROBE.to_bytes_with_nul();
    let end = [b"\0", hidden, nonce.as_bytes(), b"\0"].concat();
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.ends_with(&end))
}

/// Its number in its own pid namespace, proc_pid_status(5).
fn own_number(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

/// Whether its program is this one: the same file, or one with the same content.
fn is_this_program(pid: i32) -> bool {
    let path = format!("/proc/{pid}/exe");
    let file = |path: &str| Some((fs::File::open(path).ok()?, fs::metadata(path).ok()?));
    let (Some((ours, our)), Some((theirs, their))) = (file("/proc/self/exe"), file(&path)) else {
        return false;
    };
    (our.dev(), our.ino()) == (their.dev(), their.ino())
        || our.len() == their.len() && have_the_same(ours, theirs)
}

fn have_the_same(mut one: fs::File, mut other: fs::File) -> bool {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let Ok(length) = one.read(&mut left) else { return false };
        if length == 0 {
            return true;
        }
        if other.read_exact(&mut right[..length]).is_err() || left[..length] != right[..length] {
            return false;
        }
    }
}

/// Where a program of this name is, as execvp(3) finds it.
pub fn in_path(program: &std::ffi::OsStr) -> Option<std::path::PathBuf> {
    let program = Path::new(program);
    let is_file = |path: &Path| {
        path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
    };
    if program.components().count() > 1 {
        return is_file(program).then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    // The programs of root are not in everybody's PATH.
    let further = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    let folders = std::env::split_paths(&path).chain(further);
    folders.map(|folder| folder.join(program)).find(|path| is_file(path))
}
