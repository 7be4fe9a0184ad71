//! unshare(1) with each set of its namespaces, beside what the kernel says of them; and leaks that
//! are known of it and of bubblewrap.

use super::judged;
use crate::judged::{probes, verdicts, walls};
use crate::need;

const SWITCHES: [(&str, &str); 5] =
    [("-m", "mnt"), ("-p", "pid"), ("-u", "uts"), ("-i", "ipc"), ("-n", "net")];

/// What is true of a wall by its namespace, where it was made and where not. With the host's /proc
/// and /sys, and all rights, most leak all the same.
fn allowed(wall: &str, made: bool, mounts: bool) -> &'static [&'static str] {
    match (wall, made) {
        (_, false) => &["shared"],
        // The host's /proc shows the host's processes; a new one is mounted only in a mount
        // namespace.
        ("pid", true) if !mounts => &["leaked"],
        ("net", true) => &["leaked"],
        ("pid" | "mnt" | "uts" | "ipc", true) => &["held"],
        _ => &[],
    }
}

#[test]
fn every_set_of_namespaces_of_unshare_is_told_as_it_is() {
    need!(root);
    for set in 0..32_u32 {
        let chosen: Vec<(&str, &str)> = SWITCHES
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| set >> bit & 1 == 1)
            .map(|(_, one)| one)
            .collect();
        let has = |wall: &str| chosen.iter().any(|(_, one)| *one == wall);
        let mut words = vec!["unshare", "-f"];
        words.extend(chosen.iter().map(|(switch, _)| *switch));
        // Without it the new pid namespace has the old one's /proc, which leads outside.
        if has("pid") && has("mnt") {
            words.push("--mount-proc");
        }
        words.push("{probe}");
        let (_, report) = judged(&["--only", "mnt,pid,uts,ipc,net"], &words);
        let found = verdicts(&report);
        let wrong: Vec<_> = found
            .iter()
            .filter(|(wall, verdict)| {
                !allowed(wall, has(wall), has("mnt")).contains(verdict)
                    // Who can name a process outside enters whatever namespace it likes.
                    && !(!(has("pid") && has("mnt")) && has(wall) && **verdict == "leaked")
            })
            .collect();
        assert!(wrong.is_empty(), "{words:?}: {wrong:?} {report:#}");
        // The two sides are what the kernel says.
        for (wall, report) in walls(&report) {
            assert_eq!(report["identity"]["same"], !has(wall), "{words:?} {wall}");
        }
    }
}

/// A launcher, and the probe that crosses a wall of it.
const LEAKS: [(&[&str], &str, &str); 10] = [
    (&["unshare", "-mpf", "--mount-proc", "{probe}"], "fds", "RV-FD-01"),
    (&["bwrap", "--dev-bind", "/", "/", "{probe}"], "fds", "RV-FD-01"),
    (&["chroot", "/", "{probe}"], "fds", "RV-FD-01"),
    (&["bwrap", "--ro-bind", "/", "/", "--unshare-all", "{probe}"], "keyring", "RV-KEY-01"),
    (&["unshare", "-m", "--propagation", "unchanged", "{probe}"], "mnt", "RV-MNT-01"),
    (&["unshare", "-p", "-f", "{probe}"], "pid", "RV-PID-03"),
    (&["unshare", "-mpf", "--mount-proc", "{probe}"], "terminal", "RV-TTY-01"),
    (&["chroot", "/", "{probe}"], "terminal", "RV-TTY-01"),
    (&["bwrap", "--dev-bind", "/", "/", "{probe}"], "terminal", "RV-TTY-01"),
    (&["bwrap", "--ro-bind", "/", "/", "--unshare-all", "{probe}"], "root", "RV-ROOT-06"),
];

#[test]
fn known_leaks_of_launchers_are_found_by_their_probes() {
    need!(root);
    for (launcher, wall, probe) in LEAKS {
        let (code, report) = judged(&["--only", wall], launcher);
        let found = probes(walls(&report)[wall]);
        assert_eq!((code, found[probe].0), (1, "leaked"), "{launcher:?}: {found:?}");
    }
    // The controls: where the launcher closes it, it is not found.
    for (launcher, wall, probe) in [
        (&["unshare", "-mpf", "--mount-proc", "{probe}"][..], "pid", "RV-PID-03"),
        (&["unshare", "-m", "{probe}"], "mnt", "RV-MNT-01"),
        (
            &["bwrap", "--dev-bind", "/", "/", "--new-session", "--cap-drop", "ALL", "{probe}"],
            "terminal",
            "RV-TTY-01",
        ),
        (&["chroot", "{dir}", "/.rustic-probe", "__probe", "{nonce}"], "root", "RV-ROOT-06"),
    ] {
        let (_, report) = judged(&["--only", wall], launcher);
        let found = probes(walls(&report)[wall]);
        assert_eq!(found[probe].0, "held", "{launcher:?}: {found:?}");
    }
}
