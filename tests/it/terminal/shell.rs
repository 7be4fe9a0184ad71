//! A shell inside, its jobs and its size, and whoever else has a terminal.

use super::screen::Screen;
use crate::need;
use crate::support::{Rustic, binary, days, eventually, scratch, sleeps};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs;

/// A prompt that does not stand in what is typed.
const PROMPT: &str = "rustic:/# ";

fn shell_inside() -> Screen {
    let mut screen = Screen::rustic(&Rustic::run().opt(["--env", "PS1=\\h:\\w# ", "sh"]));
    let start = screen.until(PROMPT);
    assert!(!start.contains("tty"), "no complaint about the terminal: {start}");
    screen
}

/// Whether a `sleep` runs in the foreground group of its terminal: fields 3, 5 and 8 of
/// proc_pid_stat(5).
fn in_the_foreground(days: &[String; 2]) -> bool {
    sleeps(days).iter().any(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<_> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        fields.len() > 5 && fields[0] == "S" && fields[2] == fields[5]
    })
}

#[test]
fn a_shell_has_a_terminal_of_its_own_with_job_control() {
    need!(root);
    let mut screen = shell_inside();
    screen.keys("tty\n");
    assert!(screen.until(PROMPT).contains("/dev/pts/0"));
    let (one, other) = (days(), days());
    screen.keys(&format!("sleep {}\n", one.join(" ")));
    screen.until("\r\n");
    eventually("the job is in the foreground", || in_the_foreground(&one));
    screen.keys("\x03");
    screen.until(PROMPT);
    screen.keys("echo a$((1+1))b\n");
    screen.until("a2b");
    screen.until(PROMPT);

    screen.keys(&format!("sleep {}\n", other.join(" ")));
    eventually("the second job is in the foreground", || in_the_foreground(&other));
    screen.keys("\x1a");
    screen.until("Stopped");
    screen.until(PROMPT);
    screen.keys("fg\n");
    eventually("it is in the foreground again", || in_the_foreground(&other));
    screen.keys("\x03");
    screen.until(PROMPT);
    screen.keys("exit 6\n");
    assert_eq!(screen.code(), 6);
}

#[test]
fn the_size_follows() {
    need!(root);
    let mut screen = shell_inside();
    screen.keys("stty size\n");
    screen.until("24 80");
    tcsetwinsize(&screen.master, Winsize { ws_row: 50, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 })
        .unwrap();
    eventually("the inner size is the outer one", || {
        screen.keys("stty size\n");
        screen.until(PROMPT).contains("50 132") || screen.until(PROMPT).contains("50 132")
    });
}

#[test]
fn a_plain_user_and_a_container_without_mounts_have_one_too() {
    need!(root);
    for options in ["", "--mount no", "--init", "--uid 1000", "--root chroot"] {
        let mut screen = Screen::shell(&format!(
            "$RUSTIC run {options} sh -c 'stty size; test -t 0 && echo yes'; echo after"
        ));
        let text = screen.until("after");
        assert!(text.contains("24 80") && text.contains("yes"), "{options}: {text}");
    }
    let script = "exec setpriv --reuid 65534 --regid 65534 --clear-groups env -u RUSTIC_STORE \
        HOME=/nonexistent $RUSTIC run sh -c 'stty size; tty'";
    let mut screen = Screen::shell(script);
    screen.until("24 80");
    screen.until("/dev/pts/0");
    assert_eq!(screen.code(), 0);
}

#[test]
fn a_run_in_the_background_runs_on_and_takes_the_terminal_when_it_comes_forward() {
    need!(root);
    let mut screen = Screen::start(&["bash", "--norc", "-i"]);
    screen.keys("PS1='@'; $RUSTIC run sh -c 'sleep 0.5; echo done; read x; echo got $x' &\n");
    screen.until("done");
    screen.keys("jobs\n");
    let jobs = screen.until("@");
    assert!(!jobs.contains("Stopped"), "{jobs}");
    screen.keys("fg\n");
    screen.until("fg");
    // Within a moment it notices: nothing tells a job that never stopped.
    std::thread::sleep(std::time::Duration::from_millis(600));
    screen.keys("line\n");
    screen.until("got line");
}

#[test]
fn the_articles_program_asks_for_its_message_in_a_terminal() {
    need!(root);
    let link = scratch("articles").join("invoke_ns");
    std::os::unix::fs::symlink(binary(), &link).unwrap();
    let invoke = format!("unshare --ipc {}", link.display());
    let mut screen = Screen::shell(&format!("{invoke} -vi no; echo after $?"));
    screen.until("     >> ");
    screen.keys("peculiar piano riffs\n");
    screen.until(" Child: sending message to parent");
    screen.until("     >> peculiar piano riffs");
    screen.until("Removing message queue /ipc_namespace");
    screen.until("after 0");
    // Ctrl-C at the prompt: both sides end, and the queue is removed.
    let mut screen =
        Screen::shell(&format!("trap 'echo outside' INT; {invoke} -vi no; echo after $?"));
    screen.until("     >> ");
    screen.keys("\x03");
    screen.until("Removing message queue /ipc_namespace");
    screen.until("after");
}
