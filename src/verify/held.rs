//! What a process inside holds, seen from outside: proc_pid_fd(5) and proc_pid_fdinfo(5). Nobody
//! inside can feign it.

use rustix::fd::OwnedFd;
use rustix::fs::AtFlags;
use rustix::fs::{CWD, Mode, OFlags, Stat, StatxFlags, fstat, fstatfs, open, readlinkat, statx};
use rustix::io::Errno;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A descriptor of a process inside.
pub struct HeldFd {
    /// The same file, not opened but named (O_PATH). `None` where it has no path: a socket, a pipe.
    file: Option<OwnedFd>,
    /// What it is called.
    pub link: PathBuf,
    /// The flags that it was opened with.
    pub flags: OFlags,
}

impl HeldFd {
    /// Looks at a descriptor of a process.
    ///
    /// # Errors
    /// ENOENT where there is none, EACCES where it may not be looked at.
    pub fn of(pid: i32, number: i32) -> Result<Self, Errno> {
        let path = format!("/proc/{pid}/fd/{number}");
        let link = readlinkat(CWD, path.as_str(), Vec::new())?;
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}"))
            .map_err(|error| crate::error::errno_of(&error))?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok());
        Ok(Self {
            file: open(path.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok(),
            link: PathBuf::from(link.to_string_lossy().into_owned()),
            flags: OFlags::from_bits_retain(flags.ok_or(Errno::IO)?),
        })
    }

    /// Its file.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn stat(&self) -> Result<Stat, Errno> {
        fstat(self.file.as_ref().ok_or(Errno::BADF)?)
    }

    /// The type of its file system, statfs(2).
    ///
    /// # Errors
    /// Those of fstatfs(2).
    pub fn file_system(&self) -> Result<i64, Errno> {
        Ok(fstatfs(self.file.as_ref().ok_or(Errno::BADF)?)?.f_type)
    }

    /// The mount that it was reached through, by the number of mountinfo (Linux 5.8).
    ///
    /// # Errors
    /// Those of statx(2).
    pub fn mount(&self) -> Result<u64, Errno> {
        let file = self.file.as_ref().ok_or(Errno::BADF)?;
        Ok(statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
    }

    /// When its file was made, since 1970; `None` where its file system does not say, statx(2).
    pub fn made(&self) -> Option<Duration> {
        let file = self.file.as_ref()?;
        let stat = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok()?;
        let told = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        let seconds = u64::try_from(stat.stx_btime.tv_sec).ok()?;
        told.then(|| Duration::new(seconds, stat.stx_btime.tv_nsec))
    }

    /// Whether it was opened to be written.
    pub fn is_writable(&self) -> bool {
        self.flags.intersects(OFlags::WRONLY | OFlags::RDWR)
    }
}
