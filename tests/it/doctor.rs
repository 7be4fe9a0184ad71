//! `rustic doctor`: what lacks is found and named, and the advice works.

use crate::need;
use crate::support::{Ran, binary, finish, payload, piped, shell, store};
use serde_json::Value;
use std::process::Command;

fn doctor(words: &[&str], script: &str) -> Ran {
    finish(piped(&mut shell(words, script)))
}

/// What lacks, by the names of its checks, from JSON.
fn lacks(ran: &Ran) -> Vec<String> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .filter(|check| check["works"] == false)
        .map(|check| check["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn on_a_host_that_gives_everything_nothing_lacks() {
    need!(root);
    let ran = doctor(&["sh"], "exec $RUSTIC doctor");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("works  a container with every usual wall\n"), "{ran:?}");
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{ran:?}");
    let ran = doctor(&["sh"], "exec $RUSTIC doctor --json");
    assert_eq!((ran.code, lacks(&ran)), (0, Vec::new()), "{ran:?}");
}

#[test]
fn what_lacks_is_named_with_its_fix_which_works() {
    need!(root);
    let own = ["unshare", "--user", "--map-root-user", "sh"];
    let limit = "/proc/sys/user/max_net_namespaces";
    let ran = doctor(&own, &format!("echo 0 >{limit}; exec $RUSTIC doctor"));
    assert_eq!(ran.code, 1, "{ran:?}");
    for words in
        ["lacks  network namespaces", "user.max_net_namespaces is 0", "sysctl user.max_net_"]
    {
        assert!(ran.stdout.contains(words), "{ran:?}");
    }
    let ran = doctor(&own, &format!("echo 0 >{limit}; exec $RUSTIC doctor --json"));
    let found = lacks(&ran);
    assert!(found.contains(&"network namespaces".to_owned()), "{ran:?}");
    assert!(!found.contains(&"uts namespaces".to_owned()), "{ran:?}");
    // The fix that it names: sysctl user.max_net_namespaces=1000.
    let fixed = format!("echo 0 >{limit}; echo 1000 >{limit}; exec $RUSTIC doctor --json");
    let found = lacks(&doctor(&own, &fixed));
    assert!(!found.contains(&"network namespaces".to_owned()), "{found:?}");
}

#[test]
fn a_filter_and_masked_kernel_files_are_found_as_run_finds_them() {
    need!(root);
    let mut behind = Command::new(payload());
    let call = libc::SYS_fsopen.to_string();
    behind.args(["filtered", &libc::ENOSYS.to_string(), &call]).arg(binary()).arg("doctor");
    let ran = finish(piped(behind.env("RUSTIC_STORE", store())));
    assert_eq!(ran.code, 1, "{ran:?}");
    for words in [
        "a seccomp filter is in force around rustic",
        "a seccomp filter around rustic answers so: this kernel,",
        "lacks  mount namespaces",
    ] {
        assert!(ran.stdout.contains(words), "'{words}' is not in {ran:?}");
    }
    assert!(ran.stdout.contains("works  uts namespaces"), "{ran:?}");
    // As a plain user, below a /proc that is masked: a namespace of processes is to be had only
    // with the outer one unmasked.
    let masked = "mount -t tmpfs none /proc/acpi
        exec setpriv --reuid 61235 --regid 61235 --clear-groups env -u RUSTIC_STORE HOME=/nowhere \
        $RUSTIC doctor --json";
    let ran = doctor(&["unshare", "--mount", "sh"], masked);
    assert!(lacks(&ran).contains(&"a container with every usual wall".to_owned()), "{ran:?}");
    assert!(ran.stdout.contains("seen whole"), "{ran:?}");
    let whole = masked.replace("mount -t tmpfs none /proc/acpi", "");
    let ran = doctor(&["unshare", "--mount", "sh"], &whole);
    assert!(!lacks(&ran).contains(&"a container with every usual wall".to_owned()), "{ran:?}");
}

#[test]
fn it_makes_no_store_and_leaves_nothing() {
    need!(root);
    let script = "d=$(mktemp -d); chmod 777 $d
        setpriv --reuid 61236 --regid 61236 --clear-groups env -u RUSTIC_STORE HOME=$d \
        XDG_DATA_HOME=$d/data $RUSTIC doctor >/dev/null
        find $d | wc -l; rm -r $d";
    assert_eq!(doctor(&["sh"], script).stdout.trim(), "1");
    let ran = doctor(&["sh"], "exec $RUSTIC doctor --apparmor-profile");
    assert!(ran.code == 0 && ran.stdout.contains("  userns,\n"), "{ran:?}");
    doctor(&["sh"], "exec $RUSTIC doctor --json --apparmor-profile").fails(125, &["--json"]);
}
