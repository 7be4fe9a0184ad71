//! The files of /proc and /sys: what can be written, what tells of the machine.

use super::answer::row;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The files below a directory that open for writing, but for those of processes.
pub(super) fn written_below(top: &str) {
    let device = fs::metadata(top).map(|stat| stat.dev()).unwrap_or(0);
    let mut next = vec![PathBuf::from(top)];
    while let Some(dir) = next.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let of_a_process = dir == Path::new("/proc")
                && name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
            let Ok(stat) = entry.metadata() else { continue };
            if of_a_process || stat.is_symlink() {
                continue;
            }
            if stat.is_dir() {
                // cgroups and others that are mounted there are judged by themselves.
                if stat.dev() == device {
                    next.push(path);
                }
            } else if stat.is_file() {
                let file =
                    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
                if let Ok(mut file) = file {
                    row("write", &path.to_string_lossy(), taken(&mut file, stat.mode()));
                }
            }
        }
    }
}

/// What a file that has opened takes. With CAP_DAC_OVERRIDE one without a write bit opens too, and
/// the kernel has nothing behind it: a write, even of no byte, is EIO. No other file is written to.
fn taken(file: &mut fs::File, mode: u32) -> &'static str {
    let nothing = mode & 0o222 == 0
        && std::io::Write::write(file, &[])
            .is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)));
    if nothing { "takes nothing" } else { "open" }
}

/// What tells of the machine, its memory, its keys, its log.
pub(super) const READ: [&str; 20] = [
    "/proc/acpi/wakeup",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/pagetypeinfo",
    "/proc/sched_debug",
    "/proc/slabinfo",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
    "/sys/dev/block",
    "/sys/firmware",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
];

/// One byte of a file, or one entry of a directory; an empty one has nothing to tell.
pub(super) fn first_byte(path: &str) -> std::io::Result<()> {
    let empty = || std::io::Error::from_raw_os_error(libc::ENODATA);
    if fs::metadata(path)?.is_dir() {
        return fs::read_dir(path)?.next().ok_or_else(empty)?.map(drop);
    }
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut byte = [0];
    if file.read(&mut byte)? == 0 { Err(empty()) } else { Ok(()) }
}
