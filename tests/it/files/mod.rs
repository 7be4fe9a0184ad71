//! Files of the host as people order them: --bind, --tmpfs, --overlay, --hide, and what is left in
//! their directories.

mod hidden;
pub(crate) mod made;
mod ordered;

use crate::support::{Rustic, until_line};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;

/// As root, and as a plain user.
pub(super) fn both() -> [Rustic; 2] {
    [Rustic::run(), Rustic::run().nobody()]
}

/// A directory that everybody may look into and write to, for both of them.
pub(crate) fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
}

/// A container whose shell is told what to do while it runs.
pub(super) struct Told(Child);

impl Told {
    pub(super) fn start(run: &Rustic) -> Self {
        let script = "echo up; while read -r line; do eval \"$line\" 2>&1; echo .; done";
        Self(run.clone().sh(script).started_until("up"))
    }

    /// What a script says.
    pub(super) fn says(&mut self, script: &str) -> String {
        writeln!(self.0.stdin.as_mut().unwrap(), "{script}").unwrap();
        let mut said = String::new();
        while !said.ends_with(".\n") {
            let mut byte = [0];
            std::io::Read::read_exact(self.0.stdout.as_mut().unwrap(), &mut byte).unwrap();
            said.push(char::from(byte[0]));
        }
        said.strip_suffix(".\n").unwrap().to_owned()
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }

    pub(super) fn kill(self) {
        drop(self);
    }
}

/// Also of a test that fails: nothing is left running.
impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a line, and gives the child back.
pub(super) fn up(run: &Rustic) -> Child {
    until_line(run.started(), "up")
}
