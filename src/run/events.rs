//! `--info-fd`: what happens, a JSON object a line, for a program that watches. Readers ignore keys
//! that they do not know.

use crate::error::Failure;
use crate::exit::Exit;
use crate::namespace::Namespace;
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_getfl, fstat};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::Write;
use std::time::Instant;

/// The descriptor that events are written to, and when the counting of milliseconds began.
#[derive(Debug)]
pub struct Events {
    to: Option<File>,
    since: Instant,
    /// Lines that the reader has had no room for yet.
    waiting: Vec<u8>,
}

impl Events {
    /// Takes a copy of the caller's descriptor; CMD does not get it. Without a number nothing is
    /// written.
    ///
    /// # Errors
    /// A number that is no open descriptor, or one that cannot be written to.
    pub fn over(number: Option<i32>) -> Result<Self, Failure> {
        let copy = |number: i32| {
            let failed = |errno| {
                Failure::new(format!("--info-fd {number} cannot be written to")).errno(errno)
            };
            let copy = sys::copy_of_inherited(number).map_err(failed)?;
            match fcntl_getfl(&copy).map_err(failed)? {
                flags
                    if flags.contains(OFlags::PATH)
                        || flags & OFlags::ACCMODE == OFlags::RDONLY =>
                {
                    Err(failed(Errno::BADF))
                }
                _ => Ok(copy),
            }
        };
        let to: Option<OwnedFd> = number.map(copy).transpose()?;
        Ok(Self { to: to.map(File::from), since: Instant::now(), waiting: Vec::new() })
    }

    /// Whether anybody reads the events.
    pub fn is_wanted(&self) -> bool {
        self.to.is_some()
    }

    /// The descriptor, while something waits for room in it.
    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.to.as_ref().filter(|_| !self.waiting.is_empty()).map(AsFd::as_fd)
    }

    /// CMD runs: its pid, and the inode number of each of its namespaces.
    pub fn started(&mut self, pid: i32, namespaces: &str) {
        self.event("started", &format!("\"pid\":{pid},\"namespaces\":{{{namespaces}}}"));
    }

    /// The container is ready; by which way it was told.
    pub fn ready(&mut self, via: &str) {
        self.event("ready", &format!("\"via\":\"{via}\""));
    }

    /// The end, with rustic's own exit code.
    pub fn exited(&mut self, exit: Exit) {
        let signal = match exit {
            Exit::Signal(signal) => signal.to_string(),
            _ => "null".into(),
        };
        self.event("exited", &format!("\"code\":{},\"signal\":{signal}", exit.code()));
    }

    fn event(&mut self, name: &str, rest: &str) {
        let milliseconds = self.since.elapsed().as_secs_f64() * 1e3;
        if self.to.is_some() {
            self.waiting.extend(
                format!("{{\"event\":\"{name}\",{rest},\"ms\":{milliseconds:.3}}}\n").as_bytes(),
            );
            self.flush();
        }
    }

    /// Writes the lines that there is room for, one write(2) each, so that lines of several writers
    /// do not mix. It never waits: a pipe that polls as writable takes PIPE_BUF bytes, which is
    /// more than a line, pipe(7). A reader that is gone is no error of the run.
    pub fn flush(&mut self) {
        let Some(to) = &mut self.to else { return };
        while let Some(end) = self.waiting.iter().position(|&byte| byte == b'\n') {
            let mut room = [PollFd::from_borrowed_fd(to.as_fd(), PollFlags::OUT)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            if !poll(&mut room, Some(&now)).is_ok_and(|ready| ready > 0) {
                return;
            }
            let _ = to.write_all(&self.waiting[..=end]);
            self.waiting.drain(..=end);
        }
    }
}

/// The namespaces of a process as JSON members: `"ipc":4026531839`; with the network that it will be
/// in, where it has not entered it yet.
pub fn namespaces_of(pid: i32, network: Option<&OwnedFd>) -> String {
    use std::os::unix::fs::MetadataExt;
    let members = Namespace::ALL.iter().filter_map(|namespace| {
        let entry = namespace.proc_entry();
        let inode = match network.filter(|_| *namespace == Namespace::Net) {
            Some(network) => fstat(network).ok()?.st_ino,
            None => fs::metadata(format!("/proc/{pid}/ns/{entry}")).ok()?.ino(),
        };
        Some(format!("\"{entry}\":{inode}"))
    });
    members.collect::<Vec<_>>().join(",")
}
