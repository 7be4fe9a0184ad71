//! The container's own terminal, seen from a pty that plays the user's.

use crate::need;
use crate::support::{
    CEILING, Rustic, binary, eventually, marker, payload, processes, scratch, shared, unique,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A user's terminal with a program in its foreground.
struct Screen {
    master: OwnedFd,
    slave: OwnedFd,
    text: String,
    child: Child,
}

impl Screen {
    /// A host shell that runs a script with the terminal as its own.
    fn shell(script: &str) -> Self {
        Self::start(&["sh", "-c", script])
    }

    /// The same, and the terminal's modes before the script begins.
    fn shell_and_modes(script: &str) -> (Self, String) {
        let screen = Self::shell(&format!("read go; {script}"));
        let modes = screen.modes();
        screen.keys("\n");
        (screen, modes)
    }

    /// rustic itself.
    fn rustic(run: &Rustic) -> Self {
        let rustic = binary();
        let mut words = vec![rustic.to_str().unwrap()];
        words.extend(run.args().iter().map(String::as_str));
        Self::start(&words)
    }

    fn start(words: &[&str]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(
            &master,
            OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
        )
        .unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
        let stream = || Stdio::from(slave.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(words).stdin(stream()).stdout(stream()).stderr(stream());
        let child = command
            .env("RUSTIC_STORE", shared().join("store"))
            .env("RUSTIC", binary())
            .env("TERM", "vt100")
            .spawn()
            .unwrap();
        Self { master, slave, text: String::new(), child }
    }

    fn keys(&self, keys: &str) {
        rustix::io::write(&self.master, keys.as_bytes()).unwrap();
    }

    /// Reads until a text has appeared, and gives everything since the last one.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        let since = Instant::now();
        loop {
            if let Some(at) = self.text.find(text) {
                return self.text.drain(..at + text.len()).collect();
            }
            assert!(since.elapsed() < CEILING, "'{text}' did not appear: {:?}", self.text);
            self.read(100);
        }
    }

    /// Reads what is there within so many milliseconds.
    fn read(&mut self, milliseconds: i64) {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        if poll(&mut fds, Some(&timeout)).unwrap() > 0 {
            let mut buffer = [0; 4096];
            if let Ok(length) = rustix::io::read(&self.master, &mut buffer) {
                self.text.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        }
    }

    fn modes(&self) -> String {
        let modes = tcgetattr(&self.slave).unwrap();
        format!(
            "{:?} {:?} {:?} {:?}",
            modes.input_modes, modes.output_modes, modes.local_modes, modes.special_codes
        )
    }

    #[track_caller]
    fn code(&mut self) -> i32 {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(since.elapsed() < CEILING, "still running: {:?}", self.text);
            self.read(5);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A prompt that does not stand in what is typed.
const PROMPT: &str = "rustic:/# ";

fn shell_inside() -> Screen {
    let mut screen = Screen::rustic(&Rustic::run().opt(["--env", "PS1=\\h:\\w# ", "sh"]));
    let start = screen.until(PROMPT);
    assert!(!start.contains("tty"), "no complaint about the terminal: {start}");
    screen
}

/// Whether `sleep NUMBER` runs in the foreground group of its terminal: fields 3, 5 and 8 of
/// proc_pid_stat(5).
fn in_the_foreground(number: usize) -> bool {
    processes(&format!("sleep\0{number}")).iter().any(|pid| {
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
    // A length of sleep that no other test has.
    let (one, other) = (1_000_000 + unique(), 2_000_000 + unique());
    screen.keys(&format!("sleep {one}\n"));
    screen.until("\r\n");
    eventually("the job is in the foreground", || in_the_foreground(one));
    screen.keys("\x03");
    screen.until(PROMPT);
    screen.keys("echo a$((1+1))b\n");
    screen.until("a2b");
    screen.until(PROMPT);

    screen.keys(&format!("sleep {other}\n"));
    eventually("the second job is in the foreground", || in_the_foreground(other));
    screen.keys("\x1a");
    screen.until("Stopped");
    screen.until(PROMPT);
    screen.keys("fg\n");
    eventually("it is in the foreground again", || in_the_foreground(other));
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
fn a_file_as_stdout_is_not_changed_by_a_terminal_beside_it() {
    need!(root);
    let dir = scratch("tar");
    let script = format!(
        "$RUSTIC run tar c /etc >{0}/x.tar; $RUSTIC run cat /bin/busybox >{0}/busybox; echo done",
        dir.display()
    );
    Screen::shell(&script).until("done");
    assert_eq!(fs::read(dir.join("busybox")).unwrap(), fs::read("/bin/busybox").unwrap());
    let list = crate::support::host("tar", ["tf", dir.join("x.tar").to_str().unwrap()]);
    assert!(list.contains("etc/passwd"), "{list}");
}

#[test]
fn a_terminal_as_stdout_alone_shows_lines_as_they_are() {
    need!(root);
    let mut screen =
        Screen::shell("echo in | $RUSTIC run sh -c 'cat; echo two; tty <&1'; echo done");
    let text = screen.until("done");
    assert!(text.starts_with("in\r\ntwo\r\n/dev/pts/0\r\n"), "{text:?}");
}

#[test]
fn the_modes_of_the_outer_terminal_come_back_on_every_way_out() {
    need!(root);
    for (ending, script) in [
        ("exit", "$RUSTIC run true; echo after"),
        ("error", "$RUSTIC run --rootfs / --read-only --workdir /nonexistent true; echo after"),
        ("not found", "$RUSTIC run nosuch; echo after"),
        ("killed CMD", "$RUSTIC run sh -c 'kill -9 $$'; echo after"),
    ] {
        let (mut screen, before) = Screen::shell_and_modes(script);
        screen.until("after");
        assert_eq!(screen.modes(), before, "{ending}");
    }
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mark = marker();
        let (mut screen, before) = Screen::shell_and_modes(&format!(
            "$RUSTIC run sh -c 'echo up; sleep 999; : {mark}'; echo after $?"
        ));
        screen.until("up");
        let shell = screen.child.id() as i32;
        let rustic = processes(&mark)
            .into_iter()
            .find(|&pid| pid != shell && parent_of(pid) == shell)
            .unwrap();
        assert_ne!(screen.modes(), before, "the control: raw while the container runs");
        kill(Pid::from_raw(rustic), signal).unwrap();
        screen.until("after");
        eventually("the modes are back", || screen.modes() == before);
        eventually("nothing is left", || processes(&mark).into_iter().all(|pid| pid == shell));
    }
}

fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

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
    // Another process says "again": a shell loses a ^C that comes while it executes its last command.
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
fn a_stop_from_outside_gives_the_terminal_back_for_that_time() {
    need!(root);
    let mark = marker();
    let (mut screen, before) = Screen::shell_and_modes(&format!(
        "$RUSTIC run sh -c 'echo up; read x; echo got $x; : {mark}'; echo after"
    ));
    screen.until("up");
    let shell = screen.child.id() as i32;
    let rustic =
        Pid::from_raw(processes(&mark).into_iter().find(|&pid| parent_of(pid) == shell).unwrap());
    kill(rustic, Signal::SIGTSTP).unwrap();
    eventually("the modes are as before", || screen.modes() == before);
    // A SIGCONT that comes before it has stopped would be undone by the stop.
    let stat = format!("/proc/{rustic}/stat");
    eventually("it has stopped", || {
        std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
    });
    kill(rustic, Signal::SIGCONT).unwrap();
    eventually("the terminal is raw again", || screen.modes() != before);
    screen.keys("line\n");
    screen.until("got line");
    screen.until("after");
    assert_eq!(screen.modes(), before);
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
fn the_modes_of_one_terminal_are_not_given_to_another() {
    need!(root);
    let other = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    unlockpt(&other).unwrap();
    let other_slave =
        ioctl_tiocgptpeer(&other, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .unwrap();
    let name =
        fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&other_slave)))
            .unwrap();
    let mut screen = Screen::shell(&format!(
        "stty -echo; stty -a | grep -o '.echo '; $RUSTIC run true >{0} 2>&1; stty -a | grep -o \
            '.echo '; echo after",
        name.display()
    ));
    let text = screen.until("after");
    assert_eq!(text.matches("-echo").count(), 2, "{text}");
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

#[test]
fn an_unpack_that_takes_long_says_how_far_it_is() {
    need!(root);
    let dir = scratch("progress");
    let archive = dir.join("a.tar");
    std::fs::write(&archive, crate::corpus::bytes::tar([crate::corpus::bytes::file("a", "x")]))
        .unwrap();
    let (archive, out) = (archive.display(), dir.join("out"));
    let script = format!(
        "(head -c 600 {archive}; sleep 1; tail -c +601 {archive}) | $RUSTIC rootfs unpack - {}; \
            echo code $?",
        out.display()
    );
    let mut screen = Screen::shell(&script);
    screen.until("unpacking stdin 600 B");
    screen.until("code 0");
    // One that is done at once says nothing, and so does one whose stderr is no terminal, as every
    // other test sees.
    let mut screen =
        Screen::shell(&format!("$RUSTIC rootfs unpack {archive} {}2; echo code $?", out.display()));
    assert!(!screen.until("code 0").contains("unpacking"));
}
