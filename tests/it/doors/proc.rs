//! Views of the kernel that are shown inside, whole or in part, and nodes of devices.

use super::opens;
use crate::judged::{probes, report, verdicts, verify, walls, wrong};
use crate::need;
use crate::support::payload;
use serde_json::json;
use std::fs;
use std::process::Command;

#[test]
fn a_mount_of_the_host_is_judged_by_what_it_is_and_not_by_where_it_is() {
    need!(root);
    for target in ["/mnt", "/proc"] {
        let order = format!("--bind /proc:{target}");
        let door = format!("--bind /proc:{target}");
        let (code, ordered) = report(verify().opt(order.split(' ')));
        assert_eq!((code, wrong(&ordered)), (0, vec![]), "{ordered:#}");
        for (wall, probe) in [("pid", "RV-PID-03"), ("root", "RV-PID-06"), ("kernel", "RV-KRN-01")]
        {
            let found = walls(&ordered)[wall];
            assert_eq!(probes(found)[probe].0, "shared", "{order}: {found:#}");
            assert!(found["doors"].as_array().unwrap().contains(&json!(door)), "{found:#}");
        }
    }
    opens(
        "--bind /sys:/mnt",
        &[
            ("net", "RV-NET-05", "--bind /sys:/mnt"),
            ("cgroup", "RV-CGR-05", "--bind /sys:/mnt"),
            ("kernel", "RV-KRN-02", "--bind /sys:/mnt"),
            ("root", "RV-ROOT-08", "--bind /sys:/mnt"),
        ],
    );
}

/// A process of the host, without a right that would hide it.
struct Weak(std::process::Child);

impl Weak {
    fn start() -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "sleep", "600"]);
        let child = command.spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        while fs::read_to_string(&comm).is_ok_and(|name| name.trim() != "sleep") {}
        Self(child)
    }
}

impl Drop for Weak {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_part_of_proc_is_judged_by_what_it_shows() {
    need!(root);
    let weak = Weak::start();
    let pid = weak.0.id();
    let bound = |options: &str| {
        let (code, report) = report(verify().opt(options.split_whitespace()));
        assert_eq!((code, wrong(&report)), (0, vec![]), "{options}: {report:#}");
        let opened = walls(&report).into_iter().filter(|(_, wall)| wall["doors"] != json!([]));
        opened.map(|(name, _)| name.to_owned()).collect::<Vec<_>>().join(" ")
    };
    // A process leads to the host's root, and from there everywhere.
    let all = "cgroup devices kernel keyring net pid root terminal";
    assert_eq!(bound(&format!("--bind /proc/{pid}:/p")), all);
    assert_eq!(bound(&format!("--bind /proc/{pid}/net:/p")), "net");
    let entered =
        "--caps sys_admin,sys_chroot --bind /proc/{pid}/ns:/n".replace("{pid}", &pid.to_string());
    for wall in ["mnt", "uts", "net", "ipc", "root"] {
        assert!(bound(&entered).split(' ').any(|name| name == wall), "{wall}");
    }
    assert_eq!(bound("--bind /proc/keys:/k"), "keyring");
    assert_eq!(bound("--bind /proc/sys/kernel/core_pattern:/x"), "kernel");
    assert_eq!(bound("--bind /proc/sys/kernel:/x"), "kernel");
    assert_eq!(bound("--bind /proc/sys/vm/swappiness:/x"), "kernel");
    assert_eq!(bound("--bind /sys/kernel:/x"), "kernel");
    assert_eq!(bound("--bind /dev/pts:/x"), "terminal");
    assert_eq!(bound("--caps syslog"), "kernel");
    // What a namespace has of its own is nobody else's.
    assert_eq!(bound("--bind /proc/sys/net:/x"), "");
    assert_eq!(bound("--bind /proc/self/status:/x"), "pid");
}

#[test]
fn a_node_that_is_bound_is_a_device_and_a_file_of_the_host() {
    need!(root);
    let opened = |source: &str| {
        let bind = format!("{source}:/x");
        let (code, report) = report(verify().opt(["--bind", bind.as_str()]));
        assert_eq!((code, wrong(&report)), (0, vec![]), "{report:#}");
        (verdicts(&report)["devices"].to_owned(), verdicts(&report)["root"].to_owned())
    };
    let both = ("shared".to_owned(), "shared".to_owned());
    assert_eq!((opened("/dev/kmsg"), opened("/dev/loop-control")), (both.clone(), both));
    assert_eq!(opened("/dev/zero"), ("held".into(), "held".into()));
}

#[test]
fn the_kernels_own_files_in_sight_are_a_door() {
    need!(root);
    opens(
        "--proc open",
        &[
            ("kernel", "RV-KRN-01", "--proc open"),
            ("kernel", "RV-KRN-05", "--proc open"),
            ("keyring", "RV-KEY-03", "--proc open"),
        ],
    );
}

#[test]
fn a_key_is_found_in_a_list_that_is_longer_than_what_is_read_at_once() {
    need!(root);
    let words = ["among-keys", "400"];
    let verify = || verify().under([payload().to_str().unwrap()].into_iter().chain(words));
    let (code, open) = report(verify().opt(["--only", "keyring", "--proc", "open"]));
    assert_eq!((code, verdicts(&open)["keyring"]), (0, "shared"), "{open:#}");
    let (code, closed) = report(verify().opt(["--only", "keyring"]));
    assert_eq!((code, verdicts(&closed)["keyring"]), (0, "held"), "{closed:#}");
}
