//! Files of the host as people order them: --bind, --tmpfs, --overlay, --hide, and what is left in
//! their directories.

mod hidden;
pub(crate) mod made;
mod names;
mod ordered;

use crate::support::{Rustic, scratch, until_line};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Child;

/// As root, and as a plain user.
pub(super) fn both() -> [Rustic; 2] {
    [Rustic::run(), Rustic::run().nobody()]
}

/// A directory that everybody may look into and write to, for both of them.
pub(crate) fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
}

/// A project with a secret file and a secret directory.
pub(super) fn project(name: &str) -> PathBuf {
    let dir = scratch(name);
    for sub in ["secret", "src", "conf"] {
        fs::create_dir(dir.join(sub)).unwrap();
        open_to_all(&dir.join(sub));
    }
    open_to_all(&dir);
    fs::write(dir.join(".env"), "SECRET\n").unwrap();
    fs::write(dir.join("conf/key"), "SECRET\n").unwrap();
    fs::write(dir.join("secret/key"), "SECRET\n").unwrap();
    fs::write(dir.join("src/main"), "plain\n").unwrap();
    open_to_all(&dir.join("src/main"));
    symlink(".env", dir.join("link")).unwrap();
    dir
}

/// With a directory bound to a target.
pub(super) fn bound(run: Rustic, dir: &Path, target: &str) -> Rustic {
    run.opt(["--bind".to_owned(), format!("{}:{target}", dir.display())])
}

/// Reads what is secret in both places of a project.
pub(super) const ALL: &str =
    "cat /p/.env /p/link /p/secret/* /p/conf/key /q/.env /q/secret/key 2>&1 | sort -u";

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
