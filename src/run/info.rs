//! `--info-fd`: what happens, a JSON object a line, for a program that watches. Readers ignore keys that they do not know.

use crate::exit::Exit;
use crate::failure::Failure;
use crate::namespace::Namespace;
use crate::sys;
use rustix::fd::OwnedFd;
use std::fs::{self, File};
use std::io::Write;
use std::time::Instant;

/// The descriptor that events are written to, and when the counting of milliseconds began.
#[derive(Debug)]
pub struct Info {
    to: Option<File>,
    since: Instant,
}

impl Info {
    /// Takes a copy of the caller's descriptor; CMD does not get it. Without a number nothing is written.
    ///
    /// # Errors
    /// A number that is no open descriptor.
    pub fn over(number: Option<i32>) -> Result<Self, Failure> {
        let copy = |number: i32| {
            sys::copy_of_inherited(number)
                .map_err(|errno| Failure::new(format!("--info-fd {number} is not an open descriptor")).errno(errno))
        };
        let to: Option<OwnedFd> = number.map(copy).transpose()?;
        Ok(Self { to: to.map(File::from), since: Instant::now() })
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

    /// One write(2) a line, so that lines of several writers do not mix. A reader that is gone is no error of the run.
    fn event(&mut self, name: &str, rest: &str) {
        let milliseconds = self.since.elapsed().as_secs_f64() * 1e3;
        if let Some(to) = &mut self.to {
            let _ = to.write_all(format!("{{\"event\":\"{name}\",{rest},\"ms\":{milliseconds:.3}}}\n").as_bytes());
        }
    }
}

/// The namespaces of a process as JSON members: `"ipc":4026531839`.
pub fn namespaces_of(pid: i32) -> String {
    use std::os::unix::fs::MetadataExt;
    let members = Namespace::ALL.iter().filter_map(|namespace| {
        let entry = namespace.proc_entry();
        let inode = fs::metadata(format!("/proc/{pid}/ns/{entry}")).ok()?.ino();
        Some(format!("\"{entry}\":{inode}"))
    });
    members.collect::<Vec<_>>().join(",")
}
