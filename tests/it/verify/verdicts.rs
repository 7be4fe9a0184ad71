//! The verdicts of the defaults, of one open wall, and of what the caller brings along.

use crate::judged::{by, probes, report, verdicts, verify, walls};
use crate::need;
use serde_json::Value;

#[test]
fn the_defaults_hold_twelve_walls_and_tell_user_and_time_as_doors() {
    need!(root);
    let (code, report) = report(verify());
    assert_eq!(code, 0, "{report:#}");
    for (name, verdict) in verdicts(&report) {
        assert_eq!(
            verdict,
            if ["user", "time"].contains(&name) { "shared" } else { "held" },
            "{name}"
        );
    }
    let controls = &report["controls"];
    assert_eq!(
        (controls["open"]["crossed"].as_u64(), controls["closed"]["crossed"].as_u64()),
        (controls["open"]["of"].as_u64(), Some(0))
    );
    assert!(controls["closed"]["of"].as_u64() > Some(60), "{controls}");
    // The same for people: the call, the errno, what was seen outside.
    let table = verify().ran().ok();
    for (wall, words) in [
        ("pid", ["process_vm_readv pid", "ESRCH", "our secret did not come back"]),
        ("mnt", ["while it started", "done", "no mount appeared"]),
        ("root", ["open /", "ENOENT", "our secret did not come back"]),
        ("uts", ["uname", "\"rustic\"", "renamed to \"stage-"]),
        ("net", ["connect 127.0.0.1:", "ECONNREFUSED", "no connection"]),
        ("ipc", ["mq_open /rustic.", "ENOENT", "no message"]),
        ("user", ["bind 127.0.0.1:", "done", "our socket has port"]),
        ("cgroup", ["read /proc/self/cgroup", "\"/\"", "it is in \"/"]),
        ("time", ["clock_gettime CLOCK_MONOTONIC", "\"50", "; 50"]),
        ("fds", ["pread", "EBADF", "our secret did not come back"]),
        ("kernel", ["open for writing", "EROFS", "it holds nothing of it open"]),
        ("devices", ["open nodes", "ENOENT", "it holds no device open"]),
        ("keyring", ["keyctl search @s", "ENOSYS", "our secret did not come back"]),
        ("terminal", ["ioctl TIOCSTI", "EPERM", "0 characters typed"]),
    ] {
        // What is folded stands below the third column.
        let row = table.replace(&format!("\n{:23}", ""), " ");
        let row = row
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{wall} ")))
            .unwrap_or_else(|| panic!("{wall}: {table}"));
        let columns: Vec<usize> = words.iter().filter_map(|word| row.find(word)).collect();
        assert!(columns.len() == 3 && columns.is_sorted(), "{words:?} in {row}");
    }
    assert!(
        table.ends_with("Every wall is as ordered. 2 doors are open: user, time.\n"),
        "{table}"
    );
}

#[test]
fn ipc_no_differs_in_the_ipc_row_only_and_both_kinds_of_ipc_cross() {
    need!(root);
    let ((code, closed), (open_code, open)) = (report(verify()), report(verify().ns("ipc", "no")));
    assert_eq!((code, open_code), (0, 0));
    for (name, wall) in walls(&open) {
        let before = walls(&closed)[name];
        if name == "ipc" {
            assert_eq!(
                (before["verdict"].as_str(), wall["verdict"].as_str()),
                (Some("held"), Some("shared"))
            );
            // By name, by file, by key and by id; the other two have nothing to try where it is
            // shared.
            let (open, closed) = (probes(wall), probes(before));
            let crossing = ["01", "02", "04", "05", "06", "07"].map(|n| format!("RV-IPC-{n}"));
            for id in &crossing {
                let id = id.as_str();
                assert_eq!(open[id], ("shared", None), "{id}: {wall:#}");
                let errno = if id == "RV-IPC-07" { "EINVAL" } else { "ENOENT" };
                assert_eq!(closed[id], ("held", Some(errno)), "{id}: {before:#}");
            }
            let arrived = |probe: &&Value| probe["outside"]["arrived"] == true;
            let arrived = wall["probes"].as_array().unwrap().iter().filter(arrived).count();
            assert_eq!((arrived, open.len()), (crossing.len(), 8), "{wall:#}");
        } else {
            assert_eq!(
                (wall["verdict"].clone(), probes(wall)),
                (before["verdict"].clone(), probes(before)),
                "{name}"
            );
        }
    }
}

#[test]
fn the_callers_own_time_namespace_is_where_the_stage_starts_from() {
    need!(root);
    let offsets = ["unshare", "--time", "--monotonic", "3000000", "--boottime", "3000000"];
    let (code, report) = by(&offsets, &["--only", "time"]);
    assert_eq!((code, verdicts(&report)["time"]), (0, "shared"), "{report:#}");
}

#[test]
fn the_user_keyring_is_reached_when_no_filter_refuses_it() {
    need!(root);
    let (code, report) = report(verify().opt(["--only", "keyring", "--seccomp", "none"]));
    let probes = probes(walls(&report)["keyring"]);
    assert_eq!(
        (code, probes["RV-KEY-01"], probes["RV-KEY-02"].0),
        (0, ("held", Some("ENOKEY")), "shared")
    );
    assert_eq!(walls(&report)["keyring"]["doors"], serde_json::json!(["--seccomp none"]));
}

#[test]
fn a_caller_who_is_nice_is_verified_like_any_other() {
    need!(root);
    for nice in ["13", "19"] {
        let ran = verify().nobody().under(["nice", "-n", nice]).opt(["--only", "pid"]).ran();
        assert!(ran.code == 0 && ran.stdout.contains("held"), "{ran:?}");
    }
}
