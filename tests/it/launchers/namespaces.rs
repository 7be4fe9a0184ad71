//! unshare(1) with each set of its namespaces, beside what the kernel says of them; and leaks that
//! are known of it and of bubblewrap.

use super::judged;
use crate::judged::{probes, verdicts, walls};
use crate::need;

const SWITCHES: [(&str, &str); 5] =
    [("-m", "mnt"), ("-p", "pid"), ("-u", "uts"), ("-i", "ipc"), ("-n", "net")];

/// Takes every capability away: with them whoever sees the host's /proc, or takes away what covers
/// it, enters whatever namespace it likes.
const WITHOUT_RIGHTS: [&str; 5] = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"];

/// What is true of a wall without rights, by whether its namespace was made, and whether no process
/// outside can be named.
fn truth(wall: &str, made: bool, alone: bool) -> &'static str {
    match (wall, made) {
        (_, false) => "shared",
        // A new one has the host's /proc, where no other can be mounted.
        ("pid", true) if !alone => "leaked",
        // A process outside that can be named leads to the mqueue that its root has.
        ("ipc", true) if !alone => "leaked",
        // AF_VSOCK, and the sysfs of the host.
        ("net", true) => "leaked",
        (_, true) => "held",
    }
}

#[test]
fn every_set_of_namespaces_of_unshare_is_told_as_it_is() {
    need!(root);
    for set in 0..32_u32 {
        let bits = SWITCHES.into_iter().enumerate();
        let chosen: Vec<(&str, &str)> =
            bits.filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, one)| one).collect();
        let has = |wall: &str| chosen.iter().any(|(_, one)| *one == wall);
        let mut unshare = vec!["unshare", "-f"];
        unshare.extend(chosen.iter().map(|(switch, _)| *switch));
        if has("pid") && has("mnt") {
            unshare.push("--mount-proc");
        }
        let without: Vec<&str> =
            unshare.iter().copied().chain(WITHOUT_RIGHTS).chain(["{probe}"]).collect();
        let (_, report) = judged(&["--only", "mnt,pid,uts,ipc,net"], &without);
        for (wall, verdict) in verdicts(&report) {
            let expected = truth(wall, has(wall), has("pid") && has("mnt"));
            assert_eq!(verdict, expected, "{without:?} {wall}: {report:#}");
        }
        // The two sides are what the kernel says.
        for (wall, report) in walls(&report) {
            assert_eq!(report["identity"]["same"], !has(wall), "{without:?} {wall}");
        }
        // With every right each of them is entered, or shared anyway.
        let with: Vec<&str> = unshare.into_iter().chain(["{probe}"]).collect();
        let (_, report) = judged(&["--only", "mnt,pid,uts,ipc,net"], &with);
        for (wall, verdict) in verdicts(&report) {
            let expected = if has(wall) { "leaked" } else { "shared" };
            assert_eq!(verdict, expected, "{with:?} {wall}: {report:#}");
        }
    }
}

/// A root that is moved over the old one, which stays below it.
const MOVED: &str =
    "mount --bind \"$0\" \"$0\" && cd \"$0\" && mount --move . / && exec chroot . \"$@\"";

/// A launcher, and the probe that crosses a wall of it.
const LEAKS: [(&[&str], &str, &str); 12] = [
    (&["unshare", "-mpf", "--mount-proc", "{probe}"], "fds", "RV-FD-01"),
    (&["bwrap", "--dev-bind", "/", "/", "{probe}"], "fds", "RV-FD-01"),
    (&["chroot", "/", "{probe}"], "fds", "RV-FD-01"),
    (&["bwrap", "--ro-bind", "/", "/", "--unshare-all", "{probe}"], "keyring", "RV-KEY-01"),
    (&["unshare", "-m", "--propagation", "unchanged", "{probe}"], "mnt", "RV-MNT-01"),
    (&["unshare", "-p", "-f", "{probe}"], "pid", "RV-PID-03"),
    (&["unshare", "-mpf", "--mount-proc", "{probe}"], "pid", "RV-PID-11"),
    (
        &["unshare", "-m", "sh", "-c", MOVED, "{dir}", "/.rustic-probe", "__probe", "{nonce}"],
        "root",
        "RV-ROOT-14",
    ),
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
        (
            &["unshare", "-mpf", "--mount-proc", "setpriv", "--bounding-set", "-all", "{probe}"],
            "pid",
            "RV-PID-11",
        ),
        (
            &[
                "bwrap",
                "--bind",
                "{dir}",
                "/",
                "--cap-add",
                "ALL",
                "/.rustic-probe",
                "__probe",
                "{nonce}",
            ],
            "root",
            "RV-ROOT-14",
        ),
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
