//! The queue: found, guarded, removed.

use super::{named, told};
use crate::need;
use crate::support::{ended, scratch, shell};

#[test]
fn a_stale_queue_is_named_and_reuse_takes_it() {
    need!(root);
    // A queue of the name, left in the same namespace by a helper of util-linux and the mqueue file
    // system.
    let squat = "mount -t mqueue none /mnt 2>/dev/null; touch /mnt/ipc_namespace";
    let squatted = |args: &[&str]| {
        let script = format!("{squat}; exec \"$0\" \"$@\"");
        let mut command = shell(&["unshare", "--ipc", "--mount", "sh"], &script);
        told(command.arg(named()).args(args), b"hi\n")
    };
    let said = squatted(&["-i", "no"]);
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("Parent: mq_open /ipc_namespace: File exists")
            && said.stderr.contains("--reuse"),
        "{said:?}"
    );
    let said = squatted(&["--reuse", "-i", "no"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("     >> hi\n"));
}

#[test]
fn the_queue_is_for_its_owner_alone_whatever_the_umask() {
    need!(root);
    let script = "umask 0; (echo hi; sleep 1) | \"$0\" -i no sh -c 'mount -t mqueue none /mnt; \
        stat -c %a /mnt/ipc_namespace' & sleep 0.3; \
                  mount -t mqueue none /mnt; stat -c %a /mnt/ipc_namespace; wait";
    let ran = ended(shell(&["unshare", "--ipc", "--mount", "sh"], script).arg(named()));
    assert!(ran.stdout.contains("600\n"), "{ran:?}");
}

#[test]
fn a_signal_removes_the_queue() {
    need!(root);
    // A shell's background job ignores SIGINT, so it is SIGTERM here; Ctrl-C itself is tried in a
    // terminal.
    let dir = scratch("signal");
    let script = "mount -t mqueue none /mnt; mkfifo $DIR/in; exec 9<>$DIR/in; \"$0\" -vi no \
        <$DIR/in >$DIR/out 9>&- & p=$!; \
        until grep -q '>>' $DIR/out 2>/dev/null; do sleep 0.02; done; ls /mnt; \
        kill -TERM $p; wait $p; echo $?; ls /mnt; cat $DIR/out";
    let mut command = shell(&["unshare", "--ipc", "--mount", "sh"], script);
    let text = ended(command.arg(named()).env("DIR", &dir)).stdout;
    assert!(
        text.starts_with("ipc_namespace\n143\nParent: PID"),
        "there before, gone after: {text}"
    );
    assert!(text.contains("Parent: Removing message queue /ipc_namespace"), "{text}");
}
