//! A program that a test has started: its first line, its end, and what it has said by then.

use super::machine::CEILING;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Starts a program with pipes for its three streams.
pub(crate) fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a program that was started with a pipe has said its first line, which must be this
/// one. Nothing behind the line is taken.
#[track_caller]
pub(crate) fn until_line(mut child: Child, line: &str) -> Child {
    let out = child.stdout.as_mut().unwrap();
    let mut first = String::new();
    while !first.ends_with('\n') {
        let mut byte = [0];
        assert_eq!(out.read(&mut byte).unwrap(), 1, "it ended before '{line}': {first}");
        first.push(char::from(byte[0]));
    }
    assert_eq!(first.trim_end(), line);
    child
}

/// Kills a program with SIGKILL, and takes its status.
pub(crate) fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs a program to its end, without input.
pub(crate) fn ended(command: &mut Command) -> Ran {
    let mut child = piped(command);
    drop(child.stdin.take());
    finish(child)
}

/// Waits for the end of a run, and kills it if it hangs: every test has a time limit.
#[track_caller]
pub(crate) fn finish(child: Child) -> Ran {
    finish_within(child, CEILING)
        .unwrap_or_else(|ran| panic!("still running after {CEILING:?}: {ran:?}"))
}

/// Waits for the end of a run. One that takes longer is killed, and is an error.
pub(crate) fn finish_within(mut child: Child, limit: Duration) -> Result<Ran, Ran> {
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let out = std::thread::spawn(move || read_all(&mut stdout));
    let err = std::thread::spawn(move || read_all(&mut stderr));
    let since = Instant::now();
    let ran = |status: ExitStatus| {
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        Ran { code, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
    };
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return Ok(ran(status)),
            None if since.elapsed() > limit => {
                child.kill().unwrap();
                return Err(ran(child.wait().unwrap()));
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn read_all(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Ran {
    /// Expects exit code 0 and nothing on stderr; gives stdout.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }

    /// Expects a failure of rustic: its exit code, and one message that holds all of these.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stderr.matches("rustic: ").count(), 1, "one message: {}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not in: {}", self.stderr);
        }
    }
}
