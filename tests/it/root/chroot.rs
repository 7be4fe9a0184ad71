//! pivot_root and chroot: what leads back out.

use crate::need;
use crate::support::{Rustic, payload, shared};
use std::fs;

#[test]
fn pivot_root_leaves_no_way_back_and_chroot_only_lacks_the_right_to_one() {
    need!(root);
    let canary = shared().join("canary");
    fs::write(&canary, "the host").unwrap();
    let climb = |args: &[&str]| {
        let bind = format!("{}:/mnt/payload", payload().display());
        Rustic::run()
            .opt(args.iter().copied())
            .opt(["--bind", &bind, "/mnt/payload", "climb", canary.to_str().unwrap()])
            .ran()
            .stdout
    };
    assert!(climb(&[]).starts_with("climb Ok"), "CAP_SYS_CHROOT is among podman's eleven");
    assert!(!climb(&[]).contains("sees the host"), "there is nothing to climb to");
    assert!(
        climb(&["--root", "chroot"]).starts_with("climb Err"),
        "and behind a chroot it is left out"
    );
    // The control, and the difference: with the right, the host's tree is still there behind a
    // chroot, and not behind pivot_root.
    assert!(climb(&["--root", "chroot", "--caps", "all"]).contains("sees the host"));
    assert!(!climb(&["--caps", "all"]).contains("sees the host"));
}

#[test]
fn chroot_on_request_works_with_the_five_namespaces_and_either_queue() {
    need!(root);
    for ipc in ["yes", "no"] {
        let run = Rustic::run().opt(["--root", "chroot"]).ns("ipc", ipc);
        assert_eq!(run.sh("hostname; ls -d /proc/1; echo $$").ran().ok(), "rustic\n/proc/1\n1\n");
    }
}

#[test]
fn caps_that_undo_a_chroot_are_allowed_with_a_warning() {
    need!(root);
    let ran = Rustic::run().opt(["--root", "chroot", "--caps", "CAP_SYS_CHROOT", "true"]).ran();
    assert!(
        ran.code == 0
            && ran.stderr.starts_with("rustic: warning: ")
            && ran.stderr.contains("no wall"),
        "{ran:?}"
    );
}
