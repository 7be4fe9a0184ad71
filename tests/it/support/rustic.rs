//! rustic, being put together as a user would type it, and started.

use super::child::{Ran, finish, piped, until_line};
use super::folders::{binary, store};
use super::machine::NOBODY;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A `rustic run`, being put together.
#[derive(Clone, Debug)]
pub(crate) struct Rustic {
    uid: u32,
    under: Vec<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    input: Option<PathBuf>,
}

impl Rustic {
    /// `rustic run`, as root.
    pub(crate) fn run() -> Self {
        Self::command("run")
    }

    /// Another command.
    pub(crate) fn command(name: &str) -> Self {
        Self { uid: 0, under: vec![], args: vec![name.into()], env: vec![], input: None }
    }

    /// As nobody, without a home.
    pub(crate) fn nobody(mut self) -> Self {
        self.uid = NOBODY;
        self
    }

    /// Started by another program: its name, and its arguments before those of rustic.
    pub(crate) fn under<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.under.extend(words.into_iter().map(Into::into));
        self
    }

    /// Under `strace`, which writes no trace and makes calls fail: an expression of `inject=`.
    pub(crate) fn inject(self, expression: &str) -> Self {
        let inject = format!("inject={expression}");
        self.under(["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject])
    }

    pub(crate) fn ns(self, namespace: &str, switch: &str) -> Self {
        self.opt([format!("--{namespace}"), switch.into()])
    }

    pub(crate) fn opt<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(words.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Another store for root; nobody has none.
    pub(crate) fn store(self, path: &Path) -> Self {
        if self.uid == 0 { self.env("RUSTIC_STORE", path.to_str().unwrap()) } else { self }
    }

    /// A file as its stdin, in place of a pipe.
    pub(crate) fn input(mut self, path: &Path) -> Self {
        self.input = Some(path.to_owned());
        self
    }

    /// CMD as `sh -c SCRIPT`.
    pub(crate) fn sh(self, script: &str) -> Self {
        self.opt(["sh", "-c", script])
    }

    /// The arguments behind the binary's name.
    pub(crate) fn args(&self) -> &[String] {
        &self.args
    }

    /// As a command of std.
    pub(crate) fn std(&self) -> Command {
        let mut words = self.under.iter().map(OsString::from).chain([binary().into()]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(&self.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if self.uid == 0 {
            command.env("RUSTIC_STORE", store());
        } else {
            // std gives up supplementary groups by itself when root changes the uid.
            command.uid(self.uid).gid(self.uid).env("HOME", "/nonexistent");
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end, without input.
    pub(crate) fn ran(&self) -> Ran {
        self.ran_with("")
    }

    /// Runs it to its end with this input.
    pub(crate) fn ran_with(&self, input: &str) -> Ran {
        let mut child = self.started();
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input.as_bytes());
        }
        finish(child)
    }

    /// Starts it with pipes.
    pub(crate) fn started(&self) -> Child {
        let mut command = self.std();
        let Some(path) = &self.input else { return piped(&mut command) };
        command.stdin(fs::File::open(path).unwrap());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts it, and waits until this is its first line.
    #[track_caller]
    pub(crate) fn started_until(&self, line: &str) -> Child {
        until_line(self.started(), line)
    }
}

/// A shell that runs a script, with the binary as `$RUSTIC` and the store of this test process.
/// `words` are the shell and what starts it: `["sh"]`, `["unshare", "--mount", "sh"]`.
pub(crate) fn shell(words: &[&str], script: &str) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["-c", script]);
    command.env("RUSTIC", binary()).env("RUSTIC_STORE", store());
    command
}
