//! The modes of the outer terminal come back on every way out.

use super::screen::Screen;
use crate::need;
use crate::support::{eventually, marker, parent_of, processes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use std::fs;

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
            .find(|&pid| pid != shell && parent_of(pid) == Some(shell))
            .unwrap();
        assert_ne!(screen.modes(), before, "the control: raw while the container runs");
        kill(Pid::from_raw(rustic), signal).unwrap();
        screen.until("after");
        eventually("the modes are back", || screen.modes() == before);
        eventually("nothing is left", || processes(&mark).into_iter().all(|pid| pid == shell));
    }
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
    let rustic = Pid::from_raw(
        processes(&mark).into_iter().find(|&pid| parent_of(pid) == Some(shell)).unwrap(),
    );
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
