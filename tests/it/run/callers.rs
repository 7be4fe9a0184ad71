//! Callers of every kind: odd streams, limits and masks, and namespaces of others.

use crate::corpus::bytes::{file, tar};
use crate::need;
use crate::support::{Rustic, binary, ended, payload, scratch, shell};
use std::fs;

/// rustic started by a shell that has done something first.
fn after(before: &str, rest: &str) -> crate::support::Ran {
    ended(&mut shell(&["bash"], &format!("{before}; exec \"$RUSTIC\" run {rest}")))
}

#[test]
fn odd_callers_get_what_others_get() {
    need!(root);
    for before in [
        "trap '' CHLD",
        "trap '' PIPE",
        "umask 777",
        "exec 0<&-",
        "exec 1>&- 2>&-",
        "ulimit -c 0",
        "cd /proc",
    ] {
        for options in ["", "--init", "--user yes", "--pid no", "--mount no"] {
            assert_eq!(
                after(before, &format!("{options} sh -c 'exit 3'")).code,
                3,
                "{before} {options}"
            );
        }
    }
}

#[test]
fn the_callers_umask_does_not_reach_the_store() {
    need!(root);
    let dir = scratch("umask");
    // No entries for the directories: they are made on the way.
    let program = file("a/b/payload", fs::read(payload()).unwrap()).mode(0o755);
    fs::write(dir.join("image.tar"), tar([program])).unwrap();
    after(
        "umask 077",
        &format!(
            "--store {0}/store --rootfs {0}/image.tar --uid 1000 /a/b/payload true",
            dir.display()
        ),
    )
    .ok();
}

#[test]
fn a_directory_as_a_stream_is_refused_by_name() {
    need!(root);
    after("exec </", "true").fails(125, &["stdin is a directory"]);
}

#[test]
fn a_proc_of_another_pid_namespace_is_refused_by_name() {
    need!(root);
    let run = Rustic::run().under(["unshare", "--pid", "--fork", "--kill-child"]).opt(["true"]);
    run.ran().fails(125, &["/proc shows another PID namespace", "--mount-proc"]);
    // The control: with a /proc of its own it starts.
    run.under(["--mount-proc"]).ran().ok();
}

#[test]
fn it_starts_inside_user_namespaces_of_others_and_of_its_own() {
    need!(root);
    // As root, and as nobody, whose namespaces forbid setgroups.
    for who in [Rustic::run(), Rustic::run().nobody()] {
        for user in ["yes", "no"] {
            let run = who.clone().under(["unshare", "--user", "--map-root-user"]);
            let run = run.opt(["--user", user, "id", "-u"]).env("HOME", "/nonexistent");
            assert_eq!(ended(run.std().env_remove("RUSTIC_STORE")).ok(), "0\n", "{who:?} {user}");
        }
    }
    let bind = format!("{}:/mnt/rustic", binary().display());
    let run =
        Rustic::run().opt(["--user", "yes", "--caps", "all", "--seccomp", "none", "--bind", &bind]);
    assert_eq!(
        run.opt(["/mnt/rustic", "run", "--store", "/tmp/store", "echo", "inner"]).ran().ok(),
        "inner\n"
    );
}
