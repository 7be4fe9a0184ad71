//! The words of the article, their order on each side, and the exit codes.

use super::{invoke, named, side};
use crate::need;
use crate::support::{NOBODY, binary};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

#[test]
fn with_no_the_message_arrives_in_the_articles_words() {
    need!(root);
    let said = invoke(&["-vi", "no"], b"I will return to haunt you with peculiar piano riffs\n");
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert_eq!(
        side(&said.stdout, "Parent:"),
        [
            "Parent: PID of parent is ",
            "Parent: opening message queue /ipc_namespace",
            "Parent: PID of child is ",
            "Parent: received message from child",
            "    Parent: the following message was received from the child",
            "Parent: closing message queue /ipc_namespace",
            "Parent: Removing message queue /ipc_namespace",
            "Parent: PROG - Finishing up",
        ]
    );
    assert_eq!(
        side(&said.stdout, "Child:"),
        [
            " Child: PID of child is ",
            " Child: opening message queue /ipc_namespace",
            "     Child: enter a message to send to the parent process (MAX  chars)",
            " Child: sending message to parent",
            " Child: closing message queue /ipc_namespace",
        ]
    );
    assert!(said.stdout.contains("process (MAX 80 chars)\n     >> \n"), "{}", said.stdout);
    assert!(
        said.stdout
            .contains("child\n     >> I will return to haunt you with peculiar piano riffs\n\n"),
        "{}",
        said.stdout
    );
}

#[test]
fn with_yes_the_child_sees_no_queue_and_the_time_is_sat_out() {
    need!(root);
    let since = Instant::now();
    let said = invoke(&["--timeout", "1.5", "-vi", "yes"], b"");
    assert!(since.elapsed().as_secs_f64() >= 1.5, "a child that has ended does not end the lesson");
    assert_eq!(said.code, 0);
    assert_eq!(
        said.stderr,
        " Child: mq_open: No such file or directory\nParent: mq_timedreceive: Connection timed \
            out\n"
    );
    assert_eq!(
        side(&said.stdout, "Child:"),
        [" Child: PID of child is ", " Child: opening message queue /ipc_namespace"]
    );
    assert_eq!(side(&said.stdout, "Parent:").last().unwrap(), "Parent: PROG - Finishing up");
}

#[test]
fn usage_goes_to_stderr_and_only_help_is_no_failure() {
    for (args, code, first) in [
        (vec!["-h"], 0, "Usage: "),
        (vec!["-i", "maybe"], 1, "invoke_ns: option requires valid argument -- 'i'"),
        (vec!["-z"], 1, "invoke_ns: invalid option -- 'z'"),
        (vec!["-u"], 1, "invoke_ns: option requires an argument -- 'u'"),
    ] {
        let output = Command::new(named()).args(&args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{args:?}");
        assert!(
            text.contains(first) && text.contains("[options] [cmd [arg...]]"),
            "{args:?}: {text}"
        );
    }
    let output = Command::new(binary()).args(["invoke", "-h"]).output().unwrap();
    assert!(
        output.status.success()
            && String::from_utf8(output.stderr).unwrap().starts_with("Usage: rustic invoke ")
    );
}

#[test]
fn without_arguments_it_starts_a_child_and_says_nothing() {
    need!(root);
    let said = invoke(&[], b"");
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""));
}

#[test]
fn without_the_right_it_says_so_as_the_article_would() {
    need!(root);
    let mut command = Command::new(named());
    command.args(["-p", "true"]).uid(NOBODY).gid(NOBODY);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Parent: clone: Operation not permitted\n");
}

#[test]
fn a_missing_cmd_is_127() {
    need!(root);
    let said = invoke(&["nosuch"], b"");
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (127, " Child: nosuch: No such file or directory\n")
    );
}

#[test]
fn lines_are_said_once_also_through_a_pipe() {
    need!(root);
    let said = invoke(&["-vi", "no", "echo", "cmd"], b"hi\n");
    for line in
        said.stdout.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("     >>"))
    {
        assert_eq!(
            said.stdout.lines().filter(|other| *other == line).count(),
            1,
            "{line}: {}",
            said.stdout
        );
    }
}
