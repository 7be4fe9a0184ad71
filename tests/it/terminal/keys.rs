//! What is typed: keys that end, keys that do not, and keys that nobody has typed.

use super::screen::Screen;
use crate::need;
use crate::support::{CEILING, Rustic, payload};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Instant;

#[test]
fn ctrl_c_ends_a_pid_1_that_would_lose_it_and_nothing_outside() {
    need!(root);
    for (key, code) in [("\x03", 130), ("\x1c", 131)] {
        let mut screen = Screen::shell(
            "trap 'echo outside' INT QUIT; $RUSTIC run sh -c 'echo up; exec sleep 999'; echo \
                after $?",
        );
        screen.until("up");
        // Until the shell, which ignores one of the two, has become sleep.
        std::thread::sleep(std::time::Duration::from_millis(200));
        screen.keys(key);
        let text = screen.until("after");
        assert!(!text.contains("outside"), "{text}");
        screen.until(&code.to_string());
    }
}

#[test]
fn ctrl_c_is_for_cmd_to_handle_when_it_does() {
    need!(root);
    let mut screen = Screen::rustic(
        &Rustic::run().sh("trap 'echo mine; exit 3' INT; echo up; while :; do sleep 0.01; done"),
    );
    screen.until("up");
    screen.keys("\x03");
    screen.until("mine");
    assert_eq!(screen.code(), 3);
}

#[test]
fn three_escapes_end_the_container_and_two_do_not() {
    need!(root);
    let mut screen = Screen::rustic(&Rustic::run().sh("stty raw -echo; echo up; sleep 999"));
    screen.until("up");
    screen.keys("\x1d\x1d");
    std::thread::sleep(std::time::Duration::from_millis(1200));
    assert!(screen.child.try_wait().unwrap().is_none());
    screen.keys("\x1d\x1d\x1d");
    assert_eq!(screen.code(), 137);
}

#[test]
fn escapes_with_other_keys_between_end_nothing_and_the_end_is_told() {
    need!(root);
    let mut screen = Screen::rustic(&Rustic::run().sh("stty raw -echo; echo up; cat >/dev/null"));
    screen.until("up");
    // As random bytes have it: many, and never three together.
    screen.keys(&"\x1da\x1d\x1db".repeat(500));
    for _ in 0..20 {
        screen.read(20);
    }
    assert!(screen.child.try_wait().unwrap().is_none(), "{:?}", screen.text);
    screen.keys("\x1d\x1d\x1d");
    screen.until("^] was typed three times");
    assert_eq!(screen.code(), 137);
}

#[test]
fn a_container_that_has_closed_its_terminal_hears_keys_and_can_open_it_again() {
    need!(root);
    // Another process says "again": a shell loses a ^C that comes while it executes its last
    // command.
    let closes = "exec <&- >&- 2>&-; (sleep 1; echo again >/dev/tty) & exec sleep 600";
    let mut screen = Screen::rustic(&Rustic::run().sh(closes));
    screen.until("again");
    screen.keys("\x03");
    assert_eq!(screen.code(), 130);
    let mut screen = Screen::rustic(&Rustic::run().sh("echo up; exec <&- >&- 2>&-; sleep 600"));
    screen.until("up");
    screen.keys("\x1d\x1d\x1d");
    screen.until("^] was typed three times");
    assert_eq!(screen.code(), 137);
}

#[test]
fn nothing_typed_from_inside_reaches_the_outer_terminal() {
    need!(root);
    // The control: without rustic the same program types into the terminal that it has.
    let mut control =
        Screen::shell(&format!("{} tiocsti; read -r x; echo typed=$x", payload().display()));
    control.until("tiocsti");
    control.keys("\n");
    let typed = control.until("typed=");
    control.read(200);
    need!(
        control.text.starts_with('x'),
        format!("TIOCSTI is off here (dev.tty.legacy_tiocsti): {typed}")
    );

    for caps in ["default", "all"] {
        let bind = format!("--bind {}:/mnt/payload", payload().display());
        let mut screen = Screen::shell(&format!(
            "$RUSTIC run {bind} --caps {caps} /mnt/payload tiocsti; read -r x; echo typed=$x:"
        ));
        screen.until("tiocsti");
        std::thread::sleep(std::time::Duration::from_millis(100));
        screen.keys("\n");
        let end = screen.until("typed=") + &screen.until(":");
        assert!(end.ends_with("typed=:"), "{end}");
    }
}

#[test]
fn a_large_paste_is_neither_lost_nor_a_deadlock() {
    need!(root);
    let mut screen = Screen::rustic(
        &Rustic::run().sh("stty raw -echo; echo up; sleep 0.2; head -c 200000 | wc -c"),
    );
    screen.until("up");
    let master = screen.master.try_clone().unwrap();
    let typist = std::thread::spawn(move || {
        let (chunk, mut left) = ([b'a'; 1000], 200);
        while left > 0 {
            if rustix::io::write(&master, &chunk).unwrap() == 1000 {
                left -= 1;
            }
        }
    });
    screen.until("200000");
    typist.join().unwrap();
}

#[test]
fn a_screen_that_takes_nothing_does_not_keep_rustic_from_ending() {
    need!(root);
    let mut screen = Screen::rustic(&Rustic::run().opt(["yes"]));
    // Nothing is read from the master: it fills up.
    std::thread::sleep(std::time::Duration::from_millis(700));
    kill(Pid::from_raw(screen.child.id() as i32), Signal::SIGTERM).unwrap();
    let since = Instant::now();
    while screen.child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < CEILING, "SIGTERM was not heard");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn the_escapes_are_heard_while_cmd_does_not_read() {
    need!(root);
    let mut screen = Screen::rustic(&Rustic::run().sh("echo up; exec sleep 999"));
    screen.until("up");
    let line = "a".repeat(100) + "\n";
    for _ in 0..300 {
        screen.keys(&line);
        screen.read(1);
    }
    screen.keys("\x1d\x1d\x1d");
    assert_eq!(screen.code(), 137);
}

#[test]
fn a_quoted_ctrl_c_is_a_character() {
    need!(root);
    let mut screen = Screen::rustic(&Rustic::run().sh("echo up; exec cat"));
    screen.until("up");
    std::thread::sleep(std::time::Duration::from_millis(200));
    screen.keys("\x16\x03b\n");
    screen.until("\x03b");
    assert!(screen.child.try_wait().unwrap().is_none());
}
