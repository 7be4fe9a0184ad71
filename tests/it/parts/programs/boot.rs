//! A systemd as process 1, and how it stops.

use super::{is_there, started};
use crate::need;
use crate::support::{children_of, eventually, finish, shell};

/// The process that is process 1 inside, once it is a systemd that has started something.
fn systemd_of(rustic: u32) -> u32 {
    let first = || children_of(*children_of(rustic).first()?).first().copied();
    let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let is_up = || {
        first().is_some_and(|pid| {
            let started = children_of(pid);
            name(pid) == "systemd\n" && started.iter().any(|&pid| name(pid).contains("sshd"))
        })
    };
    eventually("systemd has started sshd", is_up);
    first().unwrap()
}

fn signal(name: &str, pid: u32) {
    assert!(shell(&["sh"], &format!("kill -{name} {pid}")).status().unwrap().success());
}

/// reboot(2): process 1 of a pid namespace that halts or powers off ends by SIGINT.
#[test]
fn a_systemd_stops_on_sigterm_and_on_its_own_signal() {
    need!(root);
    need!(is_there(), "RUSTIC_PROGRAMS_ROOT names no root: scripts/test --programs makes one");
    for stop in ["TERM", "RTMIN+3"] {
        let run = started(&["--caps", "all"], &["/lib/systemd/systemd"]);
        let systemd = systemd_of(run.id());
        // The control: SIGTERM itself lets it begin anew, systemd(1), and it goes on.
        signal("TERM", systemd);
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(systemd_of(run.id()), systemd);
        signal(stop, run.id());
        let ran = finish(run);
        assert_eq!(ran.code, 128 + libc::SIGINT, "{stop}: {ran:?}");
    }
}
