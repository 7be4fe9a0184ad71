//! Capabilities, shared namespaces, a missing filter and inherited streams.

use super::opens;
use crate::judged::{probes, report, verdicts, verify, walls, wrong};
use crate::need;
use serde_json::json;

#[test]
fn the_right_to_mount_opens_what_can_be_mounted() {
    need!(root);
    opens(
        "--caps sys_admin,mknod",
        &[
            ("root", "RV-ROOT-10", "CAP_SYS_ADMIN"),
            ("cgroup", "RV-CGR-03", "CAP_SYS_ADMIN"),
            ("kernel", "RV-KRN-03", "CAP_SYS_ADMIN"),
            ("devices", "RV-DEV-03", "CAP_SYS_ADMIN"),
            ("devices", "RV-DEV-02", "CAP_MKNOD"),
        ],
    );
}

#[test]
fn whoever_names_a_process_outside_follows_its_root_and_with_the_right_enters_where_it_is() {
    need!(root);
    let (_, shared) = report(verify().opt(["--pid", "no"]));
    for (wall, probe) in [
        ("root", "RV-PID-06"),
        ("root", "RV-ROOT-13"),
        ("net", "RV-NET-05"),
        ("net", "RV-NET-15"),
        ("ipc", "RV-IPC-02"),
        ("cgroup", "RV-CGR-06"),
        ("keyring", "RV-KEY-03"),
        ("terminal", "RV-TTY-03"),
        ("kernel", "RV-KRN-01"),
        ("devices", "RV-DEV-01"),
    ] {
        let found = walls(&shared)[wall];
        assert_eq!(
            (found["verdict"].as_str(), probes(found)[probe].0, &found["doors"]),
            (Some("shared"), "shared", &json!(["pid"])),
            "{wall}: {found:#}"
        );
    }
    // In a user namespace its root may not be followed, and its network is seen all the same.
    let (_, apart) = report(verify().opt(["--pid", "no", "--user", "yes"]));
    let by_pid = verdicts(&apart);
    assert_eq!((by_pid["root"], by_pid["kernel"], by_pid["net"]), ("held", "held", "shared"));
    let entered = "pid with CAP_SYS_ADMIN";
    let (code, all) = report(verify().opt(["--pid", "no", "--caps", "all"]));
    assert_eq!((code, wrong(&all)), (0, vec![]), "{all:#}");
    for (wall, probe) in [
        ("mnt", "RV-MNT-04"),
        ("uts", "RV-UTS-04"),
        ("net", "RV-NET-12"),
        ("ipc", "RV-IPC-09"),
        ("cgroup", "RV-CGR-04"),
        ("root", "RV-ROOT-09"),
    ] {
        let found = walls(&all)[wall];
        assert_eq!(probes(found)[probe].0, "shared", "{wall}: {found:#}");
        assert!(found["doors"].as_array().unwrap().contains(&json!(entered)), "{found:#}");
    }
}

#[test]
fn without_a_filter_ports_events_keys_and_nested_cgroups_are_reached() {
    need!(root);
    let door = "--seccomp none";
    opens(
        "--seccomp none",
        &[
            ("net", "RV-NET-07", door),
            ("net", "RV-NET-08", door),
            ("net", "RV-NET-13", door),
            ("net", "RV-NET-14", door),
            ("keyring", "RV-KEY-02", door),
            ("keyring", "RV-KEY-04", door),
            ("keyring", "RV-KEY-05", door),
            ("cgroup", "RV-CGR-03", door),
        ],
    );
    opens("--nest yes", &[("cgroup", "RV-CGR-03", "--nest yes")]);
    // The keyring of another uid of the host is one too.
    let (_, other) = report(verify().opt(["--uid", "4321", "--seccomp", "none"]));
    assert_eq!(probes(walls(&other)["keyring"])["RV-KEY-02"].0, "shared", "{other:#}");
}

#[test]
fn what_is_behind_the_streams_is_changed_where_they_are_inherited() {
    need!(root);
    opens(
        "--stdio inherit",
        &[
            ("fds", "RV-FD-02", "--stdio inherit"),
            ("fds", "RV-FD-03", "--stdio inherit"),
            ("terminal", "RV-TTY-02", "--stdio inherit"),
        ],
    );
}
