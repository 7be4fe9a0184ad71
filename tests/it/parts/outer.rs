//! rustic inside of other launchers' containers: with the options that its doctor names a container
//! starts there, and without them it says what lacks.

use crate::need;
use crate::support::{Ran, binary, finish, piped, scratch, shell};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A view of the cgroups of version 1 alone, the only one in which podman's runtime works on a
/// hybrid host.
const OLD_CGROUPS: &str = "
    own=$(mktemp -d) && mount -t tmpfs -o mode=755 cgroups $own
    for one in /sys/fs/cgroup/*; do
        [ -L $one ] || [ ${one##*/} = unified ] && continue
        mkdir $own/${one##*/} && mount --bind $one $own/${one##*/}
    done
    umount -l /sys/fs/cgroup && mount --move $own /sys/fs/cgroup && rmdir $own
    ip link set lo up
";

/// The built-in root, unpacked, with rustic in it.
fn root_with_rustic() -> PathBuf {
    let root = scratch("outer-root").join("root");
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/rootfs.tar.gz");
    let unpacked = Command::new(binary()).args(["rootfs", "unpack", archive]).arg(&root).output();
    assert!(unpacked.unwrap().status.success());
    fs::copy(binary(), root.join("bin/rustic")).unwrap();
    root
}

/// Runs a script as root of a container of podman, in the built-in root with rustic in it.
fn in_podman(options: &str, script: &str) -> Ran {
    let root = root_with_rustic();
    let work = scratch("outer-work").display().to_string();
    let podman = format!(
        "podman --runtime runc --root {work}/storage --runroot {work}/run --tmpdir {work}/tmp \
         --cgroup-manager cgroupfs run --rm --network none --ulimit nofile=1024:1024 \
         --ulimit nproc=4096:4096 {options} --rootfs {} sh -c \"$SCRIPT\"",
        root.display()
    );
    let whole = format!("{OLD_CGROUPS}\n{podman}");
    let own = ["unshare", "--mount", "--net", "--propagation", "private", "sh"];
    finish(piped(shell(&own, &whole).env("SCRIPT", script)))
}

fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"))
}

fn options(report: &Value) -> Vec<&str> {
    report["options"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

#[test]
fn in_podman_the_options_that_the_doctor_names_are_enough() {
    need!(root);
    let ran = in_podman("", "rustic doctor --json");
    let found = report(&ran);
    assert_eq!((ran.code, found["container"].as_str()), (1, Some("podman")), "{ran:?}");
    let named = options(&found);
    assert!(named.contains(&"--security-opt unmask=ALL"), "{ran:?}");

    let given = named.join(" ");
    let ran = in_podman(&given, "rustic doctor --json");
    assert_eq!(ran.code, 0, "{given}: {ran:?}");
    let ran = in_podman(&given, "rustic run --user yes echo up");
    assert_eq!((ran.code, ran.stdout.trim()), (0, "up"), "{given}: {ran:?}");

    // Root with the rights of a machine's.
    let given = format!("{given} --cap-add SYS_ADMIN --cap-add NET_ADMIN");
    let ran = in_podman(&given, "rustic doctor --json && rustic run echo up && rustic verify");
    assert_eq!(ran.code, 0, "{given}: {ran:?}");
    assert!(ran.stdout.contains("Every wall is as ordered"), "{given}: {ran:?}");
}

#[test]
fn in_nspawn_bubblewrap_and_rustic_each_check_works() {
    need!(root);
    let root = root_with_rustic();
    let rustic = binary().display().to_string();
    let nspawn = format!(
        "systemd-nspawn -q --register=no --keep-unit --pipe -M outer{} --private-network -D {} \
         rustic",
        std::process::id(),
        root.display()
    );
    let bwrap = format!("bwrap --bind / / --dev-bind /dev /dev {rustic}");
    let own = format!("{rustic} run --nest yes --proc open --bind {rustic}:/rustic:ro /rustic");
    for outer in [nspawn, bwrap, own] {
        let mut script = shell(&["unshare", "--mount", "sh"], &format!("{outer} doctor --json"));
        let ran = finish(piped(script.env_remove("RUSTIC_STORE")));
        assert_eq!(ran.code, 0, "{outer}: {ran:?}");
        assert!(report(&ran)["checks"].as_array().unwrap().len() > 9, "{ran:?}");
    }
}
