//! The message: its length, what follows it, and who waits for it.

use super::{invoke, named};
use crate::need;
use crate::support::{children_of, eventually};
use std::process::{Command, Stdio};
use std::time::Instant;

#[test]
fn messages_of_every_length_are_bounded_and_end() {
    need!(root);
    let received = |input: &[u8]| {
        let said = invoke(&["-i", "no"], input);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said.stdout.rsplit_once("     >> ").unwrap().1.trim_end_matches('\n').to_owned()
    };
    assert_eq!(received(&[b'a'; 80]), "a".repeat(80));
    assert_eq!(received(&[b'a'; 81]), "a".repeat(80));
    assert_eq!(received(&[&[b'a'; 5000][..], b"\nnext"].concat()), "a".repeat(80));
    assert_eq!(received("ö".repeat(60).as_bytes()), "ö".repeat(40));
    assert_eq!(
        received(&[b"a".as_slice(), "ö".repeat(60).as_bytes()].concat()),
        format!("a{}", "ö".repeat(39)),
        "cut between characters"
    );
    assert_eq!(received(b"before\0after\n"), "before");
    assert_eq!(received(b"\n"), "");
}

#[test]
fn what_follows_the_line_is_for_cmd_to_read() {
    need!(root);
    let said = invoke(&["-i", "no", "cat"], b"message\nfor cat\n");
    assert!(
        said.stdout.contains("     >> message\n") && said.stdout.contains("for cat\n"),
        "{}",
        said.stdout
    );
}

#[test]
fn an_empty_input_ends_the_wait_and_says_so() {
    need!(root);
    let since = Instant::now();
    let said = invoke(&["-vi", "no"], b"");
    assert!(since.elapsed().as_secs() < 30, "no sixty seconds for a message that cannot come");
    assert_eq!(said.stderr, " Child: no message: end of input\n");
}

#[test]
fn a_child_that_dies_ends_the_wait() {
    need!(root);
    // The jail is not there: the child ends before it could be of use, but after its message; and
    // one that is killed while it waits.
    let said = invoke(&["-i", "no", "-c", "/nonexistent"], b"sent\n");
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains(" Child: the directory of -c: No such file or directory"),
        "{}",
        said.stderr
    );
    let mut command = Command::new("unshare");
    command
        .args(["--ipc", named().to_str().unwrap(), "-vi", "no"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut parent = command.spawn().unwrap();
    let stdin = parent.stdin.take();
    let child = || children_of(parent.id()).first().copied();
    eventually("the child is there", || child().is_some());
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child().unwrap() as i32),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let since = Instant::now();
    assert_eq!(parent.wait().unwrap().code(), Some(137));
    assert!(since.elapsed().as_secs() < 30);
    drop(stdin);
}
