//! Limits of every size, and what cannot be removed.

use crate::need;
use crate::support::{binary, end, ended, payload, piped, scratch, shell, store, until_line};
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn every_number_of_descriptors_starts_or_says_so() {
    need!(root);
    let mut started = false;
    for limit in 3..40 {
        let script = format!("ulimit -n {limit}; exec \"$RUSTIC\" run true");
        let ran = ended(&mut shell(&["sh"], &script));
        match ran.code {
            0 => started = true,
            125 => {
                assert!(!started && ran.stderr.matches("rustic: ").count() == 1, "{limit}: {ran:?}")
            }
            _ => panic!("{limit}: {ran:?}"),
        }
    }
    assert!(started, "40 are enough");
}

#[test]
fn a_tree_deeper_than_there_are_descriptors_is_removed_with_its_run() {
    need!(root);
    let store = scratch("deep").join("store");
    let script =
        "i=0; while [ $i -lt 600 ]; do mkdir d && cd d || break; i=$((i+1)); done; echo $i";
    let run = "ulimit -n 64; exec \"$RUSTIC\" run --mount no --store \"$STORE\" \
        --workdir /tmp sh -c \"$SCRIPT\"";
    let ran = ended(shell(&["sh"], run).env("STORE", &store).env("SCRIPT", script));
    assert_eq!(ran.ok(), "600\n");
    assert_eq!(fs::read_dir(store.join("runs")).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_removed_is_said() {
    need!(root);
    let store = scratch("mounted").join("store");
    let script = format!(
        "$RUSTIC run --mount no --store {} --caps all sh -c 'mount -t tmpfs x /tmp'",
        store.display()
    );
    let ran = ended(&mut shell(&["unshare", "--mount", "sh"], &script));
    assert!(
        ran.code == 0
            && ran.stderr.contains("warning: cannot remove ")
            && ran.stderr.contains("EBUSY"),
        "{ran:?}"
    );
}

#[test]
fn descriptors_that_another_process_has_in_flight_keep_no_start() {
    need!(root);
    const USER: &str = "7654";
    let filled = |uid: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", uid, "--regid", uid, "--clear-groups", "prlimit", "--nofile=512"]);
        until_line(piped(command.arg(payload()).arg("fill-in-flight")), "filled Ok(())")
    };
    // As root with another uid inside, and as a plain user, who has no way to send one at all.
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=512").arg(binary()).args(["run", "--uid", USER, "echo", "up"]);
    limited.env("RUSTIC_STORE", store()).stdin(Stdio::null());
    let mut plain = Command::new("setpriv");
    plain.args(["--reuid", USER, "--regid", USER, "--clear-groups", "prlimit", "--nofile=512"]);
    plain.arg(binary()).args(["run", "sh", "-c", "kill -9 $$"]).env("HOME", "/nonexistent");
    let plain = plain.stdin(fs::File::open("/etc/passwd").unwrap());
    let child = filled(USER);
    let (root, plain) = (limited.output().unwrap(), plain.output().unwrap());
    end(child);
    assert_eq!(String::from_utf8_lossy(&root.stdout), "up\n", "{root:?}");
    assert_eq!(plain.status.code(), Some(137), "{plain:?}");
}
