//! Every leak that is built in on purpose is found at its wall, and a control that fails is told.

use crate::judged::{probes, report, verdicts, verify, walls, wrong};
use crate::need;
use std::collections::BTreeSet;

#[test]
fn each_leak_is_named_at_exactly_its_wall() {
    need!(root);
    let leaks = [
        ("mqueue", "ipc", "RV-IPC-02", vec![]),
        // A process that can be named leads to its root, in a user namespace it does not; and to
        // its network, which is shared here.
        ("proc", "pid", "RV-PID-03", vec!["--user", "yes", "--net", "no"]),
        ("descriptor", "fds", "RV-FD-01", vec![]),
        ("propagation", "mnt", "RV-MNT-03", vec!["--root", "chroot"]),
        // Behind the filter no key is found, whoever's keyring it is.
        ("keyring", "keyring", "RV-KEY-01", vec!["--seccomp", "none"]),
        ("terminal", "terminal", "RV-TTY-02", vec![]),
        ("chroot", "root", "RV-ROOT-02", vec![]),
        ("capability", "user", "RV-CAP-01", vec![]),
        ("ids", "user", "RV-USR-02", vec!["--user", "yes"]),
        ("cgroup", "cgroup", "RV-CGR-05", vec![]),
        ("kernel", "kernel", "RV-KRN-01", vec![]),
        ("devices", "devices", "RV-DEV-02", vec![]),
        // A namespace that was ordered and is not there.
        ("uts", "uts", "RV-UTS-01", vec![]),
        ("net", "net", "RV-NET-01", vec![]),
        ("time", "time", "RV-TIM-01", vec!["--time", "yes"]),
    ];
    let walled: BTreeSet<&str> = leaks.iter().map(|(_, wall, ..)| *wall).collect();
    let every: BTreeSet<String> =
        verdicts(&report(verify()).1).into_keys().map(str::to_owned).collect();
    assert_eq!(walled, every.iter().map(String::as_str).collect());
    for (leak, wall, probe, options) in leaks {
        let (code, leaking) = report(verify().opt(options.clone()).env("RUSTIC_LEAK", leak));
        assert_eq!((code, wrong(&leaking)), (1, vec![wall]), "{leak}");
        let found = walls(&leaking)[wall];
        let verdict = if leak == wall && ["uts", "net", "time"].contains(&leak) {
            "shared"
        } else {
            "leaked"
        };
        assert_eq!(
            (found["verdict"].as_str(), probes(found)[probe].0),
            (Some(verdict), verdict),
            "{leak}: {found:#}"
        );
        let table = verify().opt(options.clone()).env("RUSTIC_LEAK", leak).ran();
        assert!(
            table.code == 1
                && (verdict == "shared" || table.stdout.contains("LEAKED"))
                && table.stdout.contains(&format!("Not as ordered: {wall}.")),
            "{table:?}"
        );
        // The control: the same container without the leak.
        let (code, tight) = report(verify().opt(options));
        assert_eq!((code, wrong(&tight)), (0, vec![]), "{leak}");
    }
}

#[test]
fn a_control_that_fails_leaves_its_wall_unknown_and_ends_with_3() {
    need!(root);
    let (code, report) = report(verify().env("RUSTIC_FAIL_CONTROL", "RV-NET-02"));
    let net = walls(&report)["net"];
    assert_eq!((code, net["verdict"].as_str(), wrong(&report)), (3, Some("unknown"), vec!["net"]));
    assert!(net["because"].as_str().unwrap().contains("the control failed"), "{net}");
    assert!(report["controls"]["failed"].is_string());
    let table = verify().env("RUSTIC_FAIL_CONTROL", "RV-NET-02").ran();
    assert!(
        table.code == 3
            && table.stdout.contains("because the control failed")
            && table.stdout.contains("Unknown: net."),
        "{table:?}"
    );
}
