//! The wall of the root: chroot and pivot_root, handles, directories of the host.

use crate::judged::{probes, report, verify, walls, wrong};
use crate::need;
use crate::support::{ended, scratch, shell, tree};
use std::fs;

#[test]
fn root_chroot_shows_what_chroot_does_not_hold() {
    need!(root);
    let root = |options: &[&str]| {
        let (code, report) = report(verify().opt(["--only", "root"]).opt(options.iter().copied()));
        (code, walls(&report)["root"].clone())
    };
    let (code, wall) = root(&["--root", "chroot"]);
    assert_eq!(
        (code, wall["verdict"].as_str(), probes(&wall)["RV-ROOT-02"]),
        (0, Some("held"), ("held", Some("EPERM")))
    );
    assert!(wall["remarks"].to_string().contains("the host's tree is still there"), "{wall}");
    let (code, wall) = root(&["--root", "chroot", "--caps", "sys_chroot"]);
    assert_eq!(
        (code, wall["verdict"].as_str(), probes(&wall)["RV-ROOT-02"].0),
        (0, Some("shared"), "shared")
    );
    assert_eq!(wall["doors"], serde_json::json!(["CAP_SYS_CHROOT"]));
    // The control: the same right behind pivot_root is worth nothing.
    let (code, wall) = root(&["--root", "pivot", "--caps", "sys_chroot"]);
    assert_eq!(
        (code, wall["verdict"].as_str(), probes(&wall)["RV-ROOT-02"]),
        (0, Some("held"), ("held", Some("ENOENT")))
    );
    assert_eq!(wall["remarks"], serde_json::json!([]));
}

#[test]
fn a_handle_leads_out_of_a_directory_of_the_host_when_the_right_is_kept() {
    need!(root);
    let directory = tree("verify-handle");
    let root = |caps: &str| {
        let (code, report) = report(verify().opt([
            "--only",
            "root",
            "--rootfs",
            directory.to_str().unwrap(),
            "--caps",
            caps,
        ]));
        (code, probes(walls(&report)["root"])["RV-ROOT-04"].0.to_owned())
    };
    assert_eq!(root("default"), (0, "held".into()));
    assert_eq!(root("dac_read_search"), (0, "shared".into()));
    // A bind is enough of a way to its file system, whatever the root is.
    let bound = |caps: &str| {
        let bind = format!("{}:/mnt", directory.display());
        let (code, report) =
            report(verify().opt(["--only", "root", "--bind", bind.as_str(), "--caps", caps]));
        (code, probes(walls(&report)["root"])["RV-ROOT-04"].0.to_owned())
    };
    assert_eq!(bound("default"), (0, "held".into()));
    assert_eq!(bound("dac_read_search"), (0, "shared".into()));
}

#[test]
fn a_directory_is_left_as_it_was_where_nothing_is_to_be_written() {
    need!(root);
    let directory = scratch("verify-directory");
    let path = directory.to_str().unwrap();
    for verify in [
        verify().opt(["--rootfs", path, "--ephemeral"]),
        verify().opt(["--ephemeral"]).env("RUSTIC_ROOTFS", path),
    ] {
        let (code, report) = report(verify);
        assert_eq!((code, wrong(&report)), (0, vec![]), "{report:#}");
        assert!(report["target"]["argv"].to_string().contains(path), "{report:#}");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}

#[test]
fn what_is_bound_on_purpose_is_told_and_is_no_leak() {
    need!(root);
    for source in ["/", std::env::temp_dir().to_str().unwrap()] {
        let bind = format!("{source}:/mnt");
        let (code, report) = report(verify().opt(["--caps", "sys_admin", "--bind", bind.as_str()]));
        assert_eq!((code, wrong(&report)), (0, vec![]), "{report:#}");
        let remarks = walls(&report)["root"]["remarks"].to_string();
        assert!(remarks.contains(&format!("{source} of the host is /mnt inside")), "{remarks}");
    }
}

#[test]
fn a_climb_begins_at_the_root_wherever_verify_was_started() {
    need!(root);
    // In the folder that became its root, or below it, the control climbed nowhere.
    let script = "for d in /*/; do cd $d && $RUSTIC verify --only root >/dev/null || echo $d; done";
    assert_eq!(ended(&mut shell(&["sh"], script)).ok(), "");
}
