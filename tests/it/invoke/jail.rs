//! The jail: names, processes, environment, mounts.

use super::{invoke, named};
use crate::need;
use crate::support::{apart, ended, scratch, shared_state, shell};

#[test]
fn the_jail_has_its_own_name_processes_and_environment() {
    need!(root);
    let jail = scratch("jail");
    crate::support::host(
        "tar",
        [
            "xzf",
            concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/rootfs.tar.gz"),
            "-C",
            jail.to_str().unwrap(),
        ],
    );
    apart(|| enter(jail.to_str().unwrap()));
}

fn enter(jail: &str) {
    let before = shared_state();
    let cmd = ["sh", "-c", "hostname; ps; env; exit 5"];
    let options = ["-vpmu", "box", "-n", "-i", "no", "-c", jail];
    let said = invoke(&[&options[..], &cmd].concat(), b"hi\n");
    assert_eq!(said.code, 5, "CMD's failure shows: {}", said.stderr);
    assert!(
        said.stdout.contains(" Child: Executing command sh -c hostname; ps; env; exit 5 ...\n"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("box\n") && said.stdout.contains("    1 root     sh -c"),
        "{}",
        said.stdout
    );
    assert!(!said.stdout.contains("RUST"), "the environment is cleared: {}", said.stdout);
    assert_eq!(shared_state(), before, "mounts are private before /proc is touched");
}

#[test]
fn mounts_are_private_before_proc_is_touched_also_where_they_were_shared() {
    need!(root);
    // As systemd has it: the root is shared, and the article's own program would replace the host's
    // /proc.
    let script = "mount --make-rshared /; cat /proc/self/mountinfo >$DIR/before; \"$0\" -pm sh -c \
        'echo $$; ls -d /proc/1'; \
        cat /proc/self/mountinfo >$DIR/after; cmp $DIR/before $DIR/after && \
        grep -c shared: $DIR/after >/dev/null";
    let dir = scratch("shared-proc");
    let mut command = shell(&["unshare", "--mount", "sh"], script);
    let ran = ended(command.arg(named()).env("DIR", &dir));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "1\n/proc/1\n"), "{ran:?}");
}
