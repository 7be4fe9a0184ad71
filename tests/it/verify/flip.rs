//! --flip: each namespace moves its own wall.

use crate::judged::{json, verdicts, verify};
use crate::need;
use crate::support::NAMES;
use std::collections::BTreeSet;

/// The probes of other walls that answer otherwise where processes outside can be named.
const WITH_PID: [&str; 20] = [
    "RV-CGR-04",
    "RV-CGR-06",
    "RV-DEV-01",
    "RV-IPC-02",
    "RV-IPC-09",
    "RV-KEY-03",
    "RV-KRN-01",
    "RV-KRN-02",
    "RV-KRN-05",
    "RV-MNT-04",
    "RV-NET-05",
    "RV-NET-12",
    "RV-NET-15",
    "RV-PID-06",
    "RV-ROOT-09",
    "RV-ROOT-13",
    "RV-TTY-03",
    "RV-USR-08",
    "RV-USR-09",
    "RV-UTS-04",
];

/// Those that answer otherwise where the mounts are the caller's own.
const WITH_MOUNT: [&str; 14] = [
    "RV-CAP-08",
    "RV-FD-03",
    "RV-IPC-02",
    "RV-KEY-03",
    "RV-KRN-01",
    "RV-KRN-02",
    "RV-KRN-05",
    "RV-NET-05",
    "RV-NET-15",
    "RV-PID-03",
    "RV-PID-06",
    "RV-ROOT-02",
    "RV-ROOT-12",
    "RV-TTY-03",
];

#[test]
fn flip_moves_each_namespaces_own_wall_and_what_else_moves_is_explained() {
    need!(root);
    let ran = verify().opt(["--flip", "--json"]).ran();
    let flip = json(&ran);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let rows = flip["rows"].as_array().unwrap();
    assert_eq!(
        rows.iter().map(|row| row["namespace"].as_str().unwrap()).collect::<Vec<_>>(),
        NAMES.map(|(name, _)| name)
    );
    for (row, (name, own)) in rows.iter().zip(NAMES) {
        assert_eq!(row["followed"], true, "{name}");
        let (before, after) = (verdicts(&flip["base"]), verdicts(&row["report"]));
        let moved: Vec<_> = after
            .iter()
            .filter(|(wall, verdict)| before[*wall] != **verdict)
            .map(|(wall, _)| *wall)
            .collect();
        // Whoever can name a process outside follows its /proc/PID/root.
        let by_pid =
            ["cgroup", "devices", "ipc", "kernel", "keyring", "net", "pid", "root", "terminal"];
        let expected: &[&str] = if name == "pid" { &by_pid } else { &[own] };
        assert_eq!(moved, expected, "{name}");
        let others: BTreeSet<_> = row["others"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| change["probe"].as_str().unwrap())
            .collect();
        let expected: &[&str] = match name {
            "pid" => &WITH_PID,
            "mount" => &WITH_MOUNT,
            // What is the kernel's uid 0's is not its own.
            "user" => &["RV-KRN-01", "RV-KRN-02"],
            _ => &[],
        };
        assert_eq!(others.into_iter().collect::<Vec<_>>(), expected, "{name}");
        assert!(
            row["others"].as_array().unwrap().iter().all(|change| change["because"].is_string()),
            "{row:#}"
        );
    }
    // Options that ask for the namespace which is shared are left out of that row.
    let text = verify().opt(["--flip", "--hostname", "box", "--tmpfs", "/tmp"]).ran().ok();
    assert!(text.contains("8 of 8 walls follow their own namespace."), "{text}");
}
