//! The article's program: its words, their order on each side, its exit codes, and the faults that
//! were mended.

use crate::need;
use crate::support::{NOBODY, binary, eventually, scratch, shared};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// How the program ended and what it said.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

/// The program under the article's name, in an IPC namespace of its own, so that its one queue name
/// is nobody else's.
fn invoke(args: &[&str], input: &[u8]) -> Said {
    let mut command = Command::new("unshare");
    command.arg("--ipc").arg(named()).args(args);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said {
        code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap()),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn named() -> PathBuf {
    let link = shared().join("invoke_ns");
    let _ = symlink(binary(), &link);
    link
}

/// The lines of one side, with numbers left out and the program's own path as PROG.
fn side(text: &str, who: &str) -> Vec<String> {
    let text = text.replace(named().to_str().unwrap(), "PROG");
    let lines = text.lines().filter(|line| line.trim_start().starts_with(who));
    lines.map(|line| line.chars().filter(|c| !c.is_ascii_digit()).collect()).collect()
}

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
fn the_jail_has_its_own_name_processes_and_environment() {
    need!(root);
    let jail = scratch("jail");
    crate::support::host(
        "tar",
        [
            "xzf",
            concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/rootfs.tar.gz"),
            "-C",
            jail.to_str().unwrap(),
        ],
    );
    let mounts = fs::read("/proc/self/mountinfo").unwrap();
    let said = invoke(
        &[
            "-vpmu",
            "box",
            "-n",
            "-i",
            "no",
            "-c",
            jail.to_str().unwrap(),
            "sh",
            "-c",
            "hostname; ps; env; exit 5",
        ],
        b"hi\n",
    );
    assert_eq!(said.code, 5, "CMD's failure shows: {}", said.stderr);
    assert!(
        said.stdout.contains(" Child: Executing command sh -c hostname; ps; env; exit 5 ...\n"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("box\n") && said.stdout.contains("    1 root     sh -c"),
        "{}",
        said.stdout
    );
    assert!(!said.stdout.contains("RUST"), "the environment is cleared: {}", said.stdout);
    assert_eq!(
        fs::read("/proc/self/mountinfo").unwrap(),
        mounts,
        "mounts are private before /proc is touched"
    );
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
    let child = || {
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.id()))
            .ok()?
            .trim()
            .parse::<i32>()
            .ok()
    };
    eventually("the child is there", || child().is_some());
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child().unwrap()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let since = Instant::now();
    assert_eq!(parent.wait().unwrap().code(), Some(137));
    assert!(since.elapsed().as_secs() < 30);
    drop(stdin);
}

#[test]
fn a_stale_queue_is_named_and_reuse_takes_it() {
    need!(root);
    // A queue of the name, left in the same namespace by a helper of util-linux and the mqueue file
    // system.
    let squat = "mount -t mqueue none /mnt 2>/dev/null; touch /mnt/ipc_namespace";
    let squatted = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--ipc", "--mount", "sh", "-c", &format!("{squat}; exec \"$0\" \"$@\"")])
            .arg(named())
            .args(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"hi\n").unwrap();
        child.wait_with_output().unwrap()
    };
    let output = squatted(&["-i", "no"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("Parent: mq_open /ipc_namespace: File exists") && text.contains("--reuse"),
        "{text}"
    );
    let output = squatted(&["--reuse", "-i", "no"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("     >> hi\n"));
}

#[test]
fn the_queue_is_for_its_owner_alone_whatever_the_umask() {
    need!(root);
    let script = "umask 0; (echo hi; sleep 1) | \"$0\" -i no sh -c 'mount -t mqueue none /mnt; \
        stat -c %a /mnt/ipc_namespace' & sleep 0.3; \
                  mount -t mqueue none /mnt; stat -c %a /mnt/ipc_namespace; wait";
    let output = Command::new("unshare")
        .args(["--ipc", "--mount", "sh", "-c", script])
        .arg(named())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("600\n"), "{output:?}");
}

#[test]
fn a_signal_removes_the_queue() {
    need!(root);
    // A shell's background job ignores SIGINT, so it is SIGTERM here; Ctrl-C itself is tried in a
    // terminal.
    let dir = scratch("signal");
    let script = "mount -t mqueue none /mnt; mkfifo $DIR/in; exec 9<>$DIR/in; \"$0\" -vi no \
        <$DIR/in >$DIR/out 9>&- & p=$!; \
                  until grep -q '>>' $DIR/out 2>/dev/null; do sleep 0.02; done; ls /mnt; kill -TERM $p; wait $p; echo $?; ls /mnt; cat $DIR/out";
    let output = Command::new("timeout")
        .args(["60", "unshare", "--ipc", "--mount", "sh", "-c", script])
        .arg(named())
        .env("DIR", &dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.starts_with("ipc_namespace\n143\nParent: PID"),
        "there before, gone after: {text}"
    );
    assert!(text.contains("Parent: Removing message queue /ipc_namespace"), "{text}");
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
fn mounts_are_private_before_proc_is_touched_also_where_they_were_shared() {
    need!(root);
    // As systemd has it: the root is shared, and the article's own program would replace the host's
    // /proc.
    let script = "mount --make-rshared /; cat /proc/self/mountinfo >$DIR/before; \"$0\" -pm sh -c \
        'echo $$; ls -d /proc/1'; \
                  cat /proc/self/mountinfo >$DIR/after; cmp $DIR/before $DIR/after && grep -c shared: $DIR/after >/dev/null";
    let dir = scratch("shared-proc");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(named())
        .env("DIR", &dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n/proc/1\n");
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
